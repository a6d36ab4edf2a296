//! Counts what clients do with the links of a 103: whether they request them, and whether twice.
//!
//! A client that needs a hinted asset requests it within [`PERIOD`] on the connection that carried the 103. A browser
//! that has all assets in its cache requests nothing, which says nothing about the hint: so a hint counts as given only
//! once its client has requested any part of a document.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::{PushMeter, Source, UrlKey};

/// Time after a 103 within which a request may be due to the 103.
pub(super) const PERIOD: Duration = Duration::from_secs(10);

/// Counts of one link of one document, over all clients. All are halved when `given` passes `MAX_GIVEN`.
#[derive(Debug, Default)]
pub struct HintUse {
    given: AtomicU32,
    used: AtomicU32,
    twice: AtomicU32,
    /// The networks that were counted last: a visitor, who may have several of them, counts once in a row.
    last: [AtomicU64; LAST],
    /// Number of networks that were counted, which says whose place in `last` is the oldest.
    counted: AtomicU32,
}

/// The counts of a [`HintUse`] at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HintCounts {
    /// Clients that got the link in a 103 and then requested any part of a document.
    pub given: u32,
    /// Clients that got the link in a 103 and requested it.
    pub used: u32,
    /// Clients that got the link in a 103 and requested it twice.
    pub twice: u32,
}

/// Number of networks that are told from the next one.
const LAST: usize = 4;

/// Smallest `given` at which [`HintCounts::is_unused`] can be true.
const MIN_GIVEN: u32 = 50;

/// At least one client in this many uses a link that is worth a hint.
const MIN_USED_SHARE: u32 = 10;

/// At most one client in this many may request a link twice.
const MAX_TWICE_SHARE: u32 = 2;

/// Smallest `used` at which [`HintCounts::is_fetched_twice`] can be true. Lower than [`MIN_GIVEN`], since a second
/// request is due to the browser, not to the visitor.
const MIN_USED: u32 = 5;

/// Value of `given` at which all counts are halved, so that older clients count less.
const MAX_GIVEN: u32 = 1000;

impl HintUse {
    /// Returns the counts of this moment.
    #[must_use]
    pub fn counts(&self) -> HintCounts {
        HintCounts {
            given: self.given.load(Relaxed),
            used: self.used.load(Relaxed),
            twice: self.twice.load(Relaxed),
        }
    }

    /// Sets all counts to zero.
    pub fn reset(&self) {
        for count in [&self.given, &self.used, &self.twice] {
            count.store(0, Relaxed);
        }
    }

    /// Returns whether a network counts: not where it is one of the last that did.
    fn counts_network(&self, network: u64) -> bool {
        if self.last.iter().any(|last| last.load(Relaxed) == network) {
            return false;
        }
        let oldest = self.counted.fetch_add(1, Relaxed) as usize % LAST;
        if let Some(place) = self.last.get(oldest) {
            place.store(network, Relaxed);
        }
        true
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
    /// Returns whether less than one client in `MIN_USED_SHARE` uses the link, so that a hint is a waste.
    #[must_use]
    pub const fn is_unused(self) -> bool {
        self.given >= MIN_GIVEN && self.used * MIN_USED_SHARE < self.given
    }

    /// Returns whether more than one client in `MAX_TWICE_SHARE` fetches the link twice, so that a hint does harm.
    #[must_use]
    pub const fn is_fetched_twice(self) -> bool {
        self.used >= MIN_USED && self.twice * MAX_TWICE_SHARE > self.used
    }
}

/// The latest 103s of one connection, [`MAX_DOCUMENTS`] at most.
#[derive(Debug, Default)]
pub(super) struct Hinted {
    documents: VecDeque<HintedDocument>,
}

/// A link of a 103 whose use is counted.
#[derive(Debug)]
pub struct HintedUrl {
    /// The key of the URL in the diary of the connection.
    pub key: UrlKey,
    /// The counts of the link over all clients.
    pub uses: Arc<HintUse>,
    /// Where the link was found.
    pub source: Source,
}

#[derive(Debug)]
struct HintedDocument {
    at: Instant,
    meter: Arc<PushMeter>,
    /// The mark of the client's network.
    network: u64,
    /// Whether the client has requested a part of a document since the 103.
    is_given: bool,
    links: Vec<HintedLink>,
}

#[derive(Debug)]
struct HintedLink {
    key: UrlKey,
    count: Arc<HintUse>,
    source: Source,
    /// Whether this client is counted.
    counts: bool,
    requests: u8,
}

/// Number of 103s that a connection remembers.
const MAX_DOCUMENTS: usize = 4;

impl Hinted {
    /// Remembers the links of a 103.
    pub(super) fn note(
        &mut self,
        links: impl IntoIterator<Item = HintedUrl>,
        network: u64,
        meter: &Arc<PushMeter>,
        now: Instant,
    ) {
        let links: Vec<HintedLink> = links
            .into_iter()
            .map(|HintedUrl { key, uses, source }| HintedLink {
                key,
                count: uses,
                source,
                counts: false,
                requests: 0,
            })
            .collect();
        for link in &links {
            meter.hinted.increment(link.source);
        }
        if links.is_empty() {
            return;
        }
        while self.documents.len() >= MAX_DOCUMENTS {
            self.documents.pop_front();
        }
        self.documents.push_back(HintedDocument {
            at: now,
            meter: Arc::clone(meter),
            network,
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
                for link in &mut document.links {
                    link.counts = link.count.counts_network(document.network);
                    if link.counts {
                        link.count.give();
                    }
                }
            }
        }
        // The request is attributed to the latest 103 that has the link.
        for document in self.documents.iter_mut().rev() {
            let Some(link) = document.links.iter_mut().find(|link| link.key == key) else {
                continue;
            };
            is_hinted = true;
            link.requests = link.requests.saturating_add(1);
            if link.requests == 1 {
                document.meter.used.increment(link.source);
            }
            match link.requests {
                _ if !link.counts => 0,
                1 => link.count.used.fetch_add(1, Relaxed),
                2 => link.count.twice.fetch_add(1, Relaxed),
                _ => 0,
            };
            break;
        }
        is_hinted
    }

