//! What the benchmarks that compare servers share.
//!
//! Reading order: `servers` (starting and stopping one), `peers` (the other proxies, and how each is
//! configured), `process` (what a server used), `figures` (where the figures go).

#![allow(dead_code, reason = "each benchmark uses its part")]

pub(crate) mod figures;
pub(crate) mod peers;
pub(crate) mod process;
pub(crate) mod servers;
