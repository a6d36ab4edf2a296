//! Names the hop-by-hop fields, which are removed before a message is forwarded (RFC 9110 section 7.6.1).
//!
//! HTTP/2 forbids them (RFC 9113 section 8.2.2), and HTTP/2 clients refuse a response that has one: a careless origin
//! would cost the client the whole document.

use http::{HeaderName, header};

/// Parameters of a persistent HTTP/1.x connection.
pub const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// `Connection` as old clients send it to proxies.
pub const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// The fields that are hop-by-hop even where Connection does not name them.
pub const HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
    KEEP_ALIVE,
    PROXY_CONNECTION,
];

/// Returns whether a field is in [`HOP_BY_HOP`].
#[must_use]
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(name)
}
