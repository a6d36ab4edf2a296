//! Holds the stored responses, bounded in bytes, and the fills that bring new ones: [`Store`].
//!
//! The cache evicts the responses that are requested least often (W-TinyLFU): a crawler that requests ten million URLs
//! once each does not displace the ones in use.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use http::HeaderMap;
use moka::{notification::RemovalCause, sync::Cache};

use crate::{
    cache::{
        assets::Assets,
        fill::{Fill, FillBudget, FillSource, Reserved, Share},
        object::{Head, Object},
        purge::{Begun, Purge, PurgeLog},
        rules::{
            key::{EntryKey, TakeAsIs, UrlHash, UrlHasher},
            vary,
        },
    },
    meter::Counter,
};

/// How much a store may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreLimits {
    /// Bytes of all stored responses, with the memory needed to manage them.
    pub bytes: u64,
    /// Bytes of the content of one response.
    pub object: u32,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self {
            bytes: 128 * 1024 * 1024,
            object: 4 * 1024 * 1024,
        }
    }
}

/// The stored responses of a server.
#[derive(Debug)]
pub struct Store {
    objects: Cache<EntryKey, Arc<Object>, TakeAsIs>,
    fills: Mutex<HashMap<EntryKey, Vec<Arc<Fill>>, TakeAsIs>>,
    fill_count: AtomicUsize,
    next_id: AtomicU64,
    budget: Arc<FillBudget>,
    purges: RwLock<PurgeLog>,
    assets: Assets,
    hasher: UrlHasher,
    limits: StoreLimits,
    /// Weight inserted since the cache last evicted entries.
    unsettled: AtomicU64,
    meter: Arc<StoreMeter>,
}

/// The counters of a store.
#[derive(Debug, Default)]
pub struct StoreMeter {
    /// Stored responses that were removed to make room.
    pub evicted: Counter,
    /// Requests that waited for another request's response.
    pub collapsed: Counter,
}

