//! What operators see of a running server.

pub mod access;
mod quiet;
pub mod seldom;

pub use quiet::Quiet;
