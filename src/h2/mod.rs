//! One client's HTTP/2 connection: the only user of the h2 crate.
//!
//! Reading order: [`serve`] in `connection` (accept loop, idle and shutdown), `upgrade` (a connection that began as
//! HTTP/1.1), `cork` and `chunk` (few writes, and no copies), `observe` and `frames` (what the bytes of both
//! directions say), `validate` (which requests are served), `admit` and `admission` (when they begin), `stream`
//! (one request or promise, as the h2 crate sees it), `opening` (how a promise begins its answer), `session` (the
//! same as Pingora sees it: the doc-hidden seam), `promise` (a plan carried out), `unwritten` (in which order), `memory` (answers that need no
//! application), `order` and `documents` (the document first), `queue` (how much waits in the h2 crate),
//! `bottleneck` (how much of pushes is on its way).

mod admission;
mod admit;
mod bottleneck;
mod chunk;
mod connection;
mod cork;
mod documents;
mod frames;
mod memory;
mod observe;
mod opening;
mod order;
mod promise;
mod queue;
mod session;
mod stream;
#[cfg(test)]
mod tests;
mod unwritten;
mod upgrade;
mod validate;

use std::time::Duration;

pub use admission::Admission;
pub use connection::{Answers, serve};
pub use memory::{Memory, Recalled, Report};
pub use upgrade::{Beginning, NotUpgradable};
pub use validate::Rejection;

/// What a connection may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// SETTINGS_MAX_CONCURRENT_STREAMS.
    pub max_streams: u32,
    /// SETTINGS_MAX_HEADER_LIST_SIZE, bytes.
    pub max_header_bytes: u32,
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
