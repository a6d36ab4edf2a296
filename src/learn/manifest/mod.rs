//! One document: which of its links are delivered early, from what its responses had.
//!
//! ```text
//!             enough visitors, enough responses in a row
//!   waiting ────────────────────────────────────────────► delivered
//!      ▲                                                     │
//!      └──── as many responses without the link, and ◄───────┘
//!            longer to wait the next time
//! ```
//!
//! Evidence against a delivered link is worth as much as evidence for it: a response for nobody in particular counts at
//! once, other responses count by different visitors, so that no single visitor takes a link away. A link that
//! [`PROVEN`] deliveries were right about is not taken away by one response either.
//!
//! A link that comes and goes (an A/B test, a rotating banner) waits longer each time, so that it
//! does not take those down that stay. A document whose delivered links keep being wrong all the
//! same is left alone for a while.

mod sample;

use std::sync::Arc;

use self::sample::{Sample, Taught};
use super::{
    policy::LearnPolicy,
    visitor::{Evidence, Visitor},
};
use crate::{
    link::Spelled,
    push::{Csp, HintUse, SkipReason, Source},
};

/// Links that are delivered early, in the order of the last response that had them.
pub type Links = Arc<[LearnedLink]>;

/// A link that is delivered early.
#[derive(Debug, Clone)]
pub struct LearnedLink {
    /// The link.
    pub link: Spelled,
    /// How often clients used it as a hint.
    pub uses: Arc<HintUse>,
    /// [`Source::Learned`], or [`Source::Html`] if the head of the document named it last.
    pub source: Source,
    /// Why the link is no hint at the moment, if clients do not use it.
    pub withheld: Option<SkipReason>,
}

impl LearnedLink {
    /// A link that nothing is known of.
    #[must_use]
    pub fn new(link: Spelled) -> Self {
        Self {
            link,
            uses: Arc::default(),
            source: Source::Learned,
            withheld: None,
        }
    }
}

impl AsRef<[u8]> for LearnedLink {
    fn as_ref(&self) -> &[u8] {
        self.link.text()
    }
}

/// The links of one document, and what is known of them.
#[derive(Debug, Clone, Default)]
pub struct Manifest {
    entries: Vec<LinkEntry>,
    delivered: Links,
    /// Whether a response was HTML.
    is_html: bool,
    /// Which responses' HTML is read.
    sample: Sample,
    csp: Option<Arc<Csp>>,
    /// Links that would be delivered if more visitors had got them.
    waiting: usize,
    /// The last [`MAX_JUDGED`] responses for which something was delivered early, and those that lacked some of it.
    judged: u32,
    wrong: u32,
    /// The network of the last response that was wrong: one visitor does not pause a document.
    wrong_for: Option<u64>,
    /// Seconds since 1970; until then nothing is learned.
    paused_until: u64,
    pauses: u32,
    /// Seconds since 1970.
    last_seen: u64,
}

#[derive(Debug, Clone)]
struct LinkEntry {
    link: Spelled,
    /// How often clients used it as a hint.
    uses: Arc<HintUse>,
    /// Where the last response had it.
    source: Source,
    /// Why it is no hint, and until when, in seconds since 1970.
    withheld: Option<(SkipReason, u64)>,
    /// Different visitors who got the link, one after another.
    visitors: Vec<Visitor>,
    /// A response for nobody in particular had the link.
    public: bool,
    /// Responses in a row that had the link and count.
    row: u32,
    /// Early deliveries that a response then confirmed.
    right: u32,
    /// Evidence against the link since the last response that had it.
    against: Against,
    /// Times that the link vanished after it was delivered.
    vanished: u32,
}

/// Responses in a row that lacked a delivered link.
#[derive(Debug, Clone, Default)]
struct Against {
    /// Those for nobody in particular.
    anonymous: u32,
    /// Different visitors of the others.
    visitors: Vec<Visitor>,
}

/// What a response is to the document of its URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observed {
    /// HTML, or a response that does not say what it is.
    Document,
    /// Of another media type. It is the document if the URL never had HTML.
    Other,
    /// A redirect within the site: its links count, the links that it lacks do not.
    Redirect,
}

/// One complete response to a document.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// Seconds since 1970.
    pub now: u64,
    /// Who got it.
    pub evidence: &'a Evidence,
    /// The mark of the client's network.
    pub network: u64,
    /// What it is.
    pub response: Observed,
    /// The links of its 103s and its final header, or of its HTML, that may be learned, each once.
    pub links: &'a [Spelled],
    /// Where they stood: [`Source::Learned`] stands for `Link` fields.
    pub source: Source,
    /// What was delivered early for it.
    pub delivered: &'a [LearnedLink],
    /// Its `Content-Security-Policy` fields.
    pub policies: &'a [&'a [u8]],
}

/// What came of an early delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Links that the response had.
    pub right: u32,
    /// Links that it did not have.
    pub wrong: u32,
    /// The document is now left alone for a while.
    pub paused: bool,
}

