//! Holds the limits of a connection before HTTP/2 begins, and of HTTP/1.x.

use std::time::Duration;

/// Limits of connections that speak HTTP/1.x, or no protocol yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListenLimits {
    /// Time for the PROXY header, TLS and the first bytes of a request together; then for each HTTP/1.x request head,
    /// from its first bytes on.
    pub handshake_timeout: Duration,
    /// Time between two requests of an HTTP/1.x connection.
    pub idle_timeout: Duration,
    /// Most open connections of all clients together.
    pub max_connections: usize,
    /// Most open connections of one client; 0 is no limit.
    pub max_connections_per_client: usize,
    /// Most bytes of an HTTP/1.x request head.
    pub max_header_bytes: usize,
    /// Most fields of an HTTP/1.x request head.
    pub max_header_fields: usize,
    /// Time for an HTTP/1.x client to take the next bytes of a response.
    pub write_timeout: Duration,
    /// Time for running requests to finish after a shutdown has begun.
    pub graceful_timeout: Duration,
}
