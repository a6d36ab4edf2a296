//! Per connection: which URLs the client was pushed, or asked for itself (rule 6).
//!
//! Exact for all that matters: a URL is kept as a 64-bit SipHash under a random key of its own, so
//! two different URLs of one diary meet with a chance below 10⁻¹³ at the largest size, and nobody
//! outside can make them meet. At its bound the oldest entry makes room.

use std::collections::{HashMap, VecDeque};

use crate::url_hash::UrlHasher;

/// How a client came to know a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It was promised to the client on this connection.
    Pushed,
    /// The client asked for it on this connection.
    Fetched,
}

/// A URL as a diary keeps it; means nothing to another diary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UrlKey(u64);

impl UrlKey {
    /// Makes the key of a URL given in its parts. Host case and the scheme's default port make no difference.
    pub(super) fn of(hasher: &UrlHasher, scheme: &str, authority: &str, path_and_query: &str) -> Self {
        Self(hasher.url(scheme, authority, path_and_query).fold())
    }
}

/// What one client knows, bounded.
#[derive(Debug)]
pub struct Diary {
    hasher: UrlHasher,
    known: HashMap<UrlKey, Known>,
    order: VecDeque<UrlKey>,
    max_entries: usize,
}

impl Diary {
    /// An empty diary of at most `max_entries` URLs. Allocates with the first entry.
    #[must_use]
    pub fn new(max_entries: usize) -> Self {
        Self {
            hasher: UrlHasher::random(),
            known: HashMap::new(),
            order: VecDeque::new(),
            max_entries,
        }
    }

    /// The key of a URL in this diary.
    #[must_use]
    pub fn key(&self, scheme: &str, authority: &str, path_and_query: &str) -> UrlKey {
        UrlKey::of(&self.hasher, scheme, authority, path_and_query)
    }

    /// How the client knows a URL, if it does.
    #[must_use]
    pub fn knows(&self, key: UrlKey) -> Option<Known> {
        self.known.get(&key).copied()
    }

    /// Remembers a URL. What the client fetched itself stays so, whatever becomes of a promise of it.
    pub fn record(&mut self, key: UrlKey, how: Known) {
        if let Some(known) = self.known.get_mut(&key) {
            if how == Known::Fetched {
                *known = how;
            }
            return;
        }
        if self.max_entries == 0 {
            return;
        }
        while self.order.len() >= self.max_entries {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
        self.known.insert(key, how);
        self.order.push_back(key);
    }

    /// Takes back an entry whose promise was never sent.
    pub fn forget(&mut self, key: UrlKey) {
        if self.knows(key) == Some(Known::Pushed) {
            self.known.remove(&key);
            self.order.retain(|&other| other != key);
        }
    }

    /// How many URLs it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn host_case_and_default_port_make_no_difference() {
        let diary = Diary::new(4);
        let key = diary.key("https", "Shop.Example:443", "/a?b");
        assert_eq!(key, diary.key("https", "shop.example", "/a?b"));
        assert_ne!(key, diary.key("http", "shop.example", "/a?b"));
        assert_ne!(key, diary.key("https", "shop.example:80", "/a?b"));
        assert_ne!(key, diary.key("https", "shop.example", "/A?b"));
        assert_ne!(diary.key("https", "a", "b/c"), diary.key("https", "a/b", "c"));
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut diary = Diary::new(2);
        let keys: Vec<_> = ["/1", "/2", "/3"].iter().map(|p| diary.key("http", "h", p)).collect();
        for &key in &keys {
            diary.record(key, Known::Pushed);
        }
        let known: Vec<_> = keys.iter().map(|&k| diary.knows(k).is_some()).collect();
        assert_eq!(known, [false, true, true]);
    }

    #[test]
    fn an_unsent_promise_is_forgotten() {
        let mut diary = Diary::new(2);
        let key = diary.key("http", "h", "/");
        diary.record(key, Known::Pushed);
        diary.forget(key);
        assert_eq!((diary.knows(key), diary.len()), (None, 0));
    }

    proptest! {
        #[test]
        fn never_exceeds_its_bound(
            max in 0_usize..40,
            steps in proptest::collection::vec((0_u8..60, any::<bool>()), 0..300),
        ) {
            let mut diary = Diary::new(max);
            for (path, forget) in steps {
                let key = diary.key("http", "h", &path.to_string());
                if forget {
                    diary.forget(key);
                } else {
                    diary.record(key, Known::Fetched);
                    prop_assert!(max == 0 || diary.knows(key).is_some());
                }
                prop_assert!(diary.len() <= max);
                prop_assert_eq!(diary.len(), diary.known.len());
            }
        }
    }
}
