//! From an accepted socket to who serves it.
//!
//! Reading order: `acceptor` (the application that Pingora's listeners hand connections to), `listener` (the settings of an
//! address), `handshake` (all that comes before the first request), `connection_limit` (how many connections a client has),
//! `tls` (TLS ended here), `detect` (HTTP/2 by prior knowledge or HTTP/1.x), `connections` (how many are open, for a
//! shutdown to wait for).

pub(super) mod acceptor;
mod connection_limit;
pub(super) mod connections;
mod detect;
mod handshake;
pub(super) mod listener;
pub(super) mod tls;
