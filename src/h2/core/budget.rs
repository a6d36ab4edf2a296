//! Limits the cost of a client over time (RFC 9113 section 10.5): token buckets that useless frames and resets empty,
//! and that time and useful exchanges fill.

use std::time::{Duration, Instant};

/// A bucket of tokens.
#[derive(Debug)]
pub(super) struct Budget {
    tokens: u32,
    capacity: u32,
    /// Tokens a second that come back.
    rate: u32,
    refilled: Option<Instant>,
}

impl Budget {
    pub(super) const fn new(capacity: u32, rate: u32) -> Self {
        Self {
            tokens: capacity,
            capacity,
            rate,
            refilled: None,
        }
    }

    /// Takes tokens; returns `false`, with the bucket empty, if there are not enough.
    pub(super) fn spend(&mut self, tokens: u32, now: Instant) -> bool {
        self.refill(now);
        let left = self.tokens.checked_sub(tokens);
        self.tokens = left.unwrap_or(0);
        left.is_some()
    }

    /// Gives tokens back for a useful exchange.
    pub(super) fn earn(&mut self, tokens: u32) {
        self.tokens = self.tokens.saturating_add(tokens).min(self.capacity);
    }

    fn refill(&mut self, now: Instant) {
        let since = *self.refilled.get_or_insert(now);
        let passed = now.saturating_duration_since(since);
        let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        let back = millis.saturating_mul(self.rate.into()) / 1000;
        if back > 0 {
            self.earn(u32::try_from(back).unwrap_or(u32::MAX));
            self.refilled = Some(since + Duration::from_millis(back * 1000 / u64::from(self.rate.max(1))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_with_time_and_with_use() {
        let start = Instant::now();
        let mut budget = Budget::new(10, 2);
        assert!(budget.spend(10, start));
        assert!(!budget.spend(1, start));
        assert!(!budget.spend(1, start + Duration::from_millis(499)));
        assert!(budget.spend(1, start + Duration::from_millis(500)));
        assert!(budget.spend(1, start + Duration::from_millis(1100)));
        assert!(
            !budget.spend(1, start + Duration::from_millis(1400)),
            "fractions of a token carry over exactly"
        );
        budget.earn(3);
        assert!(budget.spend(3, start + Duration::from_millis(1400)));
        assert!(budget.spend(10, start + Duration::from_secs(3600)));
        assert!(
            !budget.spend(1, start + Duration::from_secs(3600)),
            "no more than its capacity"
        );
    }
}
