//! Fields that belong to one connection and go no further (RFC 9110 section 7.6.1). HTTP/2 knows none of
//! them (RFC 9113 section 8.2.2), and its clients refuse a response that has one, so a careless origin would
//! cost the whole document.

use http::{HeaderName, header};

/// Lives on in HTTP/1.x between a client or an origin and us.
pub const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// The same, from clients of old proxies.
pub const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// All of them, whether or not Connection names them.
pub const HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
    KEEP_ALIVE,
    PROXY_CONNECTION,
];

/// Whether a field is one of them.
#[must_use]
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(name)
}
