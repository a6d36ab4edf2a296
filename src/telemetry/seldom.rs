//! Limits the rate of a warning that clients can cause at will, and counts the warnings left out.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A limit of one warning per [`PAUSE`], with a count of the others.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<SeldomState>);

#[derive(Debug, Default)]
struct SeldomState {
    last: Option<Instant>,
    left_out: u64,
}

/// A limit for each of some kinds of warnings, which share no count. The kinds must be bounded: names of reasons,
/// addresses of listeners.
#[derive(Debug)]
pub struct SeldomEach<K>(Mutex<HashMap<K, Seldom>>);

impl<K> Default for SeldomEach<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> SeldomEach<K> {
    /// Returns the number of warnings of this kind left out, as [`Seldom::may_warn`] does.
    #[must_use]
    pub fn may_warn(&self, kind: K, now: Instant) -> Option<LeftOut> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.entry(kind).or_default().may_warn(now)
    }
}

/// Least time between two warnings: at most six lines a minute.
pub const PAUSE: Duration = Duration::from_secs(10);

/// The number of warnings left out since the previous one; displays as nothing for 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftOut(u64);

impl Seldom {
    /// Returns a limit by which nothing was logged yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(SeldomState {
            last: None,
            left_out: 0,
        }))
    }

    /// Returns the number of warnings left out if a warning may be logged now; else counts it as left out.
    #[must_use]
    pub fn may_warn(&self, now: Instant) -> Option<LeftOut> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_soon = |last| now.saturating_duration_since(last) < PAUSE;
        if state.last.is_some_and(is_soon) {
            state.left_out += 1;
            return None;
        }
        state.last = Some(now);
        Some(LeftOut(std::mem::take(&mut state.left_out)))
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            left_out => write!(f, " ({left_out} more like it were not logged)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_becomes_one_warning_and_a_count() {
        let seldom = Seldom::default();
        let start = Instant::now();
        assert_eq!(seldom.may_warn(start), Some(LeftOut(0)));
        for _ in 0..5 {
            assert_eq!(seldom.may_warn(start + PAUSE / 2), None);
        }
        let next = seldom.may_warn(start + PAUSE).expect("a pause later");
        assert_eq!(next.to_string(), " (5 more like it were not logged)");
        assert_eq!(seldom.may_warn(start + PAUSE * 2).expect("another").to_string(), "");
    }

    #[test]
    fn kinds_of_warnings_have_limits_of_their_own() {
        let each = SeldomEach::default();
        let start = Instant::now();
        assert!(each.may_warn(("one", 1), start).is_some());
        assert!(each.may_warn(("one", 1), start).is_none());
        assert!(each.may_warn(("one", 2), start).is_some());
        assert!(each.may_warn(("two", 1), start).is_some());
    }
}
