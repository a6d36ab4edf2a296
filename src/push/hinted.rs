//! What clients do with the links of a 103: whether they ask for them, and whether twice.
//!
//! A hint that its client needs is asked for within [`PERIOD`] on the connection that brought it. A browser that has all in
//! its cache asks for nothing, which says nothing: so a hint counts as given only once its client has asked for something
//! that documents are made of.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::UrlKey;

/// How long after a 103 a request may be due to it.
pub(super) const PERIOD: Duration = Duration::from_secs(10);

/// Counts of one link of one document, over all clients. They are halved together before they grow past use.
#[derive(Debug, Default)]
pub struct HintUse {
    given: AtomicU32,
    used: AtomicU32,
    twice: AtomicU32,
}

/// The counts of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HintCounts {
    /// Clients that got the link in a 103 and asked for something.
    pub given: u32,
    /// Those that asked for the link.
    pub used: u32,
    /// Those that asked for it twice.
    pub twice: u32,
}

/// Clients after which a link is judged.
const MIN_GIVEN: u32 = 50;

/// At least one client in this many uses a link that is worth a hint.
const MIN_USED_SHARE: u32 = 10;

/// At most one client in this many may ask twice.
const MAX_TWICE_SHARE: u32 = 2;

/// Clients after which twice is judged: it is no matter of taste.
const MIN_USED: u32 = 5;

/// Clients after which older ones count half.
const MAX_GIVEN: u32 = 1000;

impl HintUse {
    /// The counts of this moment.
    #[must_use]
    pub fn counts(&self) -> HintCounts {
        HintCounts {
            given: self.given.load(Relaxed),
            used: self.used.load(Relaxed),
            twice: self.twice.load(Relaxed),
        }
    }

    /// Begins to count anew.
    pub fn reset(&self) {
        for count in [&self.given, &self.used, &self.twice] {
            count.store(0, Relaxed);
        }
    }

    fn give(&self) {
        if self.given.fetch_add(1, Relaxed) >= MAX_GIVEN {
            for count in [&self.given, &self.used, &self.twice] {
                count.store(count.load(Relaxed) / 2, Relaxed);
            }
        }
    }
}

impl HintCounts {
    /// Returns whether so few clients use the link that a hint is a waste.
    #[must_use]
    pub const fn is_unused(self) -> bool {
        self.given >= MIN_GIVEN && self.used * MIN_USED_SHARE < self.given
    }

    /// Returns whether so many clients fetch the link twice that a hint does harm.
    #[must_use]
    pub const fn is_fetched_twice(self) -> bool {
        self.used >= MIN_USED && self.twice * MAX_TWICE_SHARE > self.used
    }
}

/// The 103s that one connection got; bounded.
#[derive(Debug, Default)]
pub(super) struct Hinted {
    documents: VecDeque<HintedDocument>,
}

#[derive(Debug)]
struct HintedDocument {
    at: Instant,
    /// Whether the client has asked for something since.
    is_given: bool,
    links: Vec<HintedLink>,
}

#[derive(Debug)]
struct HintedLink {
    key: UrlKey,
    count: Arc<HintUse>,
    requests: u8,
}

/// 103s of one connection that are remembered.
const MAX_DOCUMENTS: usize = 4;

impl Hinted {
    /// Remembers the links of a 103.
    pub(super) fn note(&mut self, links: impl IntoIterator<Item = (UrlKey, Arc<HintUse>)>, now: Instant) {
        let links: Vec<HintedLink> = links
            .into_iter()
            .map(|(key, count)| HintedLink {
                key,
                count,
                requests: 0,
            })
            .collect();
        if links.is_empty() {
            return;
        }
        while self.documents.len() >= MAX_DOCUMENTS {
            self.documents.pop_front();
        }
        self.documents.push_back(HintedDocument {
            at: now,
            is_given: false,
            links,
        });
    }

    /// Counts a request for a part of a document; returns whether a 103 named its URL.
    pub(super) fn count(&mut self, key: UrlKey, now: Instant) -> bool {
        self.documents.retain(|document| now < document.at + PERIOD);
        let mut is_hinted = false;
        for document in &mut self.documents {
            if !document.is_given {
                document.is_given = true;
                document.links.iter().for_each(|link| link.count.give());
            }
        }
        // The latest 103 is the one that the request is due to.
        let links = self.documents.iter_mut().rev().flat_map(|document| &mut document.links);
        if let Some(link) = links.into_iter().find(|link| link.key == key) {
            is_hinted = true;
            link.requests = link.requests.saturating_add(1);
            match link.requests {
                1 => link.count.used.fetch_add(1, Relaxed),
                2 => link.count.twice.fetch_add(1, Relaxed),
                _ => 0,
            };
        }
        is_hinted
    }

    /// Returns whether nothing is remembered.
    pub(super) fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::url_hash::UrlHasher;

    fn keys<const N: usize>(paths: [&str; N]) -> [UrlKey; N] {
        let hasher = UrlHasher::random();
        paths.map(|path| UrlKey::of(&hasher, "https", "h", path))
    }

    fn counts(count: &HintUse) -> (u32, u32, u32) {
        let counts = count.counts();
        (counts.given, counts.used, counts.twice)
    }

    #[test]
    fn requests_after_a_103_are_counted() {
        let now = Instant::now();
        let [a, b, other] = keys(["/a", "/b", "/other"]);
        let (one, two) = (Arc::new(HintUse::default()), Arc::new(HintUse::default()));
        let mut hinted = Hinted::default();
        hinted.note([(a, Arc::clone(&one)), (b, Arc::clone(&two))], now);
        assert_eq!((counts(&one), counts(&two)), ((0, 0, 0), (0, 0, 0)), "no request yet");
        assert!(!hinted.count(other, now));
        assert_eq!((counts(&one), counts(&two)), ((1, 0, 0), (1, 0, 0)));
        for _ in 0..3 {
            assert!(hinted.count(a, now));
        }
        assert_eq!((counts(&one), counts(&two)), ((1, 1, 1), (1, 0, 0)));
        assert!(!hinted.count(b, now + PERIOD));
        assert_eq!(counts(&two), (1, 0, 0), "too late");
        assert!(hinted.is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let now = Instant::now();
        let [a] = keys(["/a"]);
        let all: Vec<Arc<HintUse>> = (0..10).map(|_| Arc::default()).collect();
        let mut hinted = Hinted::default();
        for count in &all {
            hinted.note([(a, Arc::clone(count))], now);
        }
        hinted.note([], now);
        assert!(hinted.count(a, now));
        let given: u32 = all.iter().map(|count| count.counts().given).sum();
        let used: u32 = all.iter().map(|count| count.counts().used).sum();
        assert_eq!((given, used), (4, 1));
    }

    #[test]
    fn a_link_is_judged_after_enough_clients() {
        for (given, used, twice, is_unused, is_twice) in [
            (49, 0, 0, false, false),
            (50, 4, 0, true, false),
            (50, 5, 0, false, false),
            (1000, 99, 0, true, false),
            (10, 4, 4, false, false),
            (10, 5, 2, false, false),
            (10, 5, 3, false, true),
        ] {
            let counts = HintCounts { given, used, twice };
            assert_eq!(
                (counts.is_unused(), counts.is_fetched_twice()),
                (is_unused, is_twice),
                "{counts:?}"
            );
        }
        let count = HintUse::default();
        for _ in 0..5000 {
            count.give();
        }
        assert!(count.counts().given <= MAX_GIVEN + 1);
    }
}
