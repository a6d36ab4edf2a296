//! The rooms of the crate's module of that name that know nothing of Pingora.

#[path = "../../../src/cache/rules/key.rs"]
mod key;
pub mod variants;
#[path = "../../../src/cache/rules/vary.rs"]
mod vary;
