//! A connection arrives: who its client is, which protocol it speaks, and who serves it.
//!
//! Reading order: [`Entrance`] (the application that Pingora's listeners hand connections to),
//! [`Listener`] (the settings of an address), `arrive` (all that comes before the first request),
//! `proxy_header` (what a terminator says of its client), `per_client` (how many connections a client
//! has), [`Tls`] (TLS ended here), [`Arrival`] (a connection with its client), `preface` (HTTP/2 by
//! prior knowledge or HTTP/1.x), `http1` (Pingora's own server, one request after another),
//! `head_end` and `head` (what a request's head says, once), `chunks` (chunked content, to the letter), `dated` (whose `Date` a response has), `refuse` (the answer to what is
//! no request), `upgrade` (which requests ask for HTTP/2), `tunnel` (where a WebSocket can be told of its end), [`Connections`] (how many are open, for a shutdown to wait
//! for).

mod arrival;
mod arrive;
mod chunks;
mod connections;
mod dated;
mod entrance;
mod head;
mod head_end;
mod http1;
mod http2;
mod listener;
mod per_client;
mod preface;
mod proxy_header;
mod refuse;
mod tls;
mod tunnel;
mod upgrade;

use std::time::Duration;

pub use arrival::Arrival;
pub use connections::Connections;
pub use entrance::Entrance;
pub use http2::ServeHttp2;
pub use listener::Listener;
pub use tls::{Tls, TlsError};
pub use upgrade::UpgradeRequest;

/// What a reload replaces as a whole. A connection keeps what it began with.
#[derive(Debug)]
pub struct Live {
    /// How long clients may take, and how many connections they may have.
    pub limits: Limits,
    /// The addresses that are listened on.
    pub listeners: Vec<Listener>,
}

/// Limits of a connection that is not yet, or not, HTTP/2.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For all that comes before the first bytes of a request (PROXY header, TLS) together with them,
    /// and for the first HTTP/1.x request header.
    pub handshake_timeout: Duration,
    /// Between two requests of an HTTP/1.x connection.
    pub idle_timeout: Duration,
    /// Open connections of one client; 0 is no limit.
    pub max_connections_per_client: usize,
    /// Bytes of an HTTP/1.x request header.
    pub max_header_bytes: usize,
    /// Its fields.
    pub max_header_fields: usize,
    /// For an HTTP/1.x client to take the next bytes of an answer.
    pub write_timeout: Duration,
    /// For what is under way when a shutdown begins.
    pub graceful_timeout: Duration,
}
