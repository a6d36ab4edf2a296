//! As the crate's module of that name: fields that go no further.

#[path = "../../src/client/hop.rs"]
pub mod hop;
