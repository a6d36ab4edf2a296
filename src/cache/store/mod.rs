//! Holds all stored responses, and connects them with Pingora's cache.
//!
//! Reading order: `memory` (the store, bounded), `trail` (facts of a request that ride in Pingora's cache key),
//! `storage` (the store behind Pingora's traits), `lock` (one request for a URL goes to the origin, the others wait),
//! `uncacheable` (URLs whose requests need not wait), `retry` (pauses between revalidations in the background that
//! fail).

pub(super) mod lock;
pub(super) mod memory;
pub(super) mod retry;
mod storage;
pub(super) mod trail;
pub(super) mod uncacheable;
