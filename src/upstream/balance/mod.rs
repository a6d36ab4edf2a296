//! Chooses the server of a pool that a request goes to.
//!
//! Reading order: `server` (one address and its state), `balancer` (the choice among servers), `pool` (a running pool);
//! then the tasks beside requests: `resolver` (addresses of names), `health` (checks), `maintenance` (when both run).

pub(super) mod balancer;
mod health;
pub(super) mod maintenance;
pub(super) mod pool;
pub(super) mod resolver;
pub(super) mod server;
