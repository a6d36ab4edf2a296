//! What benchmarks share.
//!
//! Reading order: `program` (arguments, runtime, folder), `servers` (starting and stopping one), `peers` (the other
//! proxies, and how each is configured), `origin` (what stands behind them), `client` (what asks), `process` (what a
//! server used), `figures` (where the figures go).

#![allow(dead_code, reason = "each benchmark uses its part")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints")]

pub(crate) mod client;
pub(crate) mod figures;
pub(crate) mod origin;
pub(crate) mod peers;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod servers;