/// Links that are looked at in one response, and bytes of one.
const MAX_LINKS: usize = 32;
const MAX_LINK_BYTES: usize = 1024;

/// Early deliveries that were right, after which one response does not take a link away.
const PROVEN: u32 = 40;

/// Responses that are needed before a document is judged, and after which older ones count half.
/// Responses, not links: a deploy replaces all links of one response, and that is one mistake.
const MIN_JUDGED: u32 = 20;
const MAX_JUDGED: u32 = 200;

/// More than one wrong response in this many is too much.
const MAX_WRONG_SHARE: u32 = 10;

/// Times that a pause is doubled.
const MAX_PAUSES: u32 = 7;

impl Manifest {
    /// A manifest from a file.
    #[must_use]
    pub fn restored(links: &[Spelled], last_seen: u64) -> Self {
        let entry = |link: &Spelled| LinkEntry {
            public: true,
            row: 1,
            ..LinkEntry::new(link)
        };
        let mut manifest = Self {
            entries: links.iter().take(MAX_LINKS).map(entry).collect(),
            last_seen,
            ..Self::default()
        };
        manifest.delivered = manifest.entries.iter().map(LinkEntry::learned).collect();
        manifest
    }

    /// What is to be delivered early now.
    #[must_use]
    pub fn links(&self, now: u64) -> Links {
        if now < self.paused_until {
            return Links::default();
        }
        Arc::clone(&self.delivered)
    }

    /// The Content-Security-Policy of its last response.
    #[must_use]
    pub const fn csp(&self) -> Option<&Arc<Csp>> {
        self.csp.as_ref()
    }

    /// Counts a response whose HTML could be read; returns whether it should.
    pub fn is_html_due(&mut self, fingerprint: u64) -> bool {
        self.sample.is_due(fingerprint)
    }

