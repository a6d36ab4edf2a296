//! Serves one client's HTTP/2 connection (RFC 9113), with server push.
//!
//! A request goes down this list of modules, its response comes back up:
//!
//! - `accept`: the driver of a connection ([`serve`]), and the decision when a request starts;
//! - `respond`: responses from Pingora's application or from the store, and the promises of a plan;
//! - `stream`: one stream as its task sees it, and the part of a connection that its streams share;
//! - `core`: the connection as a pure state machine: bytes in, events out; commands in, bytes out;
//! - `priority`: which stream sends next, and how many bytes of pushes the path takes;
//! - `wire`: frames as bytes. HPACK is a module of its own, `hpack`.
//!
//! A module here imports only from the modules below it in this list.

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
    /// Number of fields in a request, without Cookie fields, which are joined.
    pub max_header_fields: usize,
    /// Number of malformed requests at which the connection is closed.
    pub max_malformed: u32,
    /// Number of URLs that the diary remembers.
    pub diary_entries: usize,
    /// Time limit for the client's preface and first SETTINGS.
    pub handshake_timeout: Duration,
    /// Time limit for a connection without streams.
    pub idle_timeout: Duration,
    /// Time limit for the next bytes of a request body.
    pub read_timeout: Duration,
    /// Time limit for the client to take the next bytes of a response.
    pub write_timeout: Duration,
}
