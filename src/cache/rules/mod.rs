//! What may be stored, for how long, and what of it answers a request: RFC 9111, decided purely.
//!
//! Reading order: `key` (what a response is found by), `request` (which requests may be answered), `freshness`, `control`,
//! `date` and `vary` (what may be stored), `revalidate` (what a 304 changes), `select` (what of a response a request is
//! given).

pub(super) mod control;
pub(super) mod date;
pub(super) mod freshness;
pub(super) mod key;
pub(super) mod request;
pub(super) mod revalidate;
pub(super) mod select;
pub(super) mod vary;
