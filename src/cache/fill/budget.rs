//! [`FillBudget`]: a limit on the memory of responses that are being stored, of each and of all together.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Bytes that all fills may hold together.
#[derive(Debug)]
pub(in crate::cache) struct FillBudget {
    held: AtomicUsize,
    /// Bytes that all fills may hold.
    total: usize,
    /// Bytes that one fill may hold.
    one: usize,
}

impl FillBudget {
    /// So many bytes for all fills and for each.
    pub(in crate::cache) const fn new(total: usize, one: usize) -> Self {
        Self {
            held: AtomicUsize::new(0),
            total,
            one,
        }
    }

    /// Bytes held by fills now, or set aside for them.
    pub(in crate::cache) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Counts the bytes in any case, and tells whether there is room for them.
    fn take(&self, bytes: usize) -> bool {
        self.held.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= self.total
    }

    fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Room for a content of this length; `None` where there is not enough.
    pub(in crate::cache) fn reserve(self: &Arc<Self>, length: usize) -> Option<Reserved> {
        let reserved = Reserved {
            budget: Arc::clone(self),
            bytes: AtomicUsize::new(length),
        };
        (self.take(length) && length <= self.one).then_some(reserved)
    }
}

/// Room set aside for a content whose length is known. Given back when it is dropped.
#[derive(Debug)]
pub struct Reserved {
    budget: Arc<FillBudget>,
    bytes: AtomicUsize,
}

impl Reserved {
    /// The room is the caller's.
    fn claim(&self) -> usize {
        self.bytes.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.give_back(self.claim());
    }
}

/// What one fill has of the budget.
#[derive(Debug)]
pub(in crate::cache) struct Share {
    budget: Arc<FillBudget>,
    /// Counted in the budget.
    counted: usize,
    /// Bytes that were taken and not given back.
    used: usize,
}

impl Share {
    /// That of a content whose length is known, if room was set aside for it.
    pub(in crate::cache) fn new(budget: &Arc<FillBudget>, reserved: Option<&Reserved>) -> Self {
        Self {
            budget: Arc::clone(budget),
            counted: reserved.map_or(0, Reserved::claim),
            used: 0,
        }
    }

    /// Counts the bytes in any case, and tells whether they may be held to be kept.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        self.used += bytes;
        let missing = self.used.saturating_sub(self.counted);
        self.counted += missing;
        let has_room = missing == 0 || self.budget.take(missing);
        has_room && self.used <= self.budget.one
    }

    /// Bytes that are not held any more.
    pub(super) fn give_back(&mut self, bytes: usize) {
        self.used = self.used.saturating_sub(bytes);
        self.budget.give_back(self.counted - self.used.min(self.counted));
        self.counted = self.counted.min(self.used);
    }

    /// Nothing of it is counted here any more.
    pub(super) fn settle(&mut self) {
        self.budget.give_back(std::mem::take(&mut self.counted));
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.settle();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_aside_is_there_when_it_is_needed() {
        let budget = Arc::new(FillBudget::new(100, 60));
        let reserved = budget.reserve(60).expect("room");
        assert!(budget.reserve(50).is_none() && budget.reserve(61).is_none());
        assert_eq!(budget.held(), 60);
        let mut share = Share::new(&budget, Some(&reserved));
        drop(reserved);
        assert_eq!(budget.held(), 60, "it is the share's now");
        let mut other = Share::new(&budget, None);
        assert!(other.take(40));
        assert!(share.take(60), "though nothing else is left");
        assert!(!other.take(1));
        other.give_back(41);
        assert_eq!(budget.held(), 60);
        assert!(!share.take(1), "more than one may hold");
        drop((share, other));
        assert_eq!(budget.held(), 0);
        drop(budget.reserve(10).expect("room"));
        assert_eq!(budget.held(), 0);
    }
}
