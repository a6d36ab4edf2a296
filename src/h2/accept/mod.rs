//! Drives a connection and starts its requests.
//!
//! Reading order: `serve` (the driver: reads, writes, wakes), `dispatch` (its work on events), `expiry` (its time
//! limits), `pending` (requests that wait), `scheduler` (when they start), `start` (their tasks), `unserved` (those that
//! end before), `h2c` (connections that began as HTTP/1.1).

mod dispatch;
mod expiry;
pub(super) mod h2c;
mod pending;
pub(super) mod scheduler;
pub(super) mod serve;
mod start;
mod unserved;

use std::sync::Arc;

use crate::{exchange::ResponseSource, telemetry::Http2Meter};
use scheduler::RequestScheduler;

/// The parts that all connections share, and that answer their requests.
pub(crate) struct Responder<A> {
    /// The store, which is asked first.
    pub stored: Arc<dyn ResponseSource>,
    /// The application, which answers requests that the store does not.
    pub app: Arc<A>,
    /// The decision when the application gets a request.
    pub scheduler: Arc<RequestScheduler>,
    /// The counters of clients' faults.
    pub meter: Arc<Http2Meter>,
}

impl<A> std::fmt::Debug for Responder<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Responder")
            .field("scheduler", &self.scheduler)
            .finish_non_exhaustive()
    }
}
