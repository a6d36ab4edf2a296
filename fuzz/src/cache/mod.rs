//! The rooms of the crate's module of that name that know nothing of Pingora.

#[path = "../../../src/cache/key.rs"]
mod key;
pub mod variants;
#[path = "../../../src/cache/vary.rs"]
mod vary;
