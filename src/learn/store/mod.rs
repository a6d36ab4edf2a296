//! Stores manifests, bounded in documents and bytes.
//!
//! Documents that are requested often stay (W-TinyLFU): a crawler that requests a million documents once each does not
//! evict the documents that people return to. Only documents with links take space.

mod saved;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use moka::sync::Cache;

use super::{
    common::CommonPairs,
    division::{DividedBy, Division, DocumentPlace, left_out},
    key::{DocumentKey, KeyHasher},
    manifest::{DocumentReport, LearnedLink, Links, Manifest, Observation, Sample, Taught, Verdict},
    policy::LearnPolicy,
    visitor::{Evidence, VisitorFacts},
};
use crate::push::Csp;

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
    /// Which cookies, identities and parts of queries many visitors have.
    common: CommonPairs,
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
            common: CommonPairs::default(),
            hasher: KeyHasher::new(secret),
            limits,
        }
    }

    /// The hasher for this store's keys and visitors.
    #[must_use]
    pub const fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    /// Returns the evidence of a response to a visitor with these facts.
    #[must_use]
    pub fn evidence(&self, facts: &VisitorFacts<'_>, policy: &LearnPolicy, now: u64) -> Evidence {
        Evidence::of(facts, &policy.key, &self.hasher, (&self.common, now))
    }

    /// Returns the document that a request is for among those of a key, and the knowledge about it; `None` if it is
    /// none that could be learned, for the length of its values.
    #[must_use]
    pub fn find(
        &self,
        key: DocumentKey,
        request: DividedBy<'_>,
        policy: &LearnPolicy,
        now: u64,
    ) -> Option<(DocumentPlace, KnownDocument)> {
        let Some(stored) = self.manifests.get(&key) else {
            return Some((key.into(), KnownDocument::default()));
        };
        let mut manifest = stored.lock();
        let Some(variants) = manifest.variants_mut() else {
            return Some((
                key.into(),
                self.knowledge(key, manifest, policy, now).unwrap_or_default(),
            ));
        };
        let place = variants.place(key, request, &self.hasher)?;
        let is_known = variants.is_used(place.key);
        if is_expired(&manifest, policy, now) {
            drop(manifest);
            self.manifests.invalidate(&key);
            return Some((key.into(), KnownDocument::default()));
        }
        drop(manifest);
        let known = is_known.then(|| self.known(place.key, policy, now)).flatten();
        Some((place, known.unwrap_or_default()))
    }

    /// Returns the knowledge about a document; `None` if there is no manifest, or an expired one, which is removed.
    #[must_use]
    pub fn known(&self, key: DocumentKey, policy: &LearnPolicy, now: u64) -> Option<KnownDocument> {
        let stored = self.manifests.get(&key)?;
        self.knowledge(key, stored.lock(), policy, now)
    }

    fn knowledge(
        &self,
        key: DocumentKey,
        manifest: MutexGuard<'_, Manifest>,
        policy: &LearnPolicy,
        now: u64,
    ) -> Option<KnownDocument> {
        if is_expired(&manifest, policy, now) {
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

    /// Returns the number of documents with links, and of those of them whose learning is paused at this time, in seconds
    /// since 1970. It looks at each document; a variant is one, and so is a document that has variants.
    #[must_use]
    pub fn count(&self, now: u64) -> (usize, usize) {
        self.manifests.iter().fold((0, 0), |(all, paused), (_, stored)| {
            (all + 1, paused + usize::from(stored.lock().is_paused(now)))
        })
    }

    /// Returns whether there is no manifest of a document.
    #[must_use]
    pub fn is_unknown(&self, key: DocumentKey) -> bool {
        !self.manifests.contains_key(&key)
    }

    /// Counts a response whose HTML could be read; returns whether the HTML should be read, as always for a document
    /// without a manifest. Of a response that is not read, only the policies are noted.
    #[must_use]
    pub fn is_html_due(
        &self,
        key: DocumentKey,
        fingerprint: u64,
        evidence: impl FnOnce() -> Evidence,
        network: u64,
        policies: &[&[u8]],
    ) -> bool {
        if let Some(stored) = self.stored_again(key) {
            let mut manifest = stored.lock();
            let is_due = manifest.is_html_due(fingerprint);
            if !is_due && !manifest.has_policies(policies) {
                manifest.note_policies(&evidence(), network, policies);
            }
            return is_due;
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

    /// Counts a response with these fields; returns the verdict on the links that were delivered for it if it would
    /// change nothing, so that it need not be observed. `query`: the request's.
    #[must_use]
    pub fn passes(
        &self,
        place: &DocumentPlace,
        (policy, query): (&LearnPolicy, Option<&str>),
        (fields, delivered): (u64, &[LearnedLink]),
        now: u64,
    ) -> Option<Verdict> {
        // A variant's visitors, and the parameters that may divide the document, are counted for each response.
        if place.division.is_some() || left_out(&policy.key, None, query).next().is_some() {
            return None;
        }
        let stored = self.stored_again(place.key)?;
        let right = stored.lock().passes(fields, delivered, now)?;
        Some(Verdict {
            right,
            is_settled: true,
            ..Verdict::default()
        })
    }

    /// Counts a response to this network that teaches nothing, though links were delivered early for it.
    pub fn note_silence(&self, place: &DocumentPlace, network: u64) {
        let Some(stored) = self.stored_again(place.key) else {
            return;
        };
        let mut manifest = stored.lock();
        manifest.note_silence(network);
        if manifest.is_empty() {
            drop(manifest);
            self.manifests.invalidate(&place.key);
        }
    }

    /// Has equal responses pass from now on, after one with these fields was observed.
    pub fn settle(&self, place: &DocumentPlace, fields: u64) {
        if let Some(stored) = self.stored_again(place.key) {
            stored.lock().settle(fields);
        }
    }

    /// Reports what is known of the document that a request is for among those of a key; `None` if nothing is. It counts
    /// as a visit.
    #[must_use]
    pub fn report(
        &self,
        key: DocumentKey,
        request: DividedBy<'_>,
        policy: &LearnPolicy,
        now: u64,
    ) -> Option<DocumentReport> {
        let stored = self.manifests.get(&key)?;
        let manifest = stored.lock();
        let Some(variants) = manifest.variants() else {
            return Some(manifest.report(policy, now));
        };
        let divided_by = Division::clone(variants.division());
        let count = variants.keys().count();
        let place = variants.place(key, request, &self.hasher);
        let last_seen = manifest.last_seen();
        drop(manifest);
        let variant = place.and_then(|place| self.manifests.get(&place.key));
        let report = variant.map_or_else(DocumentReport::default, |variant| variant.lock().report(policy, now));
        Some(DocumentReport {
            last_seen: report.last_seen.max(last_seen),
            divided_by,
            variants: count,
            ..report
        })
    }

    /// Forgets the documents of a key.
    pub fn forget(&self, key: DocumentKey) {
        if let Some(stored) = self.manifests.get(&key)
            && let Some(variants) = stored.lock().variants()
        {
            for key in variants.keys() {
                self.manifests.invalidate(&key);
                self.unknown.invalidate(&key);
            }
        }
        self.manifests.invalidate(&key);
        self.unknown.invalidate(&key);
    }

    /// Learns from a response.
    pub fn observe(&self, place: &DocumentPlace, policy: &LearnPolicy, seen: &Observation<'_>) -> Verdict {
        if let Some(division) = &place.division
            && !self.enter(place, division, seen)
        {
            return Verdict::default();
        }
        let key = place.key;
        let Some(stored) = self.stored_again(key) else {
            return self.begin(place, policy, seen);
        };
        let mut manifest = stored.lock();
        if manifest.variants().is_some() {
            // The document was divided after the request was assigned to a place.
            return Verdict::default();
        }
        let mut verdict = manifest.observe(policy, seen);
        verdict.divided_by = manifest.dividing_parameter(policy, place.division(), seen, &self.hasher);
        if manifest.is_empty() {
            drop(manifest);
            self.manifests.invalidate(&key);
        } else {
            self.weigh(key, &stored, manifest);
        }
        if let Some(parameter) = &verdict.divided_by {
            self.divide(
                place.base,
                &Division::new([].into_iter(), [&**parameter].into_iter()),
                seen.now,
            );
        }
        verdict
    }

    /// Makes the variant of a response known; returns whether it is.
    fn enter(&self, place: &DocumentPlace, division: &Division, seen: &Observation<'_>) -> bool {
        if *seen.evidence == Evidence::Authorized {
            return false;
        }
        let teaches = !seen.links.is_empty();
        if !teaches && !self.manifests.contains_key(&place.base) {
            return false;
        }
        self.divide(place.base, division, seen.now);
        let Some(stored) = self.manifests.get(&place.base) else {
            return false;
        };
        let mut manifest = stored.lock();
        let Some(variants) = manifest.variants_mut() else {
            return false;
        };
        if **variants.division() != *division {
            // The variants are others by now.
            return false;
        }
        if !variants.is_used(place.key) && !teaches {
            return false;
        }
        let left = variants.admit(place.key, seen.network);
        self.weigh(place.base, &stored, manifest);
        if let Some(left) = left {
            self.manifests.invalidate(&left);
        }
        true
    }

    /// Divides the documents of a key, or divides them by more.
    fn divide(&self, base: DocumentKey, division: &Division, now: u64) {
        let Some(stored) = self.stored_again(base) else {
            let mut manifest = Manifest::default();
            manifest.divide(division, now);
            self.manifests.insert(base, Arc::new(self.stored(manifest)));
            return;
        };
        let mut manifest = stored.lock();
        let gone = manifest.divide(division, now);
        self.weigh(base, &stored, manifest);
        gone.iter().for_each(|key| self.manifests.invalidate(key));
    }

    /// Tells the cache of another weight: it weighs a value only when it is inserted.
    fn weigh(&self, key: DocumentKey, stored: &StoredManifest, manifest: MutexGuard<'_, Manifest>) {
        let weight = self.weight(&manifest);
        drop(manifest);
        if weight != stored.weight {
            let manifest = Arc::clone(&stored.manifest);
            self.manifests
                .insert(key, Arc::new(StoredManifest { manifest, weight }));
        }
    }

    /// Learns from the first response of a document. If two first responses end at the same time, one is lost.
    fn begin(&self, place: &DocumentPlace, policy: &LearnPolicy, seen: &Observation<'_>) -> Verdict {
        // Most responses have no links, and links of responses to authorized clients never count.
        if seen.links.is_empty() || *seen.evidence == Evidence::Authorized {
            return Verdict::default();
        }
        let mut manifest = Manifest::default();
        let mut verdict = manifest.observe(policy, seen);
        verdict.divided_by = manifest.dividing_parameter(policy, place.division(), seen, &self.hasher);
        if !manifest.is_empty() {
            self.manifests.insert(place.key, Arc::new(self.stored(manifest)));
            // Should the document be forgotten, its HTML is read at once.
            self.unknown.invalidate(&place.key);
        }
        verdict
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

    /// Returns the manifest of a document that this request has looked up before. A look-up counts as a visit even if it
    /// finds nothing, and a document without a manifest must not count twice for one request.
    fn stored_again(&self, key: DocumentKey) -> Option<Arc<StoredManifest>> {
        let is_known = self.manifests.contains_key(&key);
        is_known.then(|| self.manifests.get(&key)).flatten()
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

fn is_expired(manifest: &Manifest, policy: &LearnPolicy, now: u64) -> bool {
    manifest.last_seen().saturating_add(policy.expire_after.as_secs()) < now
}

/// Documents that had nothing to teach of which it is remembered how often they were read: 200 bytes each.
const MAX_UNKNOWN: u32 = 10_000;

const WEIGHT_STEP: usize = 1024;

impl StoredManifest {
    /// Locks the manifest. A panic under the lock leaves the manifest usable, so a poisoned lock is taken too.
    fn lock(&self) -> MutexGuard<'_, Manifest> {
        self.manifest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
