//! The kept answers, bounded in bytes, and the fills that bring new ones.
//!
//! What is asked for often stays (W-TinyLFU): a crawler that asks for ten million URLs once does not push
//! out those that people come back to.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use http::HeaderMap;
use moka::sync::Cache;

use crate::cache::{
    assets::Assets,
    fill::{Fill, FillBudget, FillSource, Reserved, Share},
    object::{Head, Object},
    purge::{Begun, Purge, PurgeLog},
    rules::{
        key::{EntryKey, TakeAsIs, UrlHash, UrlHasher},
        vary,
    },
};

/// How much a store may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreLimits {
    /// Bytes of all answers, with all that it takes to keep them.
    pub bytes: u64,
    /// Bytes of one answer's content.
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

/// The kept answers of a server.
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
    /// Bytes put in since what is due to leave has left.
    unsettled: AtomicU64,
}

impl Store {
    /// An empty store; `secret` must be random.
    #[must_use]
    pub fn new(limits: StoreLimits, secret: (u64, u64)) -> Self {
        let objects = Cache::builder()
            .max_capacity(limits.bytes)
            .weigher(|_, object: &Arc<Object>| object.weight())
            .build_with_hasher(TakeAsIs::default());
        let one = usize::try_from(limits.object).unwrap_or(usize::MAX);
        let all = usize::try_from(limits.bytes / FILLS_SHARE).unwrap_or(usize::MAX);
        Self {
            objects,
            fills: Mutex::default(),
            fill_count: AtomicUsize::new(0),
            // 0 is none.
            next_id: AtomicU64::new(1),
            budget: Arc::new(FillBudget::new(all.max(one), one)),
            purges: RwLock::default(),
            assets: Assets::default(),
            hasher: UrlHasher::new(secret),
            limits,
            unsettled: AtomicU64::new(0),
        }
    }

    /// What makes keys here.
    #[must_use]
    pub const fn hasher(&self) -> &UrlHasher {
        &self.hasher
    }

    /// The URLs that documents have linked to.
    #[must_use]
    pub const fn assets(&self) -> &Assets {
        &self.assets
    }

    /// Bytes that the content of an answer may have.
    #[must_use]
    pub fn object_limit(&self) -> usize {
        usize::try_from(self.limits.object).unwrap_or(usize::MAX)
    }

    /// Whether anything is kept for a URL, fresh or not. Does not count as a visit.
    #[must_use]
    pub fn has(&self, url: UrlHash) -> bool {
        self.objects.contains_key(&EntryKey { url, variance: None })
    }

