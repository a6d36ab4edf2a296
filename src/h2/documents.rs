//! What the client asked for, by urgency: which bodies are under way, and whether one has to wait.
//!
//! Those of one urgency are sent in turn, by the h2 crate; a less urgent one waits while a more urgent one
//! has bytes (RFC 9218 section 10). Of a client that says nothing all have the same urgency, and none waits.
//!
//! Atomic numbers only: this is on the way of every response.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use super::order::Patience;
use crate::push::Urgency;

/// The documents of one connection.
#[derive(Debug, Default)]
pub(super) struct Documents([Level; Urgency::LEVELS]);

/// Those of one urgency.
#[derive(Debug, Default)]
struct Level {
    open: AtomicUsize,
    stalled: AtomicUsize,
    /// Milliseconds to the last time that one made progress.
    progress: AtomicU64,
}

impl Documents {
    fn level(&self, urgency: Urgency) -> Option<&Level> {
        self.0.get(usize::from(urgency.value()))
    }

    /// One begins its body.
    pub(super) fn open(&self, urgency: Urgency, now: Duration) {
        self.progress(urgency, now);
        if let Some(level) = self.level(urgency) {
            level.open.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// One is done.
    pub(super) fn close(&self, urgency: Urgency) {
        if let Some(level) = self.level(urgency) {
            level.open.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// One has handed over bytes.
    pub(super) fn progress(&self, urgency: Urgency, now: Duration) {
        if let Some(level) = self.level(urgency) {
            let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
            level.progress.store(millis, Ordering::SeqCst);
        }
    }

    /// One has bytes but no window.
    pub(super) fn stall(&self, urgency: Urgency) {
        if let Some(level) = self.level(urgency) {
            level.stalled.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// It has a window again, or is done.
    pub(super) fn resume(&self, urgency: Urgency) {
        if let Some(level) = self.level(urgency) {
            level.stalled.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Whether there is none that is more urgent, nor any at all for a push.
    pub(super) fn are_none_before(&self, urgency: Option<Urgency>) -> bool {
        self.before(urgency).next().is_none()
    }

    /// How long one of this urgency has to wait for those that are more urgent, or a push for all, if nothing
    /// changes; `None` if it need not.
    pub(super) fn wait(&self, urgency: Option<Urgency>, patience: Patience, now: Duration) -> Option<Duration> {
        let wait_for = |level: &Level| {
            let progress = Duration::from_millis(level.progress.load(Ordering::SeqCst));
            patience.left(progress, level.stalled.load(Ordering::SeqCst) > 0, now)
        };
        self.before(urgency).filter_map(wait_for).max()
    }

    fn before(&self, urgency: Option<Urgency>) -> impl Iterator<Item = &Level> {
        let levels = urgency.map_or(Urgency::LEVELS, |urgency| usize::from(urgency.value()));
        let levels = self.0.iter().take(levels);
        levels.filter(|level| level.open.load(Ordering::SeqCst) > 0)
    }
}
