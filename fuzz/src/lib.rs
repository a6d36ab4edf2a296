//! The pure rooms of linkpush by themselves, and what drives them from the bytes of a fuzzer.
//!
//! The files are those of the crate, by their path: they know neither a socket nor Pingora, so that this compiles in
//! seconds, with a sanitizer, and the crate needs no door that only a fuzzer uses. The feature `whole` brings in the
//! crate itself for rooms that cannot be had without Pingora.
//!
//! A driver holds a room to what it promises: by another reading of the same bytes that is too simple to be wrong, or by
//! a second way that must come to the same.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "the rooms are not all used here"
)]

pub mod addresses;
pub mod cache;
#[cfg(feature = "whole")]
pub mod configuration;
#[cfg(feature = "whole")]
pub mod freshness;
pub mod h2;
pub mod header_blocks;
pub mod heads;
pub mod links;
pub mod listen;
pub mod manifests;
pub mod targets;

#[path = "../../src/fields/mod.rs"]
mod fields;
#[path = "../../src/forwarded/mod.rs"]
mod forwarded;
#[path = "../../src/hpack/mod.rs"]
mod hpack;
#[path = "../../src/html/mod.rs"]
mod html;
mod input;
#[path = "../../src/learn/mod.rs"]
mod learn;
#[path = "../../src/link/mod.rs"]
mod link;
#[macro_use]
#[path = "../../src/meter/mod.rs"]
mod meter;
#[path = "../../src/peer/mod.rs"]
mod peer;
#[path = "../../src/push/mod.rs"]
mod push;
#[path = "../../src/url_hash.rs"]
mod url_hash;
