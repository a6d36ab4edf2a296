//! Remembers URLs whose last response was not storable, so that requests for them do not wait for each other:
//! [`Uncacheable`].
//!
//! Requests with and without a cookie are remembered apart, since storing may depend on the cookie.

use std::time::Duration;

use moka::sync::Cache;
use pingora_cache::{CacheKey, NoCacheReason, key::CacheHashKey as _, predictor::CacheablePredictor};

use super::{memory::Store, trail::Trail};
use crate::cache::rules::key::{TakeAsIs, UrlHash};

/// The reason not to store a response for which the fills leave no room now. The next one may be stored, so the URL is
/// not remembered.
pub const NO_ROOM: &str = "no_room";

/// The predictor that Pingora asks before each look-up.
#[derive(Debug)]
pub struct Uncacheable {
    reasons: Cache<UrlHash, NoCacheReason, TakeAsIs>,
    store: &'static Store,
}

/// URLs that are remembered, and for how long: a storable response ends it sooner.
const MAX_URLS: u64 = 16_384;
const REMEMBERED_FOR: Duration = Duration::from_secs(300);

impl Uncacheable {
    /// Makes an empty memory for a store.
    #[must_use]
    pub fn new(store: &'static Store) -> Self {
        Self {
            reasons: Cache::builder()
                .max_capacity(MAX_URLS)
                .time_to_live(REMEMBERED_FOR)
                .build_with_hasher(TakeAsIs::default()),
            store,
        }
    }
}

/// Returns the hash of the URL, with its bits inverted for a request with a cookie.
fn mark(key: &CacheKey) -> UrlHash {
    let mut bytes = key.primary_bin();
    if Trail::of(key).is_some_and(|trail| trail.has_cookie) {
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
    }
    UrlHash::from_bytes(bytes)
}

impl CacheablePredictor for Uncacheable {
    fn cacheable_prediction(&self, key: &CacheKey) -> bool {
        self.predicted_uncacheable_reason(key).is_none()
    }

    fn predicted_uncacheable_reason(&self, key: &CacheKey) -> Option<NoCacheReason> {
        let reason = self.reasons.get(&mark(key))?;
        // A response to a request of the other kind may be stored.
        (!self.store.has(UrlHash::from_bytes(key.primary_bin()))).then_some(reason)
    }

    fn mark_cacheable(&self, key: &CacheKey) -> bool {
        self.reasons.remove(&mark(key)).is_none()
    }

    fn mark_uncacheable(&self, key: &CacheKey, reason: NoCacheReason) -> Option<bool> {
        let concerns_the_response = match reason {
            NoCacheReason::OriginNotCache | NoCacheReason::ResponseTooLarge => true,
            NoCacheReason::Custom(why) => why != NO_ROOM,
            _ => false,
        };
        if !concerns_the_response {
            return None;
        }
        let mark = mark(key);
        let is_new = !self.reasons.contains_key(&mark);
        self.reasons.insert(mark, reason);
        Some(is_new)
    }
}
