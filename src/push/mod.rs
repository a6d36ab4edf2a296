//! What to do for one document: promises, hints, and every candidate skipped with its reason. Pure.

mod destination;
mod policy;

pub use destination::Destination;
pub use policy::{Authority, Credentials, Delivery, Destinations, HintRequests, Nopush, Policy};
