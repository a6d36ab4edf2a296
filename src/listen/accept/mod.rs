//! Takes accepted sockets from Pingora and serves each by its protocol.
//!
//! Reading order: `acceptor` (Pingora's listeners hand connections to this), `listener` (the settings of a listening
//! address), `handshake` (everything before the first request), `connection_limit` (connections per client), `tls` (TLS
//! termination), `detect` (HTTP/2 by prior knowledge or HTTP/1.x), `connections` (the number of open connections, which
//! a shutdown waits for).

pub(super) mod acceptor;
mod connection_limit;
pub(super) mod connections;
mod detect;
mod handshake;
pub(super) mod listener;
pub(super) mod tls;
