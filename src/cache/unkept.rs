//! URLs whose answers could not be kept lately: requests for them do not wait for each other.
//!
//! With and without a cookie apart, since what is kept may depend on it.

use std::time::Duration;

use moka::sync::Cache;
use pingora_cache::{CacheKey, NoCacheReason, key::CacheHashKey as _, predictor::CacheablePredictor};

use super::{
    key::{TakeAsIs, UrlHash},
    store::Store,
    trail::Trail,
};

/// Why an answer is not kept that might be the next time: too much is on its way. Nobody waits for it.
pub const NO_ROOM: &str = "no_room";

/// What Pingora asks before it looks anything up.
#[derive(Debug)]
pub struct Unkept {
    reasons: Cache<UrlHash, NoCacheReason, TakeAsIs>,
    store: &'static Store,
}

/// URLs that are remembered, and for how long: an answer that may be kept ends it sooner.
const MOST_URLS: u64 = 16_384;
const REMEMBERED_FOR: Duration = Duration::from_secs(300);

impl Unkept {
    /// An empty memory beside a store.
    #[must_use]
    pub fn new(store: &'static Store) -> Self {
        Self {
            reasons: Cache::builder()
                .max_capacity(MOST_URLS)
                .time_to_live(REMEMBERED_FOR)
                .build_with_hasher(TakeAsIs::default()),
            store,
        }
    }
}

/// The URL, or another hash for the same with a cookie.
fn mark(key: &CacheKey) -> UrlHash {
    let mut bytes = key.primary_bin();
    if Trail::of(key).is_some_and(|trail| trail.has_cookie) {
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
    }
    UrlHash::from_bytes(bytes)
}

impl CacheablePredictor for Unkept {
    fn cacheable_prediction(&self, key: &CacheKey) -> bool {
        self.predicted_uncacheable_reason(key).is_none()
    }

    fn predicted_uncacheable_reason(&self, key: &CacheKey) -> Option<NoCacheReason> {
        let reason = self.reasons.get(&mark(key))?;
        // Somebody else's answer may be there all the same.
        (!self.store.has(UrlHash::from_bytes(key.primary_bin()))).then_some(reason)
    }

    fn mark_cacheable(&self, key: &CacheKey) -> bool {
        self.reasons.remove(&mark(key)).is_none()
    }

    fn mark_uncacheable(&self, key: &CacheKey, reason: NoCacheReason) -> Option<bool> {
        let says_something_of_the_answer = match reason {
            NoCacheReason::OriginNotCache | NoCacheReason::ResponseTooLarge => true,
            NoCacheReason::Custom(why) => why != NO_ROOM,
            _ => false,
        };
        if !says_something_of_the_answer {
            return None;
        }
        let mark = mark(key);
        let is_new = !self.reasons.contains_key(&mark);
        self.reasons.insert(mark, reason);
        Some(is_new)
    }
}
