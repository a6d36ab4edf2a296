//! Tells the `Date` of an origin from that of Pingora (RFC 9110 section 6.6.1).

/// The date of Pingora's own error pages (`pingora-core`, `protocols/http/error_resp.rs`), which its sessions overwrite. It
/// is the example of RFC 9110, so an origin may send it, too.
pub const PLACEHOLDER_DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// Marks a response whose date is [`PLACEHOLDER_DATE`] because its origin says so.
#[derive(Debug, Clone, Copy)]
pub struct DateIsOrigins;
