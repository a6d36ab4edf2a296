//! Decides what to do for one document: promises, hints, and every link skipped with its reason. Pure.
//!
//! Reading order: `policy` (the operator's settings) and `destination` (the values of `as`), `mention` (the links of a
//! document, with their source), `plan` (the decision), `reason` (why a link is skipped), `request` (the promised
//! request), `urgency` (the order of bodies), `hint` and `csp` (which links may go into a 103), `state` and `diary`
//! (what a connection remembers), `hinted` (how clients use hints), `reserve` (plans of one connection at the same
//! time), `pushable` and `reuse` (which responses may be pushed, or hinted), `meter` (what became of
//! all that, in numbers).

mod csp;
mod destination;
mod diary;
mod hint;
mod hinted;
mod mention;
mod meter;
mod plan;
mod policy;
mod pushable;
mod reason;
mod recent;
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
pub use diary::{Diary, Known};
pub use hinted::{HintCounts, HintUse, HintedUrl};
pub use mention::{Mention, Source, mentions};
pub use meter::{PushCancel, PushMeter};
pub use plan::{Facts, Http2Facts, Plan, Promise, early_refusal, plan};
pub use policy::{Authority, Credentials, Delivery, Destinations, HintRequests, Nopush, Policy};
pub use reason::{SkipReason, Skips};
pub use recent::UrlKey;
pub use reuse::{NotReusable, is_reusable};
pub use urgency::{PRIORITY, Priority, Urgency};

/// Mark of a promised stream's request, in the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushedBy {
    /// Stream identifier of the document.
    pub parent: u32,
}
