//! Counts events of HTTP/2 connections that belong to no route.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::meter::{Gauge, Histogram};

/// The counters of HTTP/2 connections.
#[derive(Debug, Default)]
pub struct Http2Meter {
    /// Numbers by [`FaultKind`]. Only a client's fault takes the lock, which is one at most for each of its frames.
    faults: Mutex<BTreeMap<FaultKind, u64>>,
}

/// A kind of fault of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FaultKind {
    /// The reason, as in the log.
    pub reason: &'static str,
    /// `stream` or `connection`: the part that the fault ended.
    pub scope: &'static str,
}

impl Http2Meter {
    /// Counts a stream, or a connection, of HTTP/2 that was ended for what its client did.
    pub fn count_fault(&self, reason: &'static str, is_of_stream: bool) {
        let scope = if is_of_stream { "stream" } else { "connection" };
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        *faults.entry(FaultKind { reason, scope }).or_default() += 1;
    }

    /// Returns the faults so far, with their numbers.
    #[must_use]
    pub fn faults(&self) -> Vec<(FaultKind, u64)> {
        let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.iter().map(|(&kind, &number)| (kind, number)).collect()
    }
}

/// The counters of requests that wait before they start.
#[derive(Debug, Default)]
pub struct WaitMeter {
    /// Requests that wait now.
    pub waiting: Arc<Gauge>,
    /// The times that requests have waited, without those that started at once.
    pub waited: Histogram,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_reason_and_scope() {
        let meter = Http2Meter::default();
        meter.count_fault("malformed", true);
        meter.count_fault("malformed", true);
        meter.count_fault("too_many_resets", false);
        let kind = |reason, scope| FaultKind { reason, scope };
        assert_eq!(
            meter.faults(),
            [
                (kind("malformed", "stream"), 2),
                (kind("too_many_resets", "connection"), 1)
            ]
        );
    }
}
