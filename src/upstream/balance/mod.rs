//! Which server of a pool a request goes to.
//!
//! Reading order: `server` (one address, its state), `balancer` (the choice among them), `pool` (a pool at work), then what
//! happens beside requests: `resolver` (addresses of names), `health` (checks), `maintenance` (when).

pub(super) mod balancer;
mod health;
pub(super) mod maintenance;
pub(super) mod pool;
pub(super) mod resolver;
pub(super) mod server;
