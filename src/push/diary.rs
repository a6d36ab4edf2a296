//! Remembers, for one connection, which URLs the client was pushed or requested itself (rule 6).
//!
//! A URL is stored as a 64-bit SipHash under a random key of the diary. Two URLs of a diary of the largest size collide
//! with a probability below 10⁻¹³, and clients and origins, who do not know the key, cannot construct a collision. A
//! full diary drops its oldest entry.

use super::recent::{RecentUrls, UrlKey};

/// How a client came to know a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// The URL was promised to the client on this connection.
    Pushed,
    /// The client requested the URL on this connection.
    Fetched,
}

/// The URLs that one client knows, `max_entries` at most.
#[derive(Debug)]
pub struct Diary(RecentUrls<Known>);

impl Diary {
    /// Makes an empty diary of at most `max_entries` URLs. Allocates with the first entry.
    #[must_use]
    pub fn new(max_entries: usize) -> Self {
        Self(RecentUrls::new(max_entries))
    }

    /// Returns the key of a URL in this diary.
    #[must_use]
    pub fn key(&self, scheme: &str, authority: &str, path_and_query: &str) -> UrlKey {
        self.0.key((scheme, authority, path_and_query))
    }

    /// Returns how the client knows a URL; `None` if the diary does not have the URL.
    #[must_use]
    pub fn knows(&self, key: UrlKey) -> Option<Known> {
        self.0.get(key).copied()
    }

    /// Remembers a URL. A URL that the client fetched itself stays `Fetched`.
    pub fn record(&mut self, key: UrlKey, how: Known) {
        let known = self.0.entry(key, || how);
        if let (Some(known), Known::Fetched) = (known, how) {
            *known = how;
        }
    }

    /// Removes the entry of a promise that was never sent; leaves a `Fetched` entry.
    pub fn forget(&mut self, key: UrlKey) {
        if self.knows(key) == Some(Known::Pushed) {
            self.0.remove(key);
        }
    }

    /// Number of URLs in the diary.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the diary has no URL.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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
    fn a_full_diary_drops_its_oldest_entry() {
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
        fn a_diary_never_exceeds_its_bound(
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
                prop_assert!(diary.0.is_consistent());
            }
        }
    }
}
