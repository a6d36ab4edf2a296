//! Writes the log and counts the metrics of a running server.
//!
//! Reading order: [`access`] (access lines), [`log`] (how lines are written), `route` and `http2` (counters), `family`
//! (the numbers of a scrape), `text` (a scrape as text), [`spans`] (traces), [`seldom`] (rate-limited warnings),
//! [`exhausted`] (the lack of file descriptors), `quiet` (the filter of Pingora's warnings).

pub mod access;
pub mod exhausted;
mod family;
mod http2;
pub mod log;
mod quiet;
mod route;
pub mod seldom;
pub mod spans;
mod text;

pub use family::{FamilyKind, MetricFamily, MetricSample, SampleValue};
pub use http2::{FaultKind, Http2Meter, WaitMeter};
use quiet::Quiet;
pub use route::{CacheWord, ClientProtocol, FinishedRequest, LearnedVerdict, RouteMeter, RouteMeters, StatusClass};
pub use text::TextFormat;
