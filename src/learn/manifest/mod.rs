//! Decides which links of one document are delivered early, from the links of its responses.
//!
//! ```text
//!             enough visitors, enough responses in a row
//!   waiting ────────────────────────────────────────────► delivered
//!      ▲                                                     │
//!      └──── as many responses without the link, and ◄───────┘
//!            longer to wait the next time
//! ```
//!
//! Evidence against a delivered link has the weight of evidence for it: an anonymous response counts at once, other
//! responses count by different visitors, so that no single visitor removes a link. After [`PROVEN`] correct
//! deliveries, one anonymous response does not remove the link either.
//!
//! A link that comes and goes (an A/B test, a rotating banner) waits longer each time, so that its errors do not pause
//! the delivery of links that stay. Learning pauses on a document whose delivered links keep being wrong nevertheless.

mod entry;
mod observation;
mod policies;
mod query;
mod report;
mod sample;
mod settled;

use std::sync::Arc;

pub use observation::{Observation, Observed, Verdict};
pub use report::{DocumentReport, LinkReport};

use self::{
    entry::{Against, LinkEntry, PROVEN, dispensable, note},
    policies::KnownPolicies,
    query::QueryEvidence,
};
pub(super) use self::{
    sample::{Sample, Taught},
    settled::Settled,
};
use super::{
    division::{Division, Variants, left_out},
    key::KeyHasher,
    policy::LearnPolicy,
    visitor::{Evidence, Visitor},
};
use crate::{
    link::{Need, Spelled},
    push::{Csp, HintUse, SkipReason, Source},
};
pub use entry::{LearnedLink, Links};

/// The links of one document, and the evidence about them.
#[derive(Debug, Clone, Default)]
pub struct Manifest {
    entries: Vec<LinkEntry>,
    delivered: Links,
    /// Whether any response was HTML.
    is_html: bool,
    /// The choice of responses whose HTML is read.
    sample: Sample,
    /// The choice of responses whose fields are read.
    settled: Settled,
    policies: KnownPolicies,
    /// The evidence by which query parameters divide the document.
    queries: QueryEvidence,
    /// The variants that are known in the place of this document.
    variants: Option<Box<Variants>>,
    /// Number of links that would be delivered if more visitors had got them.
    waiting: usize,
    /// Number of responses for which links were delivered early; halved with `wrong` at [`MAX_JUDGED`].
    judged: u32,
    /// Number of judged responses that lacked a delivered link.
    wrong: u32,
    /// The networks of the last four wrong responses that counted: a visitor counts once, whatever it sends.
    wrong_for: [u64; 4],
    /// End of the pause in which no links are learned, in seconds since 1970.
    paused_until: u64,
    pauses: u32,
    /// Time of the last response, in seconds since 1970.
    last_seen: u64,
    /// Number of responses in a row that taught nothing, and the network of the last one.
    silent: u32,
    silent_for: u64,
}

/// Largest number of learned links of a document.
pub const MAX_LINKS: usize = 32;
/// Largest length of a learned link in bytes.
pub const MAX_LINK_BYTES: usize = 1024;

/// Number of judged responses before a document may be paused, and at which older responses count half. Responses
/// count, not links: a deploy replaces all links of one response, which is one mistake.
const MIN_JUDGED: u32 = 20;
const MAX_JUDGED: u32 = 200;

/// Number of responses in a row whose HTML nobody read, after which they count against a link of the HTML.
const MAX_UNREAD: u32 = 256;

/// Number of responses in a row that teach nothing, after which the links of a document are forgotten.
const MAX_SILENT: u32 = 32;

/// More than one wrong response in this many pauses a document.
const MAX_WRONG_SHARE: u32 = 10;

/// Largest number of times that the pause is doubled.
const MAX_PAUSES: u32 = 7;

impl Manifest {
    /// Makes a manifest from the links of a file, with the policies of the fields and of the page.
    #[must_use]
    pub fn restored(links: &[Spelled], policies: [Option<&str>; 2], last_seen: u64) -> Self {
        let [of_fields, of_page] = policies;
        let entry = |link: &Spelled| LinkEntry {
            public: true,
            row: 1,
            ..LinkEntry::new(link)
        };
        let mut manifest = Self {
            entries: links.iter().take(MAX_LINKS).map(entry).collect(),
            policies: KnownPolicies::restored(of_fields, of_page),
            last_seen,
            ..Self::default()
        };
        manifest.delivered = manifest.entries.iter().map(LinkEntry::learned).collect();
        manifest
    }

    /// Makes the manifest of a document that is known by its variants.
    pub(super) fn divided(variants: Variants, last_seen: u64) -> Self {
        Self {
            variants: Some(Box::new(variants)),
            last_seen,
            ..Self::default()
        }
    }

