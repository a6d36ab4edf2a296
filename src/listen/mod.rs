//! A connection arrives: which protocol it speaks, and who serves it.
//!
//! Reading order: [`Entrance`] (the application that Pingora's listeners hand connections to),
//! [`Arrival`] (a connection with its client), `preface` (HTTP/2 by prior knowledge or HTTP/1.x), `http1` (Pingora's own server, one request
//! after another), `head` (what a request's head says), `upgrade` (which requests ask for HTTP/2), [`Connections`] (how many are open, for a shutdown to wait for).

mod arrival;
mod connections;
mod entrance;
mod head;
mod http1;
mod preface;
mod upgrade;

use std::time::Duration;

pub use arrival::Arrival;
pub use connections::Connections;
pub use entrance::{Entrance, ServeHttp2};
pub use upgrade::UpgradeRequest;

/// What a reload replaces as a whole. A connection keeps what it began with.
#[derive(Debug)]
pub struct Live {
    /// How long clients may take.
    pub limits: Limits,
}

/// Limits of a connection that is not yet, or not, HTTP/2.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For the first bytes, which tell the protocol, and for the first HTTP/1.x request header.
    pub handshake_timeout: Duration,
    /// Between two requests of an HTTP/1.x connection.
    pub idle_timeout: Duration,
}
