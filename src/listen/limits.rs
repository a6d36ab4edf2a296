//! Limits of a connection before it is HTTP/2.

use std::time::Duration;

/// Limits of a connection that is not yet, or not, HTTP/2.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientLimits {
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
