//! What to do for one document: promises, hints, and every link skipped with its reason. Pure.
//!
//! Reading order: [`Policy`] (what the operator decided) and [`Destination`], [`Mention`] (what there is to
//! deliver), [`plan()`] (the decision), [`SkipReason`] (why not), `request` (what a promise asks), `urgency` (in which
//! order), [`PushState`] and `diary` (what a connection remembers), `reserve` (a plan among others), [`check_pushable`] (may this answer be
//! pushed).

mod csp;
mod destination;
mod diary;
mod hint;
mod hinted;
mod mention;
mod plan;
mod policy;
mod pushable;
mod reason;
mod request;
mod reserve;
mod reuse;
mod state;
mod urgency;

pub use self::{
    pushable::{NotPushable, Unpushable, Witness, check_pushable},
    state::{PushState, Slot},
};
pub use csp::Csp;
pub use destination::Destination;
pub use diary::{Diary, Known, UrlKey};
pub use hinted::{HintCounts, HintUse};
pub use mention::{Mention, Source, mentions};
pub use plan::{Facts, Http2Facts, Plan, Promise, plan};
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
