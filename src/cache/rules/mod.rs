//! Decides which responses may be stored, for how long, and how requests are answered with them (RFC 9111). Pure.
//!
//! Reading order: `key` (how a response is found), `request` (which requests the cache may answer), `freshness`,
//! `control`, `date` and `vary` (which responses may be stored), `revalidate` (how a 304 changes a stored response),
//! `select` (304, a part, or all of a response).

pub(super) mod control;
pub(super) mod date;
pub(super) mod freshness;
pub(super) mod key;
pub(super) mod request;
pub(super) mod revalidate;
pub(super) mod select;
pub(super) mod vary;
