//! Decides what a store has to do with a request (RFC 9111): Pingora's cache asks, the store under it is ours.
//!
//! Reading order: `request` (which requests get stored responses), `invalidate` (what ends stored responses), `storing`
//! (which responses are stored, and what a 304 says of the stored one), `status` (what is told of it).

pub(in crate::proxy) mod invalidate;
pub(in crate::proxy) mod request;
pub(in crate::proxy) mod status;
pub(in crate::proxy) mod storing;
