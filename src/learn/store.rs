//! Stores manifests, bounded in documents and bytes.
//!
//! Documents that are requested often stay (W-TinyLFU): a crawler that requests a million documents once each does not
//! evict the documents that people return to. Only documents with links take space.

use std::sync::{Arc, Mutex, PoisonError};

use moka::sync::Cache;

use super::{
    key::{DocumentKey, KeyHasher},
    manifest::{DocumentReport, Links, Manifest, Observation, Sample, Taught, Verdict},
    policy::LearnPolicy,
    visitor::Evidence,
};
use crate::{link::Spelled, push::Csp};

/// Limits of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManifestLimits {
    /// Largest number of documents, at least 1.
    pub documents: u32,
    /// Largest size of all manifests together, in bytes.
    pub bytes: u32,
}

impl Default for ManifestLimits {
    fn default() -> Self {
        Self {
            documents: 10_000,
            bytes: 32 * 1024 * 1024,
        }
    }
}

/// The manifests of a server.
#[derive(Debug)]
pub struct ManifestStore {
    manifests: Cache<DocumentKey, Arc<StoredManifest>>,
    /// Which responses are read of documents that had nothing to teach.
    unknown: Cache<DocumentKey, Arc<Mutex<Sample>>>,
    hasher: KeyHasher,
    limits: ManifestLimits,
}

/// Knowledge about a document before its response.
#[derive(Debug, Clone, Default)]
pub struct KnownDocument {
    /// The links that are delivered early.
    pub links: Links,
    /// The Content-Security-Policy of the last response.
    pub csp: Option<Arc<Csp>>,
    /// Number of links that are not delivered because too few visitors got them.
    pub waiting: usize,
}

#[derive(Debug)]
struct StoredManifest {
    manifest: Arc<Mutex<Manifest>>,
    /// The weight under which the cache has this manifest.
    weight: u32,
}

impl ManifestStore {
    /// Makes an empty store; `secret` must be random.
    #[must_use]
    pub fn new(limits: ManifestLimits, secret: (u64, u64)) -> Self {
        // One limit bounds both: a manifest weighs its bytes, and at least `limits.bytes / limits.documents`.
        let manifests = Cache::builder()
            .max_capacity(u64::from(limits.bytes))
            .weigher(|_, stored: &Arc<StoredManifest>| stored.weight)
            .build();
        Self {
            manifests,
            unknown: Cache::new(u64::from(limits.documents.min(MAX_UNKNOWN))),
            hasher: KeyHasher::new(secret),
            limits,
        }
    }

    /// The hasher for this store's keys and visitors.
    #[must_use]
    pub const fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    /// Returns the knowledge about a document; `None` if there is no manifest, or an expired one, which is removed.
    #[must_use]
    pub fn known(&self, key: DocumentKey, policy: &LearnPolicy, now: u64) -> Option<KnownDocument> {
        let stored = self.manifests.get(&key)?;
        let manifest = stored.lock();
        if manifest.last_seen().saturating_add(policy.expire_after.as_secs()) < now {
            drop(manifest);
            self.manifests.invalidate(&key);
            return None;
        }
        Some(KnownDocument {
            links: manifest.links(now),
            csp: manifest.csp().cloned(),
            waiting: manifest.waiting(),
        })
    }

    /// Returns whether there is no manifest of a document.
    #[must_use]
    pub fn is_unknown(&self, key: DocumentKey) -> bool {
        !self.manifests.contains_key(&key)
    }

    /// Counts a response whose HTML could be read; returns whether the HTML should be read, as always for a document
    /// without a manifest.
    #[must_use]
    pub fn is_html_due(&self, key: DocumentKey, fingerprint: u64) -> bool {
        let known = self.manifests.contains_key(&key).then(|| self.manifests.get(&key));
        if let Some(stored) = known.flatten() {
            return stored.lock().is_html_due(fingerprint);
        }
        let sample = self.unknown.get_with(key, Arc::default);
        let mut sample = sample.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = sample.is_due(fingerprint);
        if is_due {
            // If it teaches something the document is known from then on.
            sample.note(Taught::Nothing);
        }
        is_due
    }

    /// Notes the policies of a response that teaches nothing else.
    pub fn note_policies(
        &self,
        key: DocumentKey,
        evidence: impl FnOnce() -> Evidence,
        network: u64,
        policies: &[&[u8]],
    ) {
        let known = self.manifests.contains_key(&key).then(|| self.manifests.get(&key));
        let Some(stored) = known.flatten() else { return };
        let mut manifest = stored.lock();
        if !manifest.has_policies(policies) {
            manifest.note_policies(&evidence(), network, policies);
        }
    }

