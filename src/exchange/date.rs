//! Distinguishes the `Date` of an origin from Pingora's placeholder (RFC 9110 section 6.6.1).

/// The `Date` of Pingora's own error pages (`pingora-core`, `protocols/http/error_resp.rs`), which its sessions
/// overwrite. The value is the example of RFC 9110, so an origin may send it, too.
pub const PLACEHOLDER_DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// Mark of a response whose origin sent [`PLACEHOLDER_DATE`], so that the date is not overwritten.
#[derive(Debug, Clone, Copy)]
pub struct DateIsOrigins;