    /// The number of links that are not delivered because too few visitors got them.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.waiting
    }

    /// Seconds since 1970 of its last response.
    #[must_use]
    pub const fn last_seen(&self) -> u64 {
        self.last_seen
    }

    /// Whether it holds nothing that is worth its place.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.paused_until == 0
    }

    /// Bytes that it takes, about.
    #[must_use]
    pub fn size(&self) -> usize {
        let entry = |entry: &LinkEntry| {
            let visitors = entry.visitors.iter().chain(&entry.against.visitors);
            let marks: usize = visitors.map(Visitor::size).sum();
            // Delivered links are held twice.
            entry.link.text().len() * 2
                + size_of::<LinkEntry>()
                + size_of::<LearnedLink>()
                + size_of::<HintUse>()
                + marks
        };
        let csp = self.csp.as_ref().map_or(0, |csp| csp.size());
        size_of::<Self>() + csp + self.entries.iter().map(entry).sum::<usize>()
    }

    /// Learns from a response, and judges what was delivered early for it. A response to an authorized client says
    /// nothing.
    pub fn observe(&mut self, policy: &LearnPolicy, seen: &Observation<'_>) -> Verdict {
        if *seen.evidence == Evidence::Authorized || seen.response == Observed::Other && self.is_html {
            return Verdict::default();
        }
        self.last_seen = seen.now;
        if seen.response == Observed::Redirect {
            self.count_all(policy, seen);
            self.publish(policy, seen.links);
            return Verdict::default();
        }
        self.is_html |= seen.response == Observed::Document;
        let mut verdict = self.judge(policy, seen);
        if verdict.paused {
            // Nothing is observed until the pause ends, so what is known now would be old by then.
            self.entries.clear();
            self.delivered = Links::default();
            return verdict;
        }
        if seen.now < self.paused_until {
            return verdict;
        }
        self.take_over_csp(seen.policies);
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
        verdict.paused = false;
        verdict
    }

    fn judge(&mut self, policy: &LearnPolicy, seen: &Observation<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        for LearnedLink { link, .. } in seen.delivered {
            if !seen.links.contains(link) {
                verdict.wrong += 1;
                continue;
            }
            verdict.right += 1;
            if let Some(entry) = self.entries.iter_mut().find(|entry| entry.link == *link) {
                entry.right = entry.right.saturating_add(1);
            }
        }
        let counts = verdict.wrong == 0 || self.wrong_for.replace(seen.network) != Some(seen.network);
        if !seen.delivered.is_empty() && counts {
            self.judged += 1;
            self.wrong += u32::from(verdict.wrong > 0);
        }
        if verdict.wrong == 0 && self.wrong_for == Some(seen.network) {
            // The same client gets both, so the document changes and not the client.
            self.wrong_for = None;
        }
        if self.judged >= MIN_JUDGED && self.wrong * MAX_WRONG_SHARE > self.judged {
            let pause = policy.pause.as_secs().saturating_mul(1 << self.pauses.min(MAX_PAUSES));
            self.paused_until = seen.now.saturating_add(pause);
            self.pauses += 1;
            (self.judged, self.wrong, self.wrong_for) = (0, 0, None);
            verdict.paused = true;
        } else if self.judged >= MAX_JUDGED {
            self.judged /= 2;
            self.wrong /= 2;
        }
        verdict
    }

    fn take_over_csp(&mut self, policies: &[&[u8]]) {
        let is_same = match &self.csp {
            Some(csp) => csp.is_of(policies.iter().copied()),
            None => policies.is_empty(),
        };
        if !is_same {
            self.csp = Csp::parse(policies.iter().copied()).map(Arc::new);
        }
    }

    /// Counts against each link that a response lacks. A link that is not delivered yet loses all that spoke for it: no
    /// other visitor's response comes between those that count.
    fn forget_missing(&mut self, policy: &LearnPolicy, seen: &Observation<'_>) {
        let delivered = &self.delivered;
        self.entries.retain_mut(|entry| {
            if seen.links.contains(&entry.link) {
                entry.against = Against::default();
                return true;
            }
            if delivered.iter().any(|known| known.link == entry.link) {
                if !entry.lacks(policy, seen.evidence) {
                    return true;
                }
                entry.vanished += 1;
            }
            entry.begin_anew();
            // Kept only to remember that it comes and goes.
            entry.vanished > 0
        });
    }

    fn count_all(&mut self, policy: &LearnPolicy, seen: &Observation<'_>) {
        for link in seen.links.iter().take(MAX_LINKS) {
            if link.text().len() <= MAX_LINK_BYTES {
                self.count(policy, (link, seen.source), seen.evidence);
            }
        }
    }

    fn count(&mut self, policy: &LearnPolicy, (link, source): (&Spelled, Source), evidence: &Evidence) {
        let at = match self.entries.iter().position(|entry| entry.link == *link) {
            Some(at) => at,
            None => {
                if !self.make_room() {
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
            // How a link is fetched is no part of what it is: the last response counts.
            entry.link = link.clone();
        }
    }

    /// A link that comes and goes makes room for one that may stay.
    fn make_room(&mut self) -> bool {
        if self.entries.len() < MAX_LINKS {
            return true;
        }
        let absent = self
            .entries
            .iter()
            .position(|entry| entry.row == 0 && entry.vanished > 0);
        absent.map(|at| self.entries.remove(at)).is_some()
    }

    /// Withholds the links that clients do not use, for a while, and counts those anew whose time is over.
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

    /// Puts together what is delivered: the links of the response in its order, then those that it lacks and that still
    /// count. Returns whether that is something else than before.
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

/// Seconds for which a link that clients do not use is no hint.
const WITHHELD: u64 = 60 * 60;

impl LinkEntry {
    fn new(link: &Spelled) -> Self {
        Self {
            link: link.clone(),
            uses: Arc::default(),
            source: Source::Learned,
            withheld: None,
            visitors: Vec::new(),
            public: false,
            row: 0,
            right: 0,
            against: Against::default(),
            vanished: 0,
        }
    }

    /// Counts a response without the link, which is delivered; whether that is enough against it.
    fn lacks(&mut self, policy: &LearnPolicy, evidence: &Evidence) -> bool {
        match evidence {
            Evidence::Authorized => {}
            Evidence::Anonymous => self.against.anonymous += 1,
            Evidence::Visitor(visitor) => note(&mut self.against.visitors, visitor, policy.min_visitors),
        }
        let one_is_enough = self.right < PROVEN;
        let anonymous = self.against.anonymous >= if one_is_enough { 1 } else { 2 };
        // The link counts by so many visitors, or by one response for everybody, against which one visitor says little.
        anonymous || self.against.visitors.len() >= if self.public { 2 } else { policy.min_visitors }
    }

    /// Takes away all that spoke for the link.
    fn begin_anew(&mut self) {
        self.visitors.clear();
        self.public = false;
        self.row = 0;
        self.right = 0;
        self.against = Against::default();
    }

    fn reason(&self) -> Option<SkipReason> {
        self.withheld.map(|(reason, _)| reason)
    }

    fn learned(&self) -> LearnedLink {
        LearnedLink {
            link: self.link.clone(),
            uses: Arc::clone(&self.uses),
            source: self.source,
            withheld: self.reason(),
        }
    }

    fn waits_for_visitors(&self, policy: &LearnPolicy) -> bool {
        !self.public && self.visitors.len() < policy.min_visitors
    }

    fn counts(&self, policy: &LearnPolicy) -> bool {
        let is_for_everybody = self.public || self.visitors.len() >= policy.min_visitors;
        is_for_everybody && self.row >= self.responses_needed()
    }

    /// 1 at first, then 8, 64 and so on: each time a link has vanished it must stay eight times longer.
    fn responses_needed(&self) -> u32 {
        8_u32.saturating_pow(self.vanished)
    }
}

/// Adds a visitor who is none of those that are known, up to a number.
fn note(visitors: &mut Vec<Visitor>, visitor: &Visitor, most: usize) {
    if visitors.len() < most && !visitors.iter().any(|known| known.may_be(visitor)) {
        visitors.push(visitor.clone());
    }
}

#[cfg(test)]
mod tests;
