//! Decides each phase of a request, as plain functions over one [`Exchange`](super::exchange::Exchange).
//!
//! The rules know the heads of request and response, and no Pingora session; each driver calls the same ones. Reading
//! order, in which a file imports only from those before it: `head` (what of a head is passed on), `failure` (why an
//! exchange goes no further), `via` (loops), `forwarded` (what the origin is told of the client), `trace` (names of the
//! request), `cache` (stored responses),
//! `delivery` (what is planned for a document, and which promises are not made again), `learning` (what documents link
//! to), `route` (the request begins), `attempt` (which server, and whether another one), `response` (the origin's
//! response comes), `finish` (errors, and the access line).

pub(in crate::proxy) mod attempt;
pub(in crate::proxy) mod cache;
pub(in crate::proxy) mod delivery;
pub(in crate::proxy) mod failure;
pub(in crate::proxy) mod finish;
pub(in crate::proxy) mod forwarded;
pub(in crate::proxy) mod head;
pub(in crate::proxy) mod learning;
pub(in crate::proxy) mod response;
pub(in crate::proxy) mod route;
pub(in crate::proxy) mod trace;
mod via;
