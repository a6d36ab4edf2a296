//! Counts the requests that are running, for the log of a shutdown.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The number of running requests; clones share it.
#[derive(Debug, Clone, Default)]
pub struct OpenRequests(Arc<AtomicUsize>);

/// One running request; dropping it ends its count.
#[derive(Debug)]
pub(super) struct OpenRequest(Arc<AtomicUsize>);

impl OpenRequests {
    /// Returns the number.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts one more request until the returned value is dropped.
    pub(super) fn begin(&self) -> OpenRequest {
        self.0.fetch_add(1, Ordering::Relaxed);
        OpenRequest(Arc::clone(&self.0))
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
