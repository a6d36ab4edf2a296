//! What operators see of a running server.

pub mod access;
mod metrics;
mod quiet;
pub mod seldom;

pub use metrics::Metrics;
pub use quiet::Quiet;