    /// The answer that is kept for a request, fresh or not: for its URL, of this upstream, with these
    /// fields. Counts as a visit if the URL has any answer.
    #[must_use]
    pub fn find(&self, url: UrlHash, upstream: &str, request: &HeaderMap) -> Option<Arc<Object>> {
        let key = EntryKey { url, variance: None };
        // To miss would count as a visit, too, and the look-up that leads to the origin counts already.
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

    /// One entry. Counts as a visit, found or not.
    pub(in crate::cache) fn get(&self, key: EntryKey) -> Option<Arc<Object>> {
        self.objects.get(&key)
    }

    /// The mark of a request for this URL that begins now: its answer is not kept if the URL is purged or changed from now on.
    pub(in crate::cache) fn begin(&self, url: UrlHash) -> Begun {
        self.purges.read().unwrap_or_else(PoisonError::into_inner).begin(url)
    }

    /// Sets room aside for a content of this length, which is to be kept; `None` where there is none at the moment.
    pub fn reserve(&self, length: usize) -> Option<Reserved> {
        self.budget.reserve(length)
    }

    /// Begins to keep an answer.
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

    /// A number that no other answer has.
    pub(in crate::cache) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether a request to this upstream may have what this fill brings: not what was purged
    /// or changed since it was asked for.
    pub(in crate::cache) fn may_follow(&self, fill: &Fill, upstream: &str) -> bool {
        let is_purged = || {
            let purges = self.purges.read().unwrap_or_else(PoisonError::into_inner);
            purges.reached(fill.begun, &fill.head.url)
        };
        *fill.head.upstream == *upstream && !is_purged()
    }

    /// The id of what a look-up would find now, if that is fresh.
    pub(in crate::cache) fn fresh_id(&self, key: EntryKey, upstream: &str, now: SystemTime) -> Option<u64> {
        let mut fills = self.fills_of(key).into_iter();
        if let Some(fill) = fills.find(|fill| self.may_follow(fill, upstream) && fill.is_readable()) {
            return fill.head.is_fresh(now).then_some(fill.id);
        }
        // To miss would count as a visit, and the look-up before counts already.
        if !self.objects.contains_key(&key) {
            return None;
        }
        let object = self.objects.get(&key)?;
        (*object.head.upstream == *upstream && object.is_fresh(now)).then_some(object.id)
    }

    /// The fills of an entry, the latest first.
    pub(in crate::cache) fn fills_of(&self, key: EntryKey) -> Vec<Arc<Fill>> {
        if self.fill_count.load(Ordering::SeqCst) == 0 {
            return Vec::new();
        }
        let fills = self.fills();
        fills.get(&key).into_iter().flatten().rev().cloned().collect()
    }

    /// A fill has come to its end, good or bad.
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

    /// Keeps an answer, unless its URL was purged or changed since it was asked for.
    pub(in crate::cache) fn insert(&self, key: EntryKey, object: Object, begun: Begun) -> bool {
        let weight = object.weight();
        {
            // Held until it is in: a purge that comes now finds it there.
            let purges = self.purges.read().unwrap_or_else(PoisonError::into_inner);
            if purges.reached(begun, &object.head.url) {
                return false;
            }
            self.objects.insert(key, Arc::new(object));
        }
        self.settle(weight);
        true
    }

    /// Puts another head on what is kept, if it is still the same, and into another place if it belongs there now.
    pub(in crate::cache) fn replace(
        &self,
        (key, old): (EntryKey, &Arc<Object>),
        new: EntryKey,
        object: Object,
        begun: Begun,
    ) -> bool {
        // The cache has no way to compare and swap; a fill that ends in between is as new as this.
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

    /// A hash of the request fields that a kept answer with these fields varies by.
    #[must_use]
    pub fn variance(&self, response: &HeaderMap, request: &HeaderMap) -> Option<[u8; 16]> {
        let names = vary::names(response).unwrap_or_default();
        vary::variance(&self.hasher, &names, request)
    }

    /// Forgets the answers of one URL, and keeps none that was asked for before: it was changed.
    pub fn forget(&self, url: UrlHash) {
        self.purges.write().unwrap_or_else(PoisonError::into_inner).change(url);
        // Without the first, no variant of it is found. What was kept before the change was noted is there now.
        self.objects.invalidate(&EntryKey { url, variance: None });
    }

    /// Forgets what is named, and keeps none of it that is on its way. Returns how many answers there were.
    pub fn purge(&self, purge: &Purge) -> u64 {
        // From here on nothing that was asked for before is kept, or read by those who come later.
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

    /// Answers and their bytes, after what is due to leave has left.
    #[must_use]
    pub fn size(&self) -> (u64, u64) {
        self.objects.run_pending_tasks();
        (self.objects.entry_count(), self.objects.weighted_size())
    }

    /// Bytes of answers that are on their way.
    #[must_use]
    pub fn bytes_on_the_way(&self) -> usize {
        self.budget.held()
    }

    /// The cache takes everything at first and weighs it some hundred entries later: large ones would
    /// pass the bound by far in the meantime.
    fn settle(&self, weight: u32) {
        let unsettled = self.unsettled.fetch_add(weight.into(), Ordering::Relaxed) + u64::from(weight);
        if unsettled > self.limits.bytes / UNSETTLED_SHARE {
            self.unsettled.store(0, Ordering::Relaxed);
            self.objects.run_pending_tasks();
        }
    }

    /// A panic elsewhere leaves the map usable, so a poisoned lock is taken all the same.
    fn fills(&self) -> MutexGuard<'_, HashMap<EntryKey, Vec<Arc<Fill>>, TakeAsIs>> {
        self.fills.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What all fills may hold, as a share of the whole: an eighth, or one object.
const FILLS_SHARE: u64 = 8;

/// What may be in the cache before it is weighed, as a share of the whole.
const UNSETTLED_SHARE: u64 = 64;

#[cfg(test)]
mod tests;