    /// Reports what is known of a document; `None` if nothing is. It counts as a visit.
    #[must_use]
    pub fn report(&self, key: DocumentKey, policy: &LearnPolicy, now: u64) -> Option<DocumentReport> {
        let stored = self.manifests.get(&key)?;
        Some(stored.lock().report(policy, now))
    }

    /// Forgets a document.
    pub fn forget(&self, key: DocumentKey) {
        self.manifests.invalidate(&key);
    }

    /// Learns from a response.
    pub fn observe(&self, key: DocumentKey, policy: &LearnPolicy, seen: &Observation<'_>) -> Verdict {
        // `get` counts as a visit, even if it misses; `contains_key` does not. The look-up in `known` has already
        // counted this request, and a document without a manifest must not count twice for one request.
        let known = self.manifests.contains_key(&key).then(|| self.manifests.get(&key));
        let Some(stored) = known.flatten() else {
            return self.begin(key, policy, seen);
        };
        let mut manifest = stored.lock();
        let verdict = manifest.observe(policy, seen);
        if manifest.is_empty() {
            drop(manifest);
            self.manifests.invalidate(&key);
        } else if self.weight(&manifest) != stored.weight {
            // The cache weighs a value only when it is inserted.
            let weight = self.weight(&manifest);
            drop(manifest);
            let manifest = Arc::clone(&stored.manifest);
            self.manifests
                .insert(key, Arc::new(StoredManifest { manifest, weight }));
        }
        verdict
    }

    /// Learns from the first response of a document. If two first responses end at the same time, one is lost.
    fn begin(&self, key: DocumentKey, policy: &LearnPolicy, seen: &Observation<'_>) -> Verdict {
        // Most responses have no links, and links of responses to authorized clients never count.
        if seen.links.is_empty() || *seen.evidence == Evidence::Authorized {
            return Verdict::default();
        }
        let mut manifest = Manifest::default();
        let verdict = manifest.observe(policy, seen);
        if !manifest.is_empty() {
            self.manifests.insert(key, Arc::new(self.stored(manifest)));
        }
        verdict
    }

    /// Returns the links that are delivered early now, each document with the time of its last response.
    #[must_use]
    pub fn snapshot(&self, now: u64) -> Vec<(DocumentKey, u64, Links)> {
        let known = self.manifests.iter().map(|(key, stored)| {
            let manifest = stored.lock();
            (*key, manifest.last_seen(), manifest.links(now))
        });
        known.filter(|(_, _, links)| !links.is_empty()).collect()
    }

    /// Inserts a document from a file.
    pub fn restore(&self, key: DocumentKey, last_seen: u64, links: Vec<Spelled>) {
        let stored = self.stored(Manifest::restored(&links, last_seen));
        self.manifests.insert(key, Arc::new(stored));
    }

    /// Returns the number of documents, after pending evictions.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.manifests.run_pending_tasks();
        self.manifests.entry_count()
    }

    /// Returns whether there is no document.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn stored(&self, manifest: Manifest) -> StoredManifest {
        StoredManifest {
            weight: self.weight(&manifest),
            manifest: Arc::new(Mutex::new(manifest)),
        }
    }

    /// Returns the weight of a manifest, in steps of [`WEIGHT_STEP`], so that not every new visitor causes a
    /// reinsertion.
    fn weight(&self, manifest: &Manifest) -> u32 {
        let size = manifest.size().next_multiple_of(WEIGHT_STEP);
        let share = self.limits.bytes / self.limits.documents.max(1);
        u32::try_from(size).unwrap_or(u32::MAX).max(share)
    }
}

/// Documents that had nothing to teach of which it is remembered how often they were read: 200 bytes each.
const MAX_UNKNOWN: u32 = 10_000;

const WEIGHT_STEP: usize = 1024;

