//! One document: which of its links are delivered early, from what its responses had.
//!
//! ```text
//!             enough visitors, enough responses in a row
//!   waiting ────────────────────────────────────────────► delivered
//!      ▲                                                     │
//!      └──── one response without it: gone at once, and ◄────┘
//!            longer to wait the next time
//! ```
//!
//! A link that comes and goes (an A/B test, a rotating banner) waits longer each time, so that it
//! does not take those down that stay. A document whose delivered links keep being wrong all the
//! same is left alone for a while.

use std::sync::Arc;

use super::{
    policy::LearnPolicy,
    visitor::{Evidence, Visitor},
};

/// Link values that are delivered early, in the order of the last response that had them.
pub type Links = Arc<[Box<[u8]>]>;

/// What one document linked to lately.
#[derive(Debug, Clone, Default)]
pub struct Manifest {
    entries: Vec<LinkEntry>,
    delivered: Links,
    /// Responses of late for which something was delivered early, and those that lacked some of it.
    judged: u32,
    wrong: u32,
    /// Seconds since 1970; until then nothing is learned.
    paused_until: u64,
    pauses: u32,
    /// Seconds since 1970.
    last_seen: u64,
}

#[derive(Debug, Clone)]
struct LinkEntry {
    link: Box<[u8]>,
    /// Different visitors who got it, one after another.
    visitors: Vec<Visitor>,
    /// A response for nobody in particular had it.
    public: bool,
    /// Responses in a row that had it and count.
    row: u32,
    /// Times that it vanished after it was delivered.
    vanished: u32,
}

/// One complete response to a document.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// Seconds since 1970.
    pub now: u64,
    /// Who got it.
    pub evidence: &'a Evidence,
    /// The links of its 103s and its final header that may be learned, each once.
    pub links: &'a [&'a [u8]],
    /// What was delivered early for it.
    pub delivered: &'a [Box<[u8]>],
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
    pub fn restored(links: Vec<Box<[u8]>>, last_seen: u64) -> Self {
        let entry = |link: &[u8]| LinkEntry {
            link: link.into(),
            visitors: Vec::new(),
            public: true,
            row: 1,
            vanished: 0,
        };
        Self {
            entries: links.iter().take(MAX_LINKS).map(|link| entry(link)).collect(),
            delivered: links.into_iter().take(MAX_LINKS).collect(),
            last_seen,
            ..Self::default()
        }
    }

    /// What is to be delivered early now.
    #[must_use]
    pub fn links(&self, now: u64) -> Links {
        if now < self.paused_until {
            return Links::default();
        }
        Arc::clone(&self.delivered)
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
            let marks: usize = entry.visitors.iter().map(Visitor::size).sum();
            // Delivered links are held twice.
            entry.link.len() * 2 + size_of::<LinkEntry>() + size_of::<Box<[u8]>>() + marks
        };
        size_of::<Self>() + self.entries.iter().map(entry).sum::<usize>()
    }

    /// Learns from a response, and judges what was delivered early for it.
    pub fn observe(&mut self, policy: &LearnPolicy, seen: &Observation<'_>) -> Verdict {
        self.last_seen = seen.now;
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
        self.forget_missing(seen.links);
        for link in seen.links.iter().take(MAX_LINKS) {
            if link.len() <= MAX_LINK_BYTES {
                self.count(policy, link, seen.evidence);
            }
        }
        self.publish(policy, seen.links);
        verdict.paused = false;
        verdict
    }

    fn judge(&mut self, policy: &LearnPolicy, seen: &Observation<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        for link in seen.delivered {
            if seen.links.contains(&&**link) {
                verdict.right += 1;
            } else {
                verdict.wrong += 1;
            }
        }
        self.judged += u32::from(!seen.delivered.is_empty());
        self.wrong += u32::from(verdict.wrong > 0);
        if self.judged >= MIN_JUDGED && self.wrong * MAX_WRONG_SHARE > self.judged {
            let pause = policy.pause.as_secs().saturating_mul(1 << self.pauses.min(MAX_PAUSES));
            self.paused_until = seen.now.saturating_add(pause);
            self.pauses += 1;
            (self.judged, self.wrong) = (0, 0);
            verdict.paused = true;
        } else if self.judged >= MAX_JUDGED {
            self.judged /= 2;
            self.wrong /= 2;
        }
        verdict
    }

    /// A link that a response lacks is gone, with all that spoke for it.
    fn forget_missing(&mut self, links: &[&[u8]]) {
        let delivered = &self.delivered;
        self.entries.retain_mut(|entry| {
            if links.contains(&&*entry.link) {
                return true;
            }
            if delivered.contains(&entry.link) {
                entry.vanished += 1;
            }
            entry.visitors.clear();
            entry.public = false;
            entry.row = 0;
            // Kept only to remember that it comes and goes.
            entry.vanished > 0
        });
    }

    fn count(&mut self, policy: &LearnPolicy, link: &[u8], evidence: &Evidence) {
        let at = match self.entries.iter().position(|entry| *entry.link == *link) {
            Some(at) => at,
            None => {
                if !self.make_room() {
                    return;
                }
                self.entries.push(LinkEntry {
                    link: link.into(),
                    visitors: Vec::new(),
                    public: false,
                    row: 0,
                    vanished: 0,
                });
                self.entries.len() - 1
            }
        };
        let Some(entry) = self.entries.get_mut(at) else { return };
        match evidence {
            Evidence::Authorized => return,
            Evidence::Anonymous => entry.public = true,
            Evidence::Visitor(visitor) => {
                let is_new = !entry.visitors.iter().any(|known| known.may_be(visitor));
                if is_new && entry.visitors.len() < policy.min_visitors {
                    entry.visitors.push(visitor.clone());
                }
            }
        }
        entry.row = entry.row.saturating_add(1);
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

    /// Puts together what is delivered, in the order of the response.
    fn publish(&mut self, policy: &LearnPolicy, links: &[&[u8]]) {
        let counts = |link: &[u8]| {
            self.entries
                .iter()
                .find(|entry| *entry.link == *link)
                .is_some_and(|entry| entry.counts(policy))
        };
        let mut delivered = links.iter().filter(|link| counts(link));
        let is_unchanged = delivered.clone().count() == self.delivered.len()
            && delivered
                .clone()
                .zip(self.delivered.iter())
                .all(|(new, old)| **new == **old);
        if !is_unchanged {
            self.delivered = delivered.by_ref().map(|link| Box::from(*link)).collect();
        }
    }
}

impl LinkEntry {
    fn counts(&self, policy: &LearnPolicy) -> bool {
        let is_for_everybody = self.public || self.visitors.len() >= policy.min_visitors;
        is_for_everybody && self.row >= self.responses_needed()
    }

    /// 1 at first, then 8, 64 and so on: each time a link has vanished it must stay eight times longer.
    fn responses_needed(&self) -> u32 {
        8_u32.saturating_pow(self.vanished)
    }
}

#[cfg(test)]
mod tests;
