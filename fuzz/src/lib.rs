//! The pure rooms of linkpush's HTTP/2 by themselves, and what drives them from the bytes of a fuzzer.
//!
//! The files are those of the crate, by their path: they know neither a socket nor Pingora, so that this compiles in
//! seconds, with a sanitizer, and the crate needs no door that only a fuzzer uses.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "the rooms are not all used here"
)]

pub mod fields;
pub mod h2;

mod client;
#[path = "../../src/hpack/mod.rs"]
mod hpack;
mod push;
