//! Writes the log and counts the metrics of a running server.
//!
//! Reading order: [`access`] (access lines), [`log`] (how lines are written), `metrics` (counters), [`spans`] (traces), [`seldom`] (rate-limited warnings), `quiet` (the
//! filter of Pingora's warnings).

pub mod access;
pub mod log;
mod metrics;
mod quiet;
pub mod seldom;
pub mod spans;

pub use metrics::Metrics;
use quiet::Quiet;