    /// The variants in the place of this document.
    pub(super) fn variants(&self) -> Option<&Variants> {
        self.variants.as_deref()
    }

    /// The variants, to be changed.
    pub(super) fn variants_mut(&mut self) -> Option<&mut Variants> {
        self.variants.as_deref_mut()
    }

    /// Divides the document, or divides it by more; returns the keys of the variants that are none any more.
    pub(super) fn divide(&mut self, division: &Division, now: u64) -> Vec<super::DocumentKey> {
        if self.variants.is_none() {
            // What is known is of all variants together.
            *self = Self::divided(Variants::default(), now);
        }
        self.last_seen = now;
        self.variants
            .as_mut()
            .map_or_else(Vec::new, |variants| variants.widen(division))
    }

    /// Returns the query parameter that turns out, with this response, to divide the document, if one does. `division`:
    /// by what the document is a variant.
    pub(super) fn dividing_parameter(
        &mut self,
        policy: &LearnPolicy,
        division: Option<&Division>,
        seen: &Observation<'_>,
        hasher: &KeyHasher,
    ) -> Option<Box<str>> {
        let pairs = left_out(&policy.key, division, seen.query);
        if seen.response != Observed::Document
            || *seen.evidence == Evidence::Authorized
            || pairs.clone().next().is_none()
            || division.is_some_and(|division| !division.has_room())
        {
            return None;
        }
        let links = seen.links.iter().map(|link| hasher.mark(query::LINK, link.text()));
        let links = links.fold(0, u64::wrapping_add);
        self.queries.note(pairs, links, seen.network, hasher)
    }

    /// Returns the links that are delivered early now; none during a pause.
    #[must_use]
    pub fn links(&self, now: u64) -> Links {
        if self.is_paused(now) {
            return Links::default();
        }
        Arc::clone(&self.delivered)
    }

    /// Returns whether nothing is delivered for a while, as learned links kept being wrong.
    #[must_use]
    pub const fn is_paused(&self, now: u64) -> bool {
        now < self.paused_until
    }

    /// The Content-Security-Policy of the last responses.
    #[must_use]
    pub const fn csp(&self) -> Option<&Arc<Csp>> {
        self.policies.all()
    }

    /// The policies of the fields and of the page, as text for a file.
    #[must_use]
    pub fn policy_texts(&self) -> [Option<&str>; 2] {
        self.policies.texts()
    }

    /// Counts a response whose HTML could be read; returns whether the HTML should be read.
    pub fn is_html_due(&mut self, fingerprint: u64) -> bool {
        self.sample.is_due(fingerprint)
    }

