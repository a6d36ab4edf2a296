//! Writes the log and counts the metrics of a running server.
//!
//! Reading order: [`access`] (access lines), `metrics` (counters), [`seldom`] (rate-limited warnings),
//! [`exhausted`] (the lack of file descriptors), `quiet` (the filter of Pingora's warnings).

pub mod access;
pub mod exhausted;
mod metrics;
mod quiet;
pub mod seldom;

pub use metrics::Metrics;
pub use quiet::Quiet;
