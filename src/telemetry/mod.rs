//! Writes the log and counts the metrics of a running server.
//!
//! Reading order: [`access`] (access lines), `route` and `http2` (counters), `family` (the numbers of a scrape), `text`
//! (a scrape as text), [`seldom`] (rate-limited warnings), [`exhausted`] (the lack of file descriptors), `quiet` (the
//! filter of Pingora's warnings).

pub mod access;
pub mod exhausted;
mod family;
mod http2;
mod quiet;
mod route;
pub mod seldom;
mod text;

pub use family::{FamilyKind, MetricFamily, MetricSample, SampleValue};
pub use http2::{FaultKind, Http2Meter, WaitMeter};
pub use quiet::Quiet;
pub use route::{CacheWord, ClientProtocol, FinishedRequest, LearnedVerdict, RouteMeter, RouteMeters, StatusClass};
pub use text::TextFormat;
