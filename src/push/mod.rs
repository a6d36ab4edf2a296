//! What to do for one document: promises, hints, and every link skipped with its reason. Pure.
//!
//! Reading order: [`Policy`] (what the operator decided) and [`Destination`], [`Mention`] (what there is to
//! deliver), [`plan()`] (the decision), [`SkipReason`] (why not), `request` (what a promise asks), `urgency` (in which
//! order), [`Client`] and `diary` (what a connection remembers), [`judge`] (may this answer be
//! pushed).

mod answer;
mod client;
mod csp;
mod destination;
mod diary;
mod hint;
mod hinted;
mod mention;
mod plan;
mod policy;
mod reason;
mod request;
mod reuse;
mod urgency;

pub use answer::{BadAnswer, BadAnswers, Witness, judge};
pub use client::{Client, Slot};
pub use csp::Csp;
pub use destination::Destination;
pub use diary::{Diary, Known, UrlKey};
pub use hinted::{HintCounts, HintUse};
pub use mention::{Mention, mentions};
pub use plan::{Facts, Http2Facts, Plan, Promise, Source, plan};
pub use policy::{Authority, Credentials, Delivery, Destinations, HintRequests, Nopush, Policy};
pub use reason::{SkipReason, Skips};
pub use reuse::{NotReusable, is_reusable};
pub use urgency::{PRIORITY, Priority, Urgency};

/// Marks the request of a promised stream; rides in its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushedBy {
    /// Stream identifier of the document.
    pub parent: u32,
}
