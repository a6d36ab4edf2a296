//! As the crate's module of that name.

#[path = "../../../src/h2/core/mod.rs"]
mod core;
#[path = "../../../src/h2/wire/mod.rs"]
mod wire;

#[path = "../../../src/h2/core/tests/client.rs"]
mod client;
/// The core, driven.
pub mod drive;
/// The codec.
pub mod fields;

mod priority;