    /// Returns whether no 103 is remembered.
    pub(super) fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }
}

impl Drop for HintedDocument {
    /// Counts the links that were not requested, once no request can be due to the 103 any more.
    fn drop(&mut self) {
        for link in self.links.iter().filter(|link| self.is_given && link.requests == 0) {
            self.meter.unused.increment(link.source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::recent::RecentUrls;

    fn keys<const N: usize>(paths: [&str; N]) -> [UrlKey; N] {
        let memory = RecentUrls::<()>::new(1);
        paths.map(|path| memory.key(("https", "h", path)))
    }

    fn urls<'u>(links: impl IntoIterator<Item = (UrlKey, &'u Arc<HintUse>)>) -> Vec<HintedUrl> {
        let url = |(key, uses): (UrlKey, &Arc<HintUse>)| HintedUrl {
            key,
            uses: Arc::clone(uses),
            source: Source::Learned,
        };
        links.into_iter().map(url).collect()
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
        hinted.note(urls([(a, &one), (b, &two)]), 1, &Arc::default(), now);
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
    fn a_connection_remembers_four_103s() {
        let now = Instant::now();
        let [a] = keys(["/a"]);
        let all: Vec<Arc<HintUse>> = (0..10).map(|_| Arc::default()).collect();
        let mut hinted = Hinted::default();
        for count in &all {
            hinted.note(urls([(a, count)]), 1, &Arc::default(), now);
        }
        hinted.note([], 1, &Arc::default(), now);
        assert!(hinted.count(a, now));
        let given: u32 = all.iter().map(|count| count.counts().given).sum();
        let used: u32 = all.iter().map(|count| count.counts().used).sum();
        assert_eq!((given, used), (4, 1));
    }

    #[test]
    fn one_visitor_in_a_row_counts_once() {
        let now = Instant::now();
        let [a] = keys(["/a"]);
        let one = Arc::new(HintUse::default());
        for network in [1, 1, 1, 2, 2, 1] {
            let mut hinted = Hinted::default();
            hinted.note(urls([(a, &one)]), network, &Arc::default(), now);
            hinted.count(a, now);
            hinted.count(a, now);
        }
        assert_eq!(counts(&one), (2, 2, 2));
    }

    #[test]
    fn the_meter_counts_links_that_are_requested_and_that_are_not() {
        let now = Instant::now();
        let [a, b, other] = keys(["/a", "/b", "/other"]);
        let meter = Arc::new(PushMeter::default());
        let uses = Arc::default();
        let counted = || [&meter.hinted, &meter.used, &meter.unused].map(|counters| counters.get(Source::Learned));
        let mut hinted = Hinted::default();
        hinted.note(urls([(a, &uses), (b, &uses)]), 1, &meter, now);
        assert_eq!(counted(), [2, 0, 0]);
        hinted.count(a, now);
        hinted.count(a, now);
        assert_eq!(counted(), [2, 1, 0]);
        hinted.count(other, now + PERIOD);
        assert_eq!(counted(), [2, 1, 1], "no request can be due to the 103 any more");
        hinted.note(urls([(a, &uses)]), 1, &meter, now);
        drop(hinted);
        assert_eq!(
            counted(),
            [3, 1, 1],
            "a client that requested nothing may have all in its cache"
        );
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

    #[test]
    fn a_visitor_with_a_few_networks_counts_once_in_a_row() {
        let uses = HintUse::default();
        let counted = |networks: &[u64]| networks.iter().filter(|network| uses.counts_network(**network)).count();
        assert_eq!(counted(&[1, 2, 1, 2, 3, 1, 4, 2]), 4);
        assert_eq!(counted(&[5, 1]), 2, "the oldest makes room");
    }
}
