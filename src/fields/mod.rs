//! Fields of messages in every version of HTTP: their lists and their values. Pure.
//!
//! [`hop`] names the fields that go no further than one connection, [`length`] reads Content-Length, and `values` reads the
//! only line of a field and frees values from the buffer that they were read into.

pub mod hop;
pub mod length;
mod values;

pub use values::compact;
pub(crate) use values::only;
