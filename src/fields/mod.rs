//! Reads fields of requests and responses by the same rules in every version of HTTP. Pure.
//!
//! Reading order: [`hop`] (hop-by-hop fields), [`length`] (Content-Length), `values` (the value of a field with one
//! line, and values that hold no more memory than their own bytes).

pub mod hop;
pub mod length;
mod values;

pub use values::compact;
pub(crate) use values::only;
