//! What operators see of a running server.

pub mod access;
pub mod seldom;
