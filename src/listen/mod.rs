//! Accepts client connections: finds out the client and the protocol of each, serves HTTP/1.x with Pingora's server and
//! hands HTTP/2 to a [`ServeHttp2`].
//!
//! Reading order: `limits` (time and size limits), `meter` (counters), `accept` (from an accepted socket to the protocol's server),
//! `proxy_header` (the PROXY header of a TLS terminator), `io` (a connection as Pingora reads and writes it), `http1`
//! (HTTP/1.x requests, and the upgrade to HTTP/2).

mod accept;
mod http1;
mod io;
mod limits;
mod meter;
mod proxy_header;

pub(crate) use accept::{
    acceptor::Acceptor,
    connections::OpenConnections,
    listener::{ListenSnapshot, Listener},
    tls::{Tls, TlsError},
};
pub(crate) use http1::{http2::ServeHttp2, upgrade::UpgradeRequest};
pub(crate) use io::client_io::ClientIo;
pub(crate) use limits::ListenLimits;
pub(crate) use meter::ListenMeter;
