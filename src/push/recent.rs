//! Remembers something of the URLs that came last; the oldest makes room for the newest.

use std::collections::{HashMap, VecDeque};

use crate::url_hash::UrlHasher;

/// The hash of a URL in one memory; means nothing to another memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UrlKey(u64);

/// Values of URLs, `max_entries` at most. Allocates with the first.
#[derive(Debug)]
pub(super) struct RecentUrls<V> {
    hasher: UrlHasher,
    entries: HashMap<UrlKey, V>,
    order: VecDeque<UrlKey>,
    max_entries: usize,
}

impl<V> RecentUrls<V> {
    pub(super) fn new(max_entries: usize) -> Self {
        Self {
            hasher: UrlHasher::random(),
            entries: HashMap::new(),
            order: VecDeque::new(),
            max_entries,
        }
    }

    /// Makes the key of a URL given in its parts. Host case and the scheme's default port make no difference.
    pub(super) fn key(&self, (scheme, authority, path_and_query): (&str, &str, &str)) -> UrlKey {
        UrlKey(self.hasher.url(scheme, authority, path_and_query).fold())
    }

    pub(super) fn get(&self, key: UrlKey) -> Option<&V> {
        self.entries.get(&key)
    }

    /// Returns the value of a URL, a new one if there is none; `None` if there is no room at all.
    pub(super) fn entry(&mut self, key: UrlKey, new: impl FnOnce() -> V) -> Option<&mut V> {
        if !self.entries.contains_key(&key) && self.max_entries > 0 {
            while self.order.len() >= self.max_entries {
                if let Some(oldest) = self.order.pop_front() {
                    self.entries.remove(&oldest);
                }
            }
            self.order.push_back(key);
            self.entries.insert(key, new());
        }
        self.entries.get_mut(&key)
    }

    pub(super) fn remove(&mut self, key: UrlKey) {
        if self.entries.remove(&key).is_some() {
            self.order.retain(|known| *known != key);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns whether each entry has one place in the order.
    #[cfg(test)]
    pub(super) fn is_consistent(&self) -> bool {
        self.order.len() == self.entries.len() && self.order.iter().all(|key| self.entries.contains_key(key))
    }
}
