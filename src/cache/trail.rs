//! The key of an answer for Pingora's cache, and what rides in it from one step of a request to the next.

use std::sync::atomic::{AtomicU64, Ordering};

use pingora_cache::{CacheKey, CacheMeta, key::CacheHashKey};

use super::{
    key::{EntryKey, UrlHash, Variance},
    purge::Begun,
    store::Store,
};

/// When a request began, whether it has a cookie, and what it found last. In one, since each thing that rides in a key is an allocation.
#[derive(Debug, Default)]
pub(super) struct Trail {
    /// So that a purge that comes later is heeded.
    pub(super) begun: Begun,
    /// Whether the request has a cookie that its route looks at.
    pub(super) has_cookie: bool,
    /// The id of an answer, or 0. Atomic only because a look-up has the key by reference.
    found: AtomicU64,
}

impl Trail {
    /// That of the request with this key.
    pub(super) fn of(key: &CacheKey) -> Option<&Self> {
        key.extensions.get()
    }

    /// A look-up has come to its end.
    pub(super) fn note(&self, found: Option<u64>) {
        self.found.store(found.unwrap_or(NOTHING), Ordering::Relaxed);
    }

    /// Whether the last look-up found this answer.
    pub(super) fn has_found(&self, id: u64) -> bool {
        self.found.load(Ordering::Relaxed) == id
    }
}

/// No answer has this id.
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

/// What the request that revalidates an answer has in the fields that the answer varies by from now on. Rides in Pingora's
/// record of the answer, which knows only what it varied by before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Revalidating(pub(super) Option<Variance>);

/// Tells the store by what an answer varies that has been revalidated.
pub fn revalidated(meta: &mut CacheMeta, variance: Option<Variance>) {
    meta.extensions_mut().insert::<Revalidating>(Revalidating(variance));
}

/// The key of an answer for Pingora's cache: `text` is its URL, whose hash is `url`. The request begins now.
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

/// Notes in its key that a request has a cookie at which its route looks.
pub fn note_cookie(key: &mut CacheKey) {
    if let Some(trail) = key.extensions.get_mut::<Trail>() {
        trail.has_cookie = true;
    }
}

/// What a key is of.
pub(super) fn entry_of(key: &impl CacheHashKey) -> EntryKey {
    EntryKey {
        url: UrlHash::from_bytes(key.primary_bin()),
        variance: key.variance_bin(),
    }
}
