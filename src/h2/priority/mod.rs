//! Decides which stream sends next (`schedule`, RFC 9218), and how many bytes of pushes the path to the client takes
//! (`path`).

pub(super) mod path;
pub(super) mod schedule;

use std::time::Duration;

/// The permission to send pushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowance {
    /// At most this number of bytes may be sent now.
    Bytes(usize),
    /// Nothing may be sent before this time has passed.
    After(Duration),
}

/// The limit of pushes on the path to the client.
pub(super) trait PushPath {
    /// Returns how many bytes of pushes may be sent now. The core calls this only when a push is next.
    fn allowance(&mut self) -> Allowance;

    /// Counts bytes of content of a push that were sent.
    fn count(&mut self, bytes: usize);
}
