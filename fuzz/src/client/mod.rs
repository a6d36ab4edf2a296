//! As the crate's module of that name: fields that belong to a connection.

#[path = "../../../src/client/hop.rs"]
pub mod hop;

#[path = "../../../src/client/target.rs"]
pub mod target;
