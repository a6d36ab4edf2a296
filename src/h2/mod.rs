//! One client's HTTP/2 connection: a server of our own, made for push.
//!
//! A request goes down these rooms, its response comes back up:
//!
//! - `accept`: the driver of a connection ([`serve`]), which requests are served and when they start;
//! - `respond`: Pingora's session, a stored response, a promise;
//! - `stream`: one stream as its task has it, and what streams of a connection share;
//! - `core`: the connection as a pure state machine: bytes in, events out; commands in, bytes out;
//! - `priority`: who sends next, and how much of pushes;
//! - `wire`: frames as bytes. HPACK is a module of its own, `hpack`.
//!
//! A room knows those below it only.

mod accept;
mod core;
mod priority;
mod respond;
mod stream;
mod wire;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub(crate) use accept::{Responder, h2c::Beginning, scheduler::RequestScheduler, serve::serve};

/// The limits of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// SETTINGS_MAX_CONCURRENT_STREAMS.
    pub max_streams: u32,
    /// SETTINGS_MAX_HEADER_LIST_SIZE, bytes.
    pub max_header_bytes: u32,
    /// Fields of a request; the crumbs of a cookie count as one.
    pub max_header_fields: usize,
    /// Malformed requests after which the connection is closed.
    pub max_malformed: u32,
    /// URLs that the diary remembers.
    pub diary_entries: usize,
    /// For the preface and the first SETTINGS.
    pub handshake_timeout: Duration,
    /// Without a stream in flight.
    pub idle_timeout: Duration,
    /// For the next bytes of a request body.
    pub read_timeout: Duration,
    /// For the client's window to take the next bytes of a response.
    pub write_timeout: Duration,
}
