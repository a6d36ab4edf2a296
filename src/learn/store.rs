//! Many manifests, bounded in documents and bytes.
//!
//! What is asked for often stays (W-TinyLFU): a crawler that asks for a million documents once does
//! not push out those that people come back to. Only documents with links take a place.

use std::sync::{Arc, Mutex, PoisonError};

use moka::sync::Cache;

use super::{
    key::{DocumentKey, KeyHasher},
    manifest::{Links, Manifest, Observation, Verdict},
    policy::LearnPolicy,
    visitor::Evidence,
};
use crate::{link::Spelled, push::Csp};

/// How much a store may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManifestLimits {
    /// Documents, at least 1.
    pub documents: u32,
    /// Bytes of all manifests together.
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
    hasher: KeyHasher,
    limits: ManifestLimits,
}

/// What is known of a document before its origin is asked.
#[derive(Debug, Clone, Default)]
pub struct KnownDocument {
    /// What is delivered early.
    pub links: Links,
    /// The Content-Security-Policy of its last response.
    pub csp: Option<Arc<Csp>>,
    /// Links that are not delivered because too few visitors got them.
    pub waiting: usize,
}

#[derive(Debug)]
struct StoredManifest {
    manifest: Arc<Mutex<Manifest>>,
    /// What the cache was told last.
    weight: u32,
}

impl ManifestStore {
    /// An empty store; `secret` must be random.
    #[must_use]
    pub fn new(limits: ManifestLimits, secret: (u64, u64)) -> Self {
        // One dimension bounds both: a manifest weighs its bytes, and no less than its share of them.
        let manifests = Cache::builder()
            .max_capacity(u64::from(limits.bytes))
            .weigher(|_, stored: &Arc<StoredManifest>| stored.weight)
            .build();
        Self {
            manifests,
            hasher: KeyHasher::new(secret),
            limits,
        }
    }

    /// What makes keys and visitors here.
    #[must_use]
    pub const fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    /// What is known of a document; `None` if nothing is.
    #[must_use]
    pub fn known(&self, key: DocumentKey, policy: &LearnPolicy, now: u64) -> Option<KnownDocument> {
        let shelf = self.manifests.get(&key)?;
        let manifest = shelf.lock();
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

    /// Whether nothing is kept of a document.
    #[must_use]
    pub fn is_unknown(&self, key: DocumentKey) -> bool {
        !self.manifests.contains_key(&key)
    }

    /// Counts a response whose HTML could be read; returns whether it should. Those of a document that is not known are.
    #[must_use]
    pub fn is_html_due(&self, key: DocumentKey, fingerprint: u64) -> bool {
        let known = self.manifests.contains_key(&key).then(|| self.manifests.get(&key));
        known
            .flatten()
            .is_none_or(|stored| stored.lock().is_html_due(fingerprint))
    }

    /// Learns from a response.
    pub fn observe(&self, key: DocumentKey, policy: &LearnPolicy, seen: &Observation<'_>) -> Verdict {
        // To get counts as a visit, and so does to miss; to ask whether it is there does not. The request's
        // look-up has counted: a document that is seen once must not look like one that people return to.
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
            // The cache weighs what is put into it, and never again.
            let weight = self.weight(&manifest);
            drop(manifest);
            let manifest = Arc::clone(&stored.manifest);
            self.manifests
                .insert(key, Arc::new(StoredManifest { manifest, weight }));
        }
        verdict
    }

    /// Learns from the first response of a document. Of two at the same time one is lost, as if it had
    /// come before.
    fn begin(&self, key: DocumentKey, policy: &LearnPolicy, seen: &Observation<'_>) -> Verdict {
        // Most responses link to nothing, and most clients never come back; nothing counts with Authorization.
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

    /// What is delivered early now, document by document, with its last response's time.
    #[must_use]
    pub fn snapshot(&self, now: u64) -> Vec<(DocumentKey, u64, Links)> {
        let known = self.manifests.iter().map(|(key, stored)| {
            let manifest = stored.lock();
            (*key, manifest.last_seen(), manifest.links(now))
        });
        known.filter(|(_, _, links)| !links.is_empty()).collect()
    }

    /// Takes a document over from a file.
    pub fn restore(&self, key: DocumentKey, last_seen: u64, links: Vec<Spelled>) {
        let shelf = self.stored(Manifest::restored(&links, last_seen));
        self.manifests.insert(key, Arc::new(shelf));
    }

    /// Documents in it, after what is due to leave has left.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.manifests.run_pending_tasks();
        self.manifests.entry_count()
    }

    /// Whether there is none.
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

    /// In steps, so that a manifest is not moved for each visitor that is noted.
    fn weight(&self, manifest: &Manifest) -> u32 {
        let size = manifest.size().next_multiple_of(WEIGHT_STEP);
        let share = self.limits.bytes / self.limits.documents.max(1);
        u32::try_from(size).unwrap_or(u32::MAX).max(share)
    }
}

const WEIGHT_STEP: usize = 1024;

impl StoredManifest {
    /// A panic elsewhere leaves a manifest usable, so a poisoned lock is taken all the same.
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

    /// Spreads numbers over all bits, as a key's hash does.
    fn spread(n: u128) -> u128 {
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    }

    #[test]
    fn what_people_return_to_outlasts_a_crawler() {
        let limits = ManifestLimits {
            documents: 500,
            bytes: 2 << 20,
        };
        let store = ManifestStore::new(limits, (1, 2));
        // In no order: a period as long as the store is large would hide what a gap does.
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
        let kept = (0..100)
            .filter(|n| delivered(&store, NOW, spread(*n)).is_some())
            .count();
        assert!(kept >= 95, "{kept} of 100 are kept");
    }

    #[test]
    fn a_document_that_teaches_nothing_takes_no_place() {
        let store = ManifestStore::new(ManifestLimits::default(), (1, 2));
        let seen = Observation {
            now: NOW,
            evidence: &Evidence::Authorized,
            network: 1,
            response: Observed::Document,
            source: Source::Learned,
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
            "what is gone is gone"
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
        // Whatever their order was, what two later responses have is believed: even by a document that was
        // left alone, for at most 128 times ten minutes, or is after the first of them.
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
