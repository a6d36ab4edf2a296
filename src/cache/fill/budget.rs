//! Limits the memory of responses that are arriving to be stored, of each and of all together: [`FillBudget`].

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Counts the bytes that fills hold.
#[derive(Debug)]
pub(in crate::cache) struct FillBudget {
    held: AtomicUsize,
    /// Bytes that all fills together may hold.
    total: usize,
    /// Bytes that one fill may hold.
    one: usize,
}

impl FillBudget {
    /// Makes a budget of `total` bytes for all fills together and `one` for each.
    pub(in crate::cache) const fn new(total: usize, one: usize) -> Self {
        Self {
            held: AtomicUsize::new(0),
            total,
            one,
        }
    }

    /// Returns the bytes that fills hold or have reserved.
    pub(in crate::cache) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Counts the bytes even if they exceed the total, and returns whether they fit.
    fn take(&self, bytes: usize) -> bool {
        self.held.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= self.total
    }

    fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Reserves bytes for content of this length; `None` if the limits leave too few.
    pub(in crate::cache) fn reserve(self: &Arc<Self>, length: usize) -> Option<Reserved> {
        let reserved = Reserved {
            budget: Arc::clone(self),
            bytes: AtomicUsize::new(length),
        };
        (self.take(length) && length <= self.one).then_some(reserved)
    }
}

/// Bytes reserved for content whose length is known. Dropping gives them back, unless a `Share` has claimed them.
#[derive(Debug)]
pub struct Reserved {
    budget: Arc<FillBudget>,
    bytes: AtomicUsize,
}

impl Reserved {
    /// Takes the reserved bytes out; from now on the caller must give them back.
    fn claim(&self) -> usize {
        self.bytes.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.give_back(self.claim());
    }
}

/// The part of the budget that one fill uses.
#[derive(Debug)]
pub(in crate::cache) struct Share {
    budget: Arc<FillBudget>,
    /// Bytes counted in the budget: `used`, or more where more were reserved.
    counted: usize,
    /// Bytes taken and not given back.
    used: usize,
}

impl Share {
    /// Makes the share of one fill, which claims the bytes that were reserved for its content, if any.
    pub(in crate::cache) fn new(budget: &Arc<FillBudget>, reserved: Option<&Reserved>) -> Self {
        Self {
            budget: Arc::clone(budget),
            counted: reserved.map_or(0, Reserved::claim),
            used: 0,
        }
    }

    /// Counts the bytes even if they exceed a limit, and returns whether the content may still be stored.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        self.used += bytes;
        let missing = self.used.saturating_sub(self.counted);
        self.counted += missing;
        let has_room = missing == 0 || self.budget.take(missing);
        has_room && self.used <= self.budget.one
    }

    /// Gives back bytes that the fill no longer holds.
    pub(super) fn give_back(&mut self, bytes: usize) {
        self.used = self.used.saturating_sub(bytes);
        self.budget.give_back(self.counted - self.used.min(self.counted));
        self.counted = self.counted.min(self.used);
    }

    /// Gives back all that is still counted.
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
    fn reserved_bytes_are_there_when_the_fill_takes_them() {
        let budget = Arc::new(FillBudget::new(100, 60));
        let reserved = budget.reserve(60).expect("room");
        assert!(budget.reserve(50).is_none() && budget.reserve(61).is_none());
        assert_eq!(budget.held(), 60);
        let mut share = Share::new(&budget, Some(&reserved));
        drop(reserved);
        assert_eq!(budget.held(), 60, "the share has claimed them");
        let mut other = Share::new(&budget, None);
        assert!(other.take(40));
        assert!(share.take(60), "though the total is used up");
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
