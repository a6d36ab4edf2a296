//! Parts that benchmarks share.
//!
//! Reading order: `program` (arguments, runtime, folder), `servers` (starting and stopping a server), `peers` (the
//! other proxies and their configurations), `origin` (the origin behind them), `client` (HTTP/2 connections), `process`
//! (a server's CPU time and memory), `figures` (the file of results).

#![allow(dead_code, reason = "each benchmark uses its part")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints")]

pub(crate) mod client;
pub(crate) mod figures;
pub(crate) mod origin;
pub(crate) mod peers;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod servers;
