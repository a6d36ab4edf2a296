//! A connection arrives: who its client is, which protocol it speaks, and who serves it.
//!
//! Reading order: `accept` (from a socket to who serves it), `proxy_header` (what a terminator says of its client), `io` (a
//! connection as Pingora reads and writes it), `http1` (HTTP/1.x on it, and the seam to HTTP/2).

mod accept;
mod http1;
mod io;
mod limits;
mod proxy_header;

pub(crate) use accept::{
    acceptor::Acceptor,
    connections::OpenConnections,
    listener::{ListenSnapshot, Listener},
    tls::{Tls, TlsError},
};
pub(crate) use http1::{http2::ServeHttp2, upgrade::UpgradeRequest};
pub(crate) use io::client_io::ClientIo;
pub(crate) use limits::ClientLimits;
