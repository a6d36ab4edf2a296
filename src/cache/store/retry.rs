//! Decides when a stored response is revalidated in the background again after that has failed: [`Retries`].
//!
//! Without pauses each request would try again. A URL pauses for [`FIRST`] after the first failure, twice as long after
//! each further one, up to [`LONGEST`]. A revalidation that succeeds ends the pause, and [`REMEMBERED_FOR`] without a
//! failure forgets it.

use std::time::{Duration, Instant};

use moka::sync::Cache;

use crate::cache::rules::key::{TakeAsIs, UrlHash};

/// URLs whose last revalidation in the background failed.
#[derive(Debug)]
pub struct Retries {
    pauses: Cache<UrlHash, Pause, TakeAsIs>,
}

/// Consecutive failures of one URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pause {
    failures: u32,
    until: Instant,
}

/// URLs that are remembered, in about 2 MB at most. A URL that is evicted is tried again too soon, once.
const MAX_URLS: u64 = 16_384;

/// Time for which a failure is remembered: longer than [`LONGEST`], so that the pause after the longest is not
/// [`FIRST`] again.
const REMEMBERED_FOR: Duration = Duration::from_secs(300);

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

impl Default for Retries {
    fn default() -> Self {
        Self {
            pauses: Cache::builder()
                .max_capacity(MAX_URLS)
                .time_to_live(REMEMBERED_FOR)
                .build_with_hasher(TakeAsIs::default()),
        }
    }
}

impl Retries {
    /// Returns whether the response of a URL is not to be revalidated in the background yet.
    #[must_use]
    pub fn is_paused(&self, url: UrlHash, now: Instant) -> bool {
        self.pauses.get(&url).is_some_and(|pause| now < pause.until)
    }

    /// Notes that a revalidation in the background failed.
    pub fn failed(&self, url: UrlHash, now: Instant) {
        let before = self.pauses.get(&url).map_or(0, |pause| pause.failures);
        let failures = before.saturating_add(1);
        let until = now + length(failures);
        self.pauses.insert(url, Pause { failures, until });
    }

    /// Notes that the origin has sent a response.
    pub fn succeeded(&self, url: UrlHash) {
        if self.pauses.contains_key(&url) {
            self.pauses.invalidate(&url);
        }
    }
}

/// Returns the pause after this many failures.
fn length(failures: u32) -> Duration {
    let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    FIRST.saturating_mul(factor).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        for (failures, seconds) in [
            (1, 1),
            (2, 2),
            (3, 4),
            (6, 32),
            (7, 60),
            (32, 60),
            (33, 60),
            (u32::MAX, 60),
        ] {
            assert_eq!(length(failures), Duration::from_secs(seconds), "{failures}");
        }
        assert!(LONGEST < REMEMBERED_FOR);
    }

    #[test]
    fn a_url_is_revalidated_after_its_pause_and_success_ends_the_pauses() {
        let retries = Retries::default();
        let (one, other) = (UrlHash::from_bytes([1; 16]), UrlHash::from_bytes([2; 16]));
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        assert!(!retries.is_paused(one, start));
        retries.failed(one, start);
        assert!(retries.is_paused(one, at(999)));
        assert!(!retries.is_paused(one, at(1000)));
        assert!(!retries.is_paused(other, at(1)));
        retries.failed(one, at(1000));
        assert!(retries.is_paused(one, at(2999)));
        assert!(!retries.is_paused(one, at(3000)));
        retries.succeeded(one);
        assert!(!retries.is_paused(one, at(1001)));
        retries.failed(one, at(1001));
        assert!(!retries.is_paused(one, at(2001)), "the first pause again");
    }
}