impl StoredManifest {
    /// Locks the manifest. A panic under the lock leaves the manifest usable, so a poisoned lock is taken too.
    fn lock(&self) -> std::sync::MutexGuard<'_, Manifest> {
        self.manifest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::manifest::Observed, *};
    use crate::push::Source;

    const NOW: u64 = 1_000_000;

    fn spelled(links: &[&[u8]]) -> Vec<Spelled> {
        links.iter().filter_map(|link| Spelled::read(link)).collect()
    }

    fn see(store: &ManifestStore, now: u64, document: u128, links: &[&[u8]]) {
        let (key, policy) = (DocumentKey(document), LearnPolicy::default());
        let delivered = store.known(key, &policy, now).unwrap_or_default().links;
        let seen = Observation {
            now,
            evidence: &Evidence::Anonymous,
            network: 1,
            response: Observed::Document,
            source: Source::Learned,
            fields: usize::MAX,
            links: &spelled(links),
            delivered: &delivered,
            policies: &[],
        };
        store.observe(key, &policy, &seen);
    }

    fn delivered(store: &ManifestStore, now: u64, document: u128) -> Option<Links> {
        let known = store.known(DocumentKey(document), &LearnPolicy::default(), now)?;
        Some(known.links)
    }

    /// Spreads a number over all bits, as a key's hash does.
    fn spread(n: u128) -> u128 {
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    }

    #[test]
    fn documents_that_people_return_to_outlast_a_crawler() {
        let limits = ManifestLimits {
            documents: 500,
            bytes: 2 << 20,
        };
        let store = ManifestStore::new(limits, (1, 2));
        // The documents return in random order: with a fixed period no gap between two visits would be long.
        let returning = |n: u32| spread((spread(u128::from(n) + 1) >> 64 & 0xff_ffff) % 100);
        for n in 0..50_000_u32 {
            see(&store, NOW, spread(u128::from(n) + 1000), &[b"</a.css>; rel=preload"]);
            if n % 4 == 0 {
                see(&store, NOW, returning(n / 4), &[b"</b.css>; rel=preload"]);
            }
            if n % 100 == 0 {
                assert!(store.len() <= 550, "{} documents", store.len());
            }
        }
        let known = (0..100)
            .filter(|n| delivered(&store, NOW, spread(*n)).is_some())
            .count();
        assert!(known >= 95, "{known} of 100 are known");
    }

    #[test]
    fn a_document_without_links_to_learn_takes_no_space() {
        let store = ManifestStore::new(ManifestLimits::default(), (1, 2));
        let seen = Observation {
            now: NOW,
            evidence: &Evidence::Authorized,
            network: 1,
            response: Observed::Document,
            source: Source::Learned,
            fields: usize::MAX,
            links: &spelled(&[b"</a>; rel=preload"]),
            delivered: &[],
            policies: &[],
        };
        store.observe(DocumentKey(1), &LearnPolicy::default(), &seen);
        assert!(store.is_unknown(DocumentKey(1)));
        see(&store, NOW, 1, &[b"</a>; rel=preload"]);
        assert_eq!(delivered(&store, NOW, 1).expect("known").len(), 1);
        store.observe(
            DocumentKey(1),
            &LearnPolicy::default(),
            &Observation {
                evidence: &Evidence::Anonymous,
                links: &[],
                ..seen
            },
        );
        assert!(
            delivered(&store, NOW, 1).is_none_or(|links| links.is_empty()),
            "a link that is gone is not delivered"
        );
    }

    #[test]
    fn many_threads_learn_the_same_documents() {
        let store = ManifestStore::new(ManifestLimits::default(), (1, 2));
        std::thread::scope(|scope| {
            for thread in 0..4_u128 {
                let store = &store;
                scope.spawn(move || {
                    for n in 0..2000_u128 {
                        let own: &[u8] = if thread == 0 {
                            b"</a>; rel=preload"
                        } else {
                            b"</b>; rel=preload"
                        };
                        see(store, NOW, spread(n % 50), &[own, b"</all>; rel=preload"]);
                        assert!(store.snapshot(NOW).len() <= 50);
                    }
                });
            }
        });
        // In any order of the threads, a link of two later responses is delivered: even for a document that was paused
        // by the threads, for at most 128 times ten minutes, or is paused by the first of the two.
        const DAY: u64 = 23 * 60 * 60;
        for n in 0..50 {
            for days in 1..=2 {
                see(&store, NOW + days * DAY, spread(n), &[b"</all>; rel=preload"]);
            }
            let links = delivered(&store, NOW + 2 * DAY, spread(n)).expect("known");
            let links: Vec<&Spelled> = links.iter().map(|link| &link.link).collect();
            assert_eq!(
                links,
                spelled(&[b"</all>; rel=preload"]).iter().collect::<Vec<_>>(),
                "document {n}"
            );
        }
        assert_eq!(store.len(), 50);
    }
}
