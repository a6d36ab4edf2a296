//! Writes the log and counts the metrics of a running server.
//!
//! Reading order: [`access`] (access lines), `metrics` (counters), [`seldom`] (rate-limited warnings), `quiet` (the
//! filter of Pingora's warnings).

pub mod access;
mod metrics;
mod quiet;
pub mod seldom;

pub use metrics::Metrics;
pub use quiet::Quiet;
