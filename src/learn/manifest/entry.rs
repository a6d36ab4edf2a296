//! Holds one link of a document: the evidence for and against it.

use std::sync::Arc;

use crate::{
    learn::{
        policy::LearnPolicy,
        visitor::{Evidence, Visitor},
    },
    link::Spelled,
    push::{HintUse, SkipReason, Source},
};

/// Links that are delivered early, in the order of the last response that had them.
pub type Links = Arc<[LearnedLink]>;

/// A link that is delivered early.
#[derive(Debug, Clone)]
pub struct LearnedLink {
    /// The link.
    pub link: Spelled,
    /// Counts of clients that used the link as a hint.
    pub uses: Arc<HintUse>,
    /// [`Source::Learned`], or [`Source::Html`] if the HTML head of the last response had the link.
    pub source: Source,
    /// Why the link is not hinted at the moment, if clients do not use it.
    pub withheld: Option<SkipReason>,
}

impl LearnedLink {
    /// Makes a link without counts, from a `Link` field.
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

#[derive(Debug, Clone)]
pub(super) struct LinkEntry {
    pub(super) link: Spelled,
    /// Counts of clients that used the link as a hint.
    pub(super) uses: Arc<HintUse>,
    /// Where the last response with the link had it.
    pub(super) source: Source,
    /// Why the link is not hinted, and until when, in seconds since 1970.
    pub(super) withheld: Option<(SkipReason, u64)>,
    /// Different visitors that got the link in consecutive responses.
    pub(super) visitors: Vec<Visitor>,
    /// Whether an anonymous response had the link.
    pub(super) public: bool,
    /// Length of the current run of responses that had the link.
    pub(super) row: u32,
    /// Number of early deliveries that the response confirmed.
    pub(super) right: u32,
    /// Evidence against the link since the last response that had it.
    pub(super) against: Against,
    /// Number of responses in a row whose HTML, where the link stood, nobody read.
    pub(super) unread: u32,
    /// Number of times that the link vanished after it was delivered.
    pub(super) vanished: u32,
}

/// Consecutive responses that lacked a delivered link.
#[derive(Debug, Clone, Default)]
pub(super) struct Against {
    /// Number of anonymous responses.
    pub(super) anonymous: u32,
    /// Different visitors that got the other responses.
    pub(super) visitors: Vec<Visitor>,
}

/// Number of correct early deliveries after which one anonymous response does not remove a link.
pub(super) const PROVEN: u32 = 40;

impl LinkEntry {
    pub(super) fn new(link: &Spelled) -> Self {
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
            unread: 0,
            vanished: 0,
        }
    }

    /// Counts a response that lacks this delivered link; returns whether the evidence suffices to remove the link.
    pub(super) fn lacks(&mut self, policy: &LearnPolicy, evidence: &Evidence) -> bool {
        match evidence {
            Evidence::Authorized => {}
            Evidence::Anonymous => self.against.anonymous += 1,
            Evidence::Visitor(visitor) => note(&mut self.against.visitors, visitor, policy.min_visitors),
        }
        let one_is_enough = self.right < PROVEN;
        let anonymous = self.against.anonymous >= if one_is_enough { 1 } else { 2 };
        // A link learned from visitors needs as many visitors against it. A public link needs two: a single visitor's
        // response is weak evidence against an anonymous one.
        anonymous || self.against.visitors.len() >= if self.public { 2 } else { policy.min_visitors }
    }

    /// Removes all evidence about the link, but not its uses and the number of times that it vanished.
    pub(super) fn begin_anew(&mut self) {
        self.visitors.clear();
        self.public = false;
        self.row = 0;
        self.right = 0;
        self.against = Against::default();
    }

    pub(super) fn reason(&self) -> Option<SkipReason> {
        self.withheld.map(|(reason, _)| reason)
    }

    pub(super) fn learned(&self) -> LearnedLink {
        LearnedLink {
            link: self.link.clone(),
            uses: Arc::clone(&self.uses),
            source: self.source,
            withheld: self.reason(),
        }
    }

    pub(super) fn waits_for_visitors(&self, policy: &LearnPolicy) -> bool {
        !self.public && self.visitors.len() < policy.min_visitors
    }

    pub(super) fn counts(&self, policy: &LearnPolicy) -> bool {
        let is_for_everybody = self.public || self.visitors.len() >= policy.min_visitors;
        is_for_everybody && self.row >= self.responses_needed()
    }

    /// Number of consecutive responses that must have the link: 1 at first, then 8, 64 and so on, eight times more each
    /// time the link has vanished.
    pub(super) fn responses_needed(&self) -> u32 {
        8_u32.saturating_pow(self.vanished)
    }
}

/// Adds a visitor that differs from all in the list, which has at most `most`.
pub(super) fn note(visitors: &mut Vec<Visitor>, visitor: &Visitor, most: usize) {
    if visitors.len() < most && !visitors.iter().any(|known| known.may_be(visitor)) {
        visitors.push(visitor.clone());
    }
}