impl Store {
    /// Makes an empty store. `secret` must be random, so that no client can predict hashes.
    #[must_use]
    pub fn new(limits: StoreLimits, secret: (u64, u64)) -> Self {
        let meter = Arc::new(StoreMeter::default());
        let evicting = Arc::clone(&meter);
        let objects = Cache::builder()
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    evicting.evicted.increment();
                }
            })
            .max_capacity(limits.bytes)
            .weigher(|_, object: &Arc<Object>| object.weight())
            .build_with_hasher(TakeAsIs::default());
        let one = usize::try_from(limits.object).unwrap_or(usize::MAX);
        let all = usize::try_from(limits.bytes / FILLS_SHARE).unwrap_or(usize::MAX);
        Self {
            objects,
            fills: Mutex::default(),
            fill_count: AtomicUsize::new(0),
            // 0 stands for no response.
            next_id: AtomicU64::new(1),
            budget: Arc::new(FillBudget::new(all.max(one), one)),
            purges: RwLock::default(),
            assets: Assets::default(),
            hasher: UrlHasher::new(secret),
            limits,
            unsettled: AtomicU64::new(0),
            meter,
        }
    }

    /// Returns the counters.
    #[must_use]
    pub fn meter(&self) -> &StoreMeter {
        &self.meter
    }

    /// Returns the limits.
    #[must_use]
    pub const fn limits(&self) -> StoreLimits {
        self.limits
    }

    /// Returns the hasher of the store's keys.
    #[must_use]
    pub const fn hasher(&self) -> &UrlHasher {
        &self.hasher
    }

    /// Returns the URLs that documents preload.
    #[must_use]
    pub const fn assets(&self) -> &Assets {
        &self.assets
    }

    /// Returns the bytes that the content of a response may have.
    #[must_use]
    pub fn object_limit(&self) -> usize {
        usize::try_from(self.limits.object).unwrap_or(usize::MAX)
    }

    /// Returns whether a response is stored for a URL, fresh or not. Does not count as a visit.
    #[must_use]
    pub fn has(&self, url: UrlHash) -> bool {
        self.objects.contains_key(&EntryKey { url, variance: None })
    }

    /// Returns the stored response for a request with this URL and these fields, from this upstream, fresh or not.
    /// Counts as a visit if any response of the URL is stored.
    #[must_use]
    pub fn find(&self, url: UrlHash, upstream: &str, request: &HeaderMap) -> Option<Arc<Object>> {
        let key = EntryKey { url, variance: None };
        // A miss would count as a visit, too, and the look-up before the request to the origin counts already.
        if !self.objects.contains_key(&key) {
            return None;
        }
        let first = self
            .objects
            .get(&key)
            .filter(|first| *first.head.upstream == *upstream)?;
        if first.matches(&self.hasher, request) {
            return Some(first);
        }
        let variance = vary::variance(&self.hasher, &first.head.vary, request);
        let key = EntryKey { url, variance };
        let other = self.objects.get(&key)?;
        let is_valid = *other.head.upstream == *upstream
            && other.head.variance == variance
            && other.head.created >= first.head.created;
        is_valid.then_some(other)
    }

    /// Returns one entry. Counts as a visit, found or not.
    pub(in crate::cache) fn get(&self, key: EntryKey) -> Option<Arc<Object>> {
        self.objects.get(&key)
    }

    /// Returns the mark of a request for this URL that begins now: its response is not stored if the URL is purged or
    /// changed after this.
    pub(in crate::cache) fn begin(&self, url: UrlHash) -> Begun {
        self.purges.read().unwrap_or_else(PoisonError::into_inner).begin(url)
    }

    /// Reserves bytes for content of this length that is to be stored; `None` if too few are free now.
    pub fn reserve(&self, length: usize) -> Option<Reserved> {
        self.budget.reserve(length)
    }

    /// Begins to store a response.
    pub(in crate::cache) fn fill(
        &self,
        key: EntryKey,
        head: Head,
        begun: Begun,
        source: Option<&FillSource>,
    ) -> Arc<Fill> {
        let reserved = source.and_then(|source| source.reserved.as_deref());
        let share = Share::new(&self.budget, reserved);
        let valve = source.and_then(|source| source.valve.clone());
        let fill = Arc::new(Fill::new(self.next_id(), head, begun, share, valve));
        self.fills().entry(key).or_default().push(Arc::clone(&fill));
        self.fill_count.fetch_add(1, Ordering::SeqCst);
        fill
    }

    /// Returns a number that no other response has.
    pub(in crate::cache) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns whether a request to this upstream may read this fill: its upstream is the same, and its URL was not
    /// purged or changed since the fill's request began.
    pub(in crate::cache) fn may_follow(&self, fill: &Fill, upstream: &str) -> bool {
        let is_purged = || {
            let purges = self.purges.read().unwrap_or_else(PoisonError::into_inner);
            purges.reached(fill.begun, &fill.head.url)
        };
        *fill.head.upstream == *upstream && !is_purged()
    }

    /// Returns the id of the response that a look-up would find now, if that response is fresh.
    pub(in crate::cache) fn fresh_id(&self, key: EntryKey, upstream: &str, now: SystemTime) -> Option<u64> {
        let mut fills = self.fills_of(key).into_iter();
        if let Some(fill) = fills.find(|fill| self.may_follow(fill, upstream) && fill.is_readable()) {
            return fill.head.is_fresh(now).then_some(fill.id);
        }
        // A miss would count as a visit, and the request's look-up counts already.
        if !self.objects.contains_key(&key) {
            return None;
        }
        let object = self.objects.get(&key)?;
        (*object.head.upstream == *upstream && object.is_fresh(now)).then_some(object.id)
    }

    /// Returns the fills of an entry, the latest first.
    pub(in crate::cache) fn fills_of(&self, key: EntryKey) -> Vec<Arc<Fill>> {
        if self.fill_count.load(Ordering::SeqCst) == 0 {
            return Vec::new();
        }
        let fills = self.fills();
        fills.get(&key).into_iter().flatten().rev().cloned().collect()
    }

    /// Removes a fill that has ended, complete or not.
    pub(in crate::cache) fn forget_fill(&self, key: EntryKey, id: u64) {
        let mut fills = self.fills();
        if let Some(of_key) = fills.get_mut(&key) {
            let before = of_key.len();
            of_key.retain(|fill| fill.id != id);
            self.fill_count.fetch_sub(before - of_key.len(), Ordering::SeqCst);
            if of_key.is_empty() {
                fills.remove(&key);
            }
        }
    }

    /// Stores a response, unless its URL was purged or changed since its request began. Returns whether the response
    /// was stored.
    pub(in crate::cache) fn insert(&self, key: EntryKey, object: Object, begun: Begun) -> bool {
        let weight = object.weight();
        {
            // Locked until the response is inserted, so that a purge after this finds it.
            let purges = self.purges.read().unwrap_or_else(PoisonError::into_inner);
            if purges.reached(begun, &object.head.url) {
                return false;
            }
            self.objects.insert(key, Arc::new(object));
        }
        self.settle(weight);
        true
    }

    /// Replaces a stored response by one with a new head, under a new key if that differs, provided that `old` is still
    /// stored. Returns whether it did.
    pub(in crate::cache) fn replace(
        &self,
        (key, old): (EntryKey, &Arc<Object>),
        new: EntryKey,
        object: Object,
        begun: Begun,
    ) -> bool {
        // The cache cannot compare and swap; a fill that ends after this line brings a response as new as this one.
        let is_same = self.objects.get(&key).is_some_and(|now| Arc::ptr_eq(&now, old));
        if is_same && new != key {
            self.objects.invalidate(&key);
        }
        is_same && self.insert(new, object, begun)
    }

    /// Removes one entry.
    pub(in crate::cache) fn remove(&self, key: EntryKey) -> bool {
        self.objects.remove(&key).is_some()
    }

    /// Hashes the request fields that a response with these fields varies by; `None` if it does not vary.
    #[must_use]
    pub fn variance(&self, response: &HeaderMap, request: &HeaderMap) -> Option<[u8; 16]> {
        let names = vary::names(response).unwrap_or_default();
        vary::variance(&self.hasher, &names, request)
    }

    /// Forgets the stored responses of one URL that was changed, and stores none that was requested before.
    pub fn forget(&self, url: UrlHash) {
        self.purges.write().unwrap_or_else(PoisonError::into_inner).change(url);
        // Without the first response of a URL, none of its variants is found. A response that was stored before the
        // change was counted is in the cache by now.
        self.objects.invalidate(&EntryKey { url, variance: None });
    }

    /// Forgets the stored responses that a purge names, and stores none of them that was requested before. Returns the
    /// number of responses forgotten.
    pub fn purge(&self, purge: &Purge) -> u64 {
        // From here on, responses requested before are not stored, and requests that begin later do not read them.
        self.purges
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .add(purge.clone());
        let mut purged = 0;
        for (key, object) in &self.objects {
            if purge.reaches(&object.head.url) && self.objects.remove(&*key).is_some() {
                purged += 1;
            }
        }
        self.objects.run_pending_tasks();
        purged
    }

    /// Returns the number and weight of the stored responses, after due evictions.
    #[must_use]
    pub fn size(&self) -> (u64, u64) {
        self.objects.run_pending_tasks();
        (self.objects.entry_count(), self.objects.weighted_size())
    }

    /// Returns the bytes that responses still arriving hold.
    #[must_use]
    pub fn bytes_on_the_way(&self) -> usize {
        self.budget.held()
    }

    /// Has the cache evict entries after each [`UNSETTLED_SHARE`]th of the bound. By itself the cache does so only
    /// after some hundred insertions, and large responses would exceed the bound by far until then.
    fn settle(&self, weight: u32) {
        let unsettled = self.unsettled.fetch_add(weight.into(), Ordering::Relaxed) + u64::from(weight);
        if unsettled > self.limits.bytes / UNSETTLED_SHARE {
            self.unsettled.store(0, Ordering::Relaxed);
            self.objects.run_pending_tasks();
        }
    }

    /// Locks the fills, poisoned or not: a panic leaves the map usable.
    fn fills(&self) -> MutexGuard<'_, HashMap<EntryKey, Vec<Arc<Fill>>, TakeAsIs>> {
        self.fills.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Divisor of the store's bytes that all fills together may hold; at least the limit of one response.
const FILLS_SHARE: u64 = 8;

/// Divisor of the store's bytes that may be inserted before the cache must evict.
const UNSETTLED_SHARE: u64 = 64;

#[cfg(test)]
mod tests;
