//! The beginning of everything on a connection: its driver (`serve`), when requests start (`pending`, `scheduler`,
//! `start`), and a connection that began as HTTP/1.1 (`h2c`).

mod dispatch;
mod expiry;
pub(super) mod h2c;
mod pending;
pub(super) mod scheduler;
pub(super) mod serve;
mod start;

use std::sync::Arc;

use crate::{exchange::ResponseSource, telemetry::Metrics};
use scheduler::RequestScheduler;

/// Answers the requests of all connections.
pub(crate) struct Responder<A> {
    /// Asked first.
    pub stored: Arc<dyn ResponseSource>,
    /// Asked for the others.
    pub app: Arc<A>,
    /// Says when it is.
    pub scheduler: Arc<RequestScheduler>,
    /// Counts what clients do that HTTP/2 does not allow.
    pub metrics: Metrics,
}

impl<A> std::fmt::Debug for Responder<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Responder")
            .field("scheduler", &self.scheduler)
            .finish_non_exhaustive()
    }
}
