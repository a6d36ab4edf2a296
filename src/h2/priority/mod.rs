//! The order of streams (`schedule`), and the bytes of pushes that may be on the path (`path`).

pub(super) mod path;
pub(super) mod schedule;

use std::time::Duration;

/// Bytes of pushes that the path takes now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowance {
    /// At most so many.
    Bytes(usize),
    /// Ask again after this time.
    After(Duration),
}

/// Tells how much of pushes the path to the client takes. It is asked only when a push is next.
pub(super) trait PushPath {
    /// Returns how much may be sent now.
    fn allowance(&mut self) -> Allowance;

    /// Counts bytes of a push that were sent.
    fn count(&mut self, bytes: usize);
}
