//! Counts times by how long they are: [`Histogram`].

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::Counter;

/// Numbers of times between bounds. prometheus-client has a histogram, which takes a lock for each time.
#[derive(Debug)]
pub struct Histogram {
    /// Upper bounds in microseconds, ascending.
    bounds: &'static [u64],
    /// One counter for each bound, and one for longer times.
    counters: Box<[Counter]>,
    /// The sum of all times in microseconds: 64 bits last for 58 years of 10,000 concurrent requests.
    sum: AtomicU64,
}

/// The numbers of a histogram at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Distribution {
    /// Upper bounds in seconds, each with the number of times between the bound before and this one. The last bound is
    /// infinite.
    pub buckets: Vec<(f64, u64)>,
    /// The sum of all times in seconds.
    pub sum: f64,
}

impl Distribution {
    /// Returns the number of times.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, number)| number).sum()
    }
}

const MILLISECOND: u64 = 1000;
const SECOND: u64 = 1000 * MILLISECOND;

/// Bounds from half a millisecond, which a stored response takes, to a minute, which is the usual limit of an origin.
const BOUNDS: &[u64] = &[
    MILLISECOND / 2,
    MILLISECOND,
    5 * MILLISECOND / 2,
    5 * MILLISECOND,
    10 * MILLISECOND,
    25 * MILLISECOND,
    50 * MILLISECOND,
    100 * MILLISECOND,
    250 * MILLISECOND,
    500 * MILLISECOND,
    SECOND,
    5 * SECOND / 2,
    5 * SECOND,
    10 * SECOND,
    30 * SECOND,
    60 * SECOND,
];

impl Default for Histogram {
    fn default() -> Self {
        Self {
            bounds: BOUNDS,
            counters: (0..=BOUNDS.len()).map(|_| Counter::default()).collect(),
            sum: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    /// Counts a time.
    pub fn observe(&self, time: Duration) {
        let time = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let place = self.bounds.partition_point(|&bound| bound < time);
        if let Some(counter) = self.counters.get(place) {
            counter.increment();
        }
        self.sum.fetch_add(time, Relaxed);
    }

    /// Returns the numbers of this moment.
    #[must_use]
    pub fn distribution(&self) -> Distribution {
        let bounds = self.bounds.iter().map(|&bound| seconds(bound));
        let numbers = self.counters.iter().map(Counter::get);
        Distribution {
            buckets: bounds.chain([f64::INFINITY]).zip(numbers).collect(),
            sum: seconds(self.sum.load(Relaxed)),
        }
    }
}

fn seconds(microseconds: u64) -> f64 {
    Duration::from_micros(microseconds).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_counts_below_the_next_bound() {
        let histogram = Histogram::default();
        for micros in [0, 500, 501, 1000, 60_000_000, 60_000_001, u64::MAX / 2] {
            histogram.observe(Duration::from_micros(micros));
        }
        let distribution = histogram.distribution();
        let filled: Vec<_> = distribution.buckets.iter().filter(|(_, number)| *number > 0).collect();
        assert_eq!(filled, [&(0.0005, 2), &(0.001, 2), &(60.0, 1), &(f64::INFINITY, 2)]);
        assert_eq!(distribution.count(), 7);
    }

    #[test]
    fn the_sum_is_in_seconds() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_millis(1500));
        histogram.observe(Duration::from_millis(250));
        let sum = histogram.distribution().sum;
        assert!((sum - 1.75).abs() < 1e-9, "{sum}");
    }
}