    /// Number of links that are not delivered because too few visitors got them.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.waiting
    }

    /// Time of the last response, in seconds since 1970.
    #[must_use]
    pub const fn last_seen(&self) -> u64 {
        self.last_seen
    }

    /// Whether the manifest has neither links nor variants nor evidence of them, and was never paused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let is_undivided = self.variants.is_none() && !self.queries.has_any();
        self.entries.is_empty() && is_undivided && self.paused_until == 0
    }

    /// Estimated memory in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        let entry = |entry: &LinkEntry| {
            let visitors = entry.visitors.iter().chain(&entry.against.visitors);
            let marks: usize = visitors.map(Visitor::size).sum();
            // A delivered link is stored in `entries` and in `delivered`.
            entry.link.text().len() * 2
                + size_of::<LinkEntry>()
                + size_of::<LearnedLink>()
                + size_of::<HintUse>()
                + marks
        };
        let variants = self.variants.as_ref().map_or(0, |variants| variants.size());
        let more = self.policies.size() + self.queries.size() + variants;
        size_of::<Self>() + more + self.entries.iter().map(entry).sum::<usize>()
    }

    /// Learns from a response, and judges the links that were delivered early for it. Ignores responses to authorized
    /// clients, and responses of another media type than HTML for an HTML document.
    pub fn observe(&mut self, policy: &LearnPolicy, seen: &Observation<'_>) -> Verdict {
        if *seen.evidence == Evidence::Authorized {
            return Verdict::default();
        }
        if seen.response == Observed::Other && self.is_html {
            self.note_silence(seen.network);
            return Verdict::default();
        }
        self.last_seen = seen.now;
        self.settled.unsettle();
        if seen.response == Observed::Redirect {
            self.count_all(policy, seen);
            self.publish(policy, seen.links);
            self.note_silence(seen.network);
            return Verdict::default();
        }
        self.silent = 0;
        self.is_html |= seen.response == Observed::Document;
        let mut verdict = self.judge(policy, seen);
        if verdict.paused {
            // Nothing is learned until the pause ends, when the links known now would be out of date.
            self.entries.clear();
            self.delivered = Links::default();
            return verdict;
        }
        if seen.now < self.paused_until {
            return verdict;
        }
        self.note_policies(seen.evidence, seen.network, seen.policies);
        if let Some(policies) = seen.page_policies {
            self.policies.note_page(seen.evidence, seen.network, policies);
        }
        self.forget_missing(policy, seen);
        self.count_all(policy, seen);
        self.judge_uses(seen.now);
        let is_changed = self.publish(policy, seen.links);
        if seen.source == Source::Html {
            let taught = if is_changed || self.waiting > 0 {
                Taught::Something
            } else {
                Taught::Nothing
            };
            self.sample.note(taught);
        }
        verdict.is_settled = !is_changed && self.is_settled(seen);
        verdict
    }

    /// Returns whether nothing is left to learn from responses like this one, which was just observed.
    fn is_settled(&self, seen: &Observation<'_>) -> bool {
        let is_settled = |link: &Spelled| {
            let entry = self.entries.iter().find(|entry| entry.link == *link);
            entry.is_some_and(|entry| {
                let is_proven = seen.delivered.is_empty() || entry.right >= PROVEN;
                entry.row >= settled::ROW && is_proven && entry.withheld.is_none()
            })
        };
        seen.source == Source::Learned
            && seen.response == Observed::Document
            && self.waiting == 0
            && !self.policies.are_doubted()
            && self.delivered.len() == seen.links.len()
            && seen.links.iter().all(is_settled)
    }

    /// Settles the document on the fields of a response that was observed, by their hash.
    pub(super) fn settle(&mut self, fields: u64) {
        self.settled.settle(fields);
    }

    /// Counts a response with these fields; returns how many delivered links it confirms if the document is settled on
    /// the fields, so that the response need not be observed.
    pub(super) fn passes(&mut self, fields: u64, delivered: &[LearnedLink], now: u64) -> Option<u32> {
        if !self.settled.passes(fields) {
            return None;
        }
        self.last_seen = now;
        self.silent = 0;
        if delivered.is_empty() {
            return Some(0);
        }
        self.judged += 1;
        self.fade();
        for entry in self.entries.iter_mut().filter(|entry| entry.row > 0) {
            entry.right = entry.right.saturating_add(1);
        }
        u32::try_from(delivered.len()).ok()
    }

    /// Counts a response that teaches nothing, though links were delivered early for it: an error page, a redirect,
    /// HTML that cannot be read. Forgets the links after [`MAX_SILENT`] of them in a row, to networks that take turns.
    pub(super) fn note_silence(&mut self, network: u64) {
        if network == self.silent_for {
            return;
        }
        self.silent_for = network;
        self.silent += 1;
        if self.silent >= MAX_SILENT {
            self.silent = 0;
            self.entries.clear();
            self.delivered = Links::default();
        }
    }

    /// Halves the counts of judged responses once there are many, so that older ones count less.
    const fn fade(&mut self) {
        if self.judged >= MAX_JUDGED {
            self.judged /= 2;
            self.wrong /= 2;
        }
    }

    fn judge(&mut self, policy: &LearnPolicy, seen: &Observation<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        for LearnedLink { link, source, .. } in seen.delivered {
            if !seen.links.contains(link) {
                if *source == Source::Html && seen.source != Source::Html {
                    // Nobody looked at the HTML of this response.
                    continue;
                }
                verdict.wrong += 1;
                continue;
            }
            verdict.right += 1;
            if let Some(entry) = self.entries.iter_mut().find(|entry| entry.link == *link) {
                entry.right = entry.right.saturating_add(1);
            }
        }
        let counts = verdict.wrong == 0 || !self.wrong_for.contains(&seen.network);
        if verdict.wrong > 0 && counts {
            self.wrong_for.rotate_right(1);
            if let Some(latest) = self.wrong_for.first_mut() {
                *latest = seen.network;
            }
        }
        if !seen.delivered.is_empty() && counts {
            self.judged += 1;
            self.wrong += u32::from(verdict.wrong > 0);
        }
        if self.judged >= MIN_JUDGED && self.wrong * MAX_WRONG_SHARE > self.judged {
            let pause = policy.pause.as_secs().saturating_mul(1 << self.pauses.min(MAX_PAUSES));
            self.paused_until = seen.now.saturating_add(pause);
            self.pauses += 1;
            (self.judged, self.wrong) = (0, 0);
            verdict.paused = true;
        } else {
            self.fade();
        }
        verdict
    }

    /// Returns whether these are the policies of the fields that hold, but for their nonces.
    #[must_use]
    pub fn has_policies(&self, policies: &[&[u8]]) -> bool {
        self.policies.has_fields(policies)
    }

    /// Notes the policies of a response's fields.
    pub fn note_policies(&mut self, evidence: &Evidence, network: u64, policies: &[&[u8]]) {
        self.policies.note_fields(evidence, network, policies);
    }

    /// Counts against each link that a response lacks. A link that is not delivered yet loses all evidence for it,
    /// since only consecutive responses count.
    fn forget_missing(&mut self, policy: &LearnPolicy, seen: &Observation<'_>) {
        let delivered = &self.delivered;
        self.entries.retain_mut(|entry| {
            if seen.links.contains(&entry.link) {
                entry.against = Against::default();
                entry.unread = 0;
                return true;
            }
            if entry.source == Source::Html && seen.source != Source::Html && entry.unread < MAX_UNREAD {
                entry.unread += 1;
                return true;
            }
            if delivered.iter().any(|known| known.link == entry.link) {
                if !entry.lacks(policy, seen.evidence) {
                    return true;
                }
                entry.vanished += 1;
            }
            entry.begin_anew();
            // The entry stays only to remember that the link comes and goes.
            entry.vanished > 0
        });
    }

    /// Counts for the links of a response; of too many, for those of the most urgent [`Need`].
    fn count_all(&mut self, policy: &LearnPolicy, seen: &Observation<'_>) {
        let places = seen.links.iter().enumerate();
        let mut links: Vec<(usize, &Spelled)> =
            places.filter(|(_, link)| link.text().len() <= MAX_LINK_BYTES).collect();
        if links.len() > MAX_LINKS {
            // The sort is stable.
            links.sort_by_key(|(_, link)| link.need());
        }
        for (place, link) in links.into_iter().take(MAX_LINKS) {
            let source = if place < seen.fields {
                Source::Learned
            } else {
                seen.source
            };
            self.count(policy, (link, source), seen.evidence);
        }
    }

    fn count(&mut self, policy: &LearnPolicy, (link, source): (&Spelled, Source), evidence: &Evidence) {
        let at = match self.entries.iter().position(|entry| entry.link == *link) {
            Some(at) => at,
            None => {
                if !self.make_room(link.need()) {
                    return;
                }
                self.entries.push(LinkEntry::new(link));
                self.entries.len() - 1
            }
        };
        let Some(entry) = self.entries.get_mut(at) else { return };
        match evidence {
            Evidence::Authorized => return,
            Evidence::Anonymous => entry.public = true,
            Evidence::Visitor(visitor) => note(&mut entry.visitors, visitor, policy.min_visitors),
        }
        entry.row = entry.row.saturating_add(1);
        entry.source = source;
        if !entry.link.is_verbatim(link) {
            // Other parameters of the same link: the last response counts.
            entry.link = link.clone();
        }
    }

    /// Returns whether there is room for a link of this need; if full, removes one that is [`dispensable`] for it.
    fn make_room(&mut self, need: Need) -> bool {
        if self.entries.len() < MAX_LINKS {
            return true;
        }
        let at = dispensable(&self.entries, need);
        at.map(|at| self.entries.remove(at)).is_some()
    }

    /// Withholds the links that clients do not use as hints for [`WITHHELD`] seconds, and then counts their uses anew.
    fn judge_uses(&mut self, now: u64) {
        for entry in &mut self.entries {
            match entry.withheld {
                Some((_, until)) if now < until => {}
                Some(_) => entry.withheld = None,
                None => {
                    let counts = entry.uses.counts();
                    let reason = if counts.is_unused() {
                        SkipReason::Unused
                    } else if counts.is_fetched_twice() {
                        SkipReason::NotReusable
                    } else {
                        continue;
                    };
                    entry.uses.reset();
                    entry.withheld = Some((reason, now.saturating_add(WITHHELD)));
                }
            }
        }
    }

    /// Sets the delivered links: those of the response in its order, then delivered links that it lacks and that still
    /// count. Returns whether they have changed.
    fn publish(&mut self, policy: &LearnPolicy, links: &[Spelled]) -> bool {
        let doubted = self.delivered.iter().map(|known| &known.link);
        let doubted = doubted.filter(|link| !links.contains(link));
        let entry = |link: &Spelled| self.entries.iter().find(|entry| entry.link == *link);
        let known = links.iter().chain(doubted).filter_map(entry);
        let delivered = known.clone().filter(|entry| entry.counts(policy));
        let waiting = known.clone().filter(|entry| entry.waits_for_visitors(policy)).count();
        let is_unchanged = delivered.clone().count() == self.delivered.len()
            && delivered.clone().zip(self.delivered.iter()).all(|(new, old)| {
                new.link.is_verbatim(&old.link) && new.reason() == old.withheld && new.source == old.source
            });
        if !is_unchanged {
            self.delivered = delivered.map(LinkEntry::learned).collect();
        }
        self.waiting = waiting;
        !is_unchanged
    }
}

/// Time for which a link that clients do not use is not hinted, in seconds.
const WITHHELD: u64 = 60 * 60;

#[cfg(test)]
mod tests;
