//! Names requests over several servers: `X-Request-ID`, and `traceparent` of W3C Trace Context. Pure.
//!
//! `proxy` takes them from requests, hands them to origins and logs them. Reading order: `ids` (new ids), `request_id`,
//! `traceparent`.

mod ids;
mod request_id;
mod traceparent;

pub use ids::IdSource;
pub use request_id::{REQUEST_ID, RequestIdPolicy, is_request_id};
pub use traceparent::{TRACEPARENT, TRACESTATE, TraceParent};
