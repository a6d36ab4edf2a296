//! Stored responses, all of them, and how Pingora's cache sees them.
//!
//! Reading order: `memory` (the store, bounded), `trail` (what a request carries through Pingora's cache), `storage` (the
//! store as that sees it), `lock` (who asks the origin, and who waits), `uncacheable` (what need not be waited for),
//! `retry` (when the origin is asked again after it failed).

pub(super) mod lock;
pub(super) mod memory;
pub(super) mod retry;
mod storage;
pub(super) mod trail;
pub(super) mod uncacheable;
