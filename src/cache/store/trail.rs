//! Makes keys for Pingora's cache, in which facts of a request ride from one phase to the next: [`Trail`].

use std::sync::atomic::{AtomicU64, Ordering};

use pingora_cache::{CacheKey, CacheMeta, key::CacheHashKey};

use super::memory::Store;
use crate::cache::{
    purge::Begun,
    rules::key::{EntryKey, UrlHash, Variance},
};

/// Facts of a request that ride in its key: in one struct, since each extension of a key costs an allocation.
#[derive(Debug, Default)]
pub(in crate::cache) struct Trail {
    /// The mark of the request's beginning: a purge after it prevents storing.
    pub(in crate::cache) begun: Begun,
    /// Whether the request has a cookie, and its route treats such requests apart.
    pub(in crate::cache) has_cookie: bool,
    /// The id of the response that the last look-up found, or [`NOTHING`]. Atomic only because look-ups get the key by
    /// reference.
    found: AtomicU64,
}

impl Trail {
    /// Returns the trail of the request with this key.
    pub(in crate::cache) fn of(key: &CacheKey) -> Option<&Self> {
        key.extensions.get()
    }

    /// Notes what a look-up found.
    pub(in crate::cache) fn note(&self, found: Option<u64>) {
        self.found.store(found.unwrap_or(NOTHING), Ordering::Relaxed);
    }

    /// Returns whether the last look-up found this response.
    pub(in crate::cache) fn has_found(&self, id: u64) -> bool {
        self.found.load(Ordering::Relaxed) == id
    }
}

/// An id that no response has.
const NOTHING: u64 = 0;

impl Clone for Trail {
    fn clone(&self) -> Self {
        Self {
            begun: self.begun,
            has_cookie: self.has_cookie,
            found: AtomicU64::new(self.found.load(Ordering::Relaxed)),
        }
    }
}

/// The variance of the request that revalidates a response, by the `Vary` of the 304. Rides in the extensions of
/// `CacheMeta`, whose own variance is by the old `Vary`.
#[derive(Debug, Clone, Copy)]
pub(in crate::cache) struct Revalidating(pub(in crate::cache) Option<Variance>);

/// Hands the store the new variance of a response that has been revalidated.
pub fn revalidated(meta: &mut CacheMeta, variance: Option<Variance>) {
    meta.extensions_mut().insert::<Revalidating>(Revalidating(variance));
}

/// Makes the cache key of a request that begins now: `text` is its URL, `url` the hash of the URL.
#[must_use]
pub fn cache_key(store: &Store, url: UrlHash, text: String, upstream: &str) -> CacheKey {
    let mut key = CacheKey::new(text, upstream);
    key.set_primary_bin_override(url.to_bytes());
    key.extensions.insert::<Trail>(Trail {
        begun: store.begin(url),
        ..Trail::default()
    });
    key
}

/// Notes in a request's key that it has a cookie, and that its route treats such requests apart.
pub fn note_cookie(key: &mut CacheKey) {
    if let Some(trail) = key.extensions.get_mut::<Trail>() {
        trail.has_cookie = true;
    }
}

/// Returns the store's key for a key of Pingora's cache.
pub(in crate::cache) fn entry_of(key: &impl CacheHashKey) -> EntryKey {
    EntryKey {
        url: UrlHash::from_bytes(key.primary_bin()),
        variance: key.variance_bin(),
    }
}
