//! As the crate's module of that name, without what moves bytes.

#[path = "../../../src/h2/core/tests/client.rs"]
mod client;
#[path = "../../../src/h2/core/mod.rs"]
mod core;
pub mod drive;
pub mod frames;
mod priority;
#[path = "../../../src/h2/wire/mod.rs"]
mod wire;
