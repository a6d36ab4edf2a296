//! Limits the memory that the request heads of all HTTP/2 connections of a process take together.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bytes of request heads that the streams of many connections hold.
#[derive(Debug)]
pub(in crate::h2) struct HeadBudget {
    held: AtomicUsize,
    most: usize,
}

impl HeadBudget {
    /// Returns a budget of this number of bytes.
    pub(in crate::h2) const fn new(most: usize) -> Self {
        Self {
            held: AtomicUsize::new(0),
            most,
        }
    }

    pub(super) fn is_spent(&self) -> bool {
        self.held.load(Relaxed) >= self.most
    }

    pub(super) fn take(&self, bytes: usize) {
        self.held.fetch_add(bytes, Relaxed);
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Relaxed);
    }
}
