//! Counts events without a lock: requests write counters, gauges and histograms, and a scrape reads them.
//!
//! Each value is one relaxed atomic, so a scrape may see one of two values that belong together before the other.
//! Reading order: this file (counters, gauges, and counters by a label), then `histogram`.

mod histogram;

use std::{
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

pub use histogram::{Distribution, Histogram};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds a number.
    pub fn add(&self, number: u64) {
        self.0.fetch_add(number, Relaxed);
    }

    /// Adds a number of bytes or links.
    pub fn add_size(&self, size: usize) {
        self.add(u64::try_from(size).unwrap_or(u64::MAX));
    }

    /// Returns the number of this moment.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The number of things that exist now.
#[derive(Debug, Default)]
pub struct Gauge(AtomicUsize);

/// One thing that is counted until it is dropped.
#[derive(Debug)]
pub struct Counted(Arc<Gauge>);

impl Gauge {
    /// Counts one more thing until the returned value is dropped.
    #[must_use]
    pub fn count(self: &Arc<Self>) -> Counted {
        self.0.fetch_add(1, Relaxed);
        Counted(Arc::clone(self))
    }

    /// Returns the number of this moment.
    #[must_use]
    pub fn get(&self) -> usize {
        self.0.load(Relaxed)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}

/// An enum whose values are the values of a metric's label.
pub trait Label: Copy + 'static {
    /// Every value, each at the place that is its [`index`](Self::index).
    const ALL: &'static [Self];

    /// Returns the value's name in logs and metrics.
    fn label(self) -> &'static str;

    /// Returns the value's place in [`ALL`](Self::ALL).
    fn index(self) -> usize;
}

/// Defines an enum that is a [`Label`]: each value with its name.
macro_rules! labels {
    ($(#[$outer:meta])* $visibility:vis enum $name:ident { $($(#[$doc:meta])* $variant:ident = $label:literal,)+ }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $visibility enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $crate::meter::Label for $name {
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)+
                }
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

pub(crate) use labels;

/// One counter for each value of a label.
#[derive(Debug)]
pub struct Counters<L> {
    counters: Box<[Counter]>,
    label: PhantomData<L>,
}

impl<L: Label> Default for Counters<L> {
    fn default() -> Self {
        Self {
            counters: L::ALL.iter().map(|_| Counter::default()).collect(),
            label: PhantomData,
        }
    }
}

impl<L: Label> Counters<L> {
    /// Adds one to the counter of a value.
    pub fn increment(&self, label: L) {
        self.add(label, 1);
    }

    /// Adds a number to the counter of a value.
    pub fn add(&self, label: L, number: u64) {
        if let Some(counter) = self.counters.get(label.index()) {
            counter.add(number);
        }
    }

    /// Returns the number of a value at this moment.
    #[must_use]
    pub fn get(&self, label: L) -> u64 {
        self.counters.get(label.index()).map_or(0, Counter::get)
    }

    /// Yields each value with its number.
    pub fn iter(&self) -> impl Iterator<Item = (L, u64)> + '_ {
        L::ALL.iter().map(|&label| (label, self.get(label)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    labels! {
        /// The kinds of a test.
        enum Kind {
            /// One.
            First = "first",
            /// Another.
            Second = "second",
        }
    }

    #[test]
    fn each_label_has_a_counter_of_its_own() {
        let counters = Counters::<Kind>::default();
        counters.increment(Kind::Second);
        counters.add(Kind::Second, 2);
        let counted: Vec<_> = counters.iter().map(|(kind, number)| (kind.label(), number)).collect();
        assert_eq!(counted, [("first", 0), ("second", 3)]);
    }

    #[test]
    fn a_gauge_counts_what_exists() {
        let gauge = Arc::new(Gauge::default());
        let (one, other) = (gauge.count(), gauge.count());
        assert_eq!(gauge.get(), 2);
        drop(one);
        assert_eq!(gauge.get(), 1);
        drop(other);
        assert_eq!(gauge.get(), 0);
    }
}
