//! Holds a request's place in a trace, and what becomes its spans.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use crate::{telemetry::spans::Spans, trace::TraceParent};

/// The place of a request in a trace.
#[derive(Debug)]
pub(super) struct RequestTrace {
    /// The request's own span.
    pub(super) place: TraceParent,
    /// The span that caused it, and whether another process has it.
    pub(super) parent: Option<(u64, bool)>,
    /// The data of the spans; `None` if the request is not sampled.
    pub(super) recorded: Option<Box<RecordedTrace>>,
}

/// The data of a sampled request, kept until its spans are made.
#[derive(Debug)]
pub(super) struct RecordedTrace {
    pub(super) spans: Arc<Spans>,
    /// The time of day at [`Self::since`].
    pub(super) now: SystemTime,
    pub(super) since: Instant,
    /// Attempts at servers of the origin.
    pub(super) attempts: Vec<AttemptSpan>,
    /// Times of 103s with new links, and their number.
    pub(super) hints: Vec<(Instant, usize)>,
}

/// One attempt at a server.
#[derive(Debug)]
pub(super) struct AttemptSpan {
    pub(super) id: u64,
    pub(super) server: SocketAddr,
    pub(super) since: Instant,
    /// Time until the head of the final response.
    pub(super) head_after: Option<Duration>,
    /// Time until it failed, and why.
    pub(super) failed: Option<(Duration, String)>,
}

impl RecordedTrace {
    /// Returns the time of day of an instant near the beginning of the request.
    pub(super) fn time_of(&self, instant: Instant) -> SystemTime {
        match self.since.checked_duration_since(instant) {
            Some(before) => self.now - before,
            None => self.now + instant.saturating_duration_since(self.since),
        }
    }
}
