//! Tells an operator what is known of one document, link by link.

use super::{LinkEntry, Manifest};
use crate::{
    learn::{Division, LearnPolicy},
    push::{HintCounts, SkipReason, Source},
};

/// The knowledge of one document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DocumentReport {
    /// Links in the order in which they became known.
    pub links: Vec<LinkReport>,
    /// Seconds since 1970 of the last response that taught.
    pub last_seen: u64,
    /// Whether nothing is delivered for a while, as learned links kept being wrong.
    pub is_paused: bool,
    /// Whether the last response had a Content-Security-Policy.
    pub has_csp: bool,
    /// By what the documents of the route's key are divided.
    pub divided_by: Division,
    /// Number of variants that are known of these.
    pub variants: usize,
}

/// The knowledge of one link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkReport {
    /// The link as a field value.
    pub link: String,
    /// [`Source::Learned`] stands for `Link` fields.
    pub source: Source,
    /// Whether the link is delivered early.
    pub is_delivered: bool,
    /// Whether a response for nobody in particular had the link.
    pub is_public: bool,
    /// Number of different visitors that got the link, as far as they are counted.
    pub visitors: usize,
    /// Number of early deliveries that the response confirmed.
    pub right: u32,
    /// Number of times that the link vanished after it was delivered.
    pub vanished: u32,
    /// Counts of clients that got the link as a hint and used it.
    pub uses: HintCounts,
    /// Why the link is not hinted, or not delivered.
    pub withheld: Option<SkipReason>,
}

impl Manifest {
    /// Reports what is known at this time, in seconds since 1970.
    #[must_use]
    pub fn report(&self, policy: &LearnPolicy, now: u64) -> DocumentReport {
        let link = |entry: &LinkEntry| LinkReport {
            link: String::from_utf8_lossy(entry.link.text()).into_owned(),
            source: entry.source,
            is_delivered: self.delivered.iter().any(|known| known.link == entry.link),
            is_public: entry.public,
            visitors: entry.visitors.len(),
            right: entry.right,
            vanished: entry.vanished,
            uses: entry.uses.counts(),
            withheld: entry.reason().or_else(|| {
                (entry.row > 0 && entry.waits_for_visitors(policy)).then_some(SkipReason::WaitingForVisitors)
            }),
        };
        DocumentReport {
            links: self.entries.iter().map(link).collect(),
            last_seen: self.last_seen,
            is_paused: self.is_paused(now),
            has_csp: self.csp().is_some(),
            divided_by: Division::default(),
            variants: 0,
        }
    }
}
