//! Fields of an origin's answer that belong to its connection with us (RFC 9110 section 7.6.1).
//!
//! Pingora takes them out of requests, not of answers. Apache, for one, offers `Upgrade: h2c` with
//! every page; a client that took it up would ask us.

use http::{HeaderName, StatusCode, Version, header};
use pingora::http::ResponseHeader;
use pingora_proxy::Session;

use crate::fields::hop::{HOP_BY_HOP, KEEP_ALIVE, PROXY_CONNECTION};

/// Leaves in the answer what goes on to the client, in a form that its HTTP version knows.
pub(super) fn cross(session: &mut Session, response: &mut ResponseHeader) {
    if response.status == StatusCode::SWITCHING_PROTOCOLS {
        // The client's connection switches with the origin's.
        return;
    }
    strip_nominated(response);
    // Pingora drops trailers, so nobody is to wait for them.
    for name in [KEEP_ALIVE, PROXY_CONNECTION, header::TRAILER] {
        if response.headers.contains_key(&name) {
            response.remove_header(&name);
        }
    }
    if response.headers.contains_key(header::UPGRADE) && response.status != StatusCode::UPGRADE_REQUIRED {
        response.remove_header(&header::UPGRADE);
    }
    if session.req_header().version == Version::HTTP_10 && response.headers.contains_key(header::TRANSFER_ENCODING) {
        // HTTP/1.0 knows no chunks; the end of the connection ends the body (RFC 9112 section 6.3).
        response.remove_header(&header::TRANSFER_ENCODING);
        session.set_keepalive(None);
    }
}

/// Leaves in an answer that is kept what is not of the origin's connection (RFC 9111 section 3.1).
pub(super) fn strip(response: &mut ResponseHeader) {
    strip_nominated(response);
    for name in HOP_BY_HOP.iter().chain(&[header::PROXY_AUTHENTICATE, header::TRAILER]) {
        response.remove_header(name);
    }
}

/// Takes out what Connection names: it is not said to whoever keeps the answer either.
pub(super) fn strip_nominated(response: &mut ResponseHeader) {
    for name in nominated(response) {
        response.remove_header(&name);
    }
}

/// The fields that Connection names, but for Upgrade, and those that tell where the body ends: no origin may
/// nominate them, and without them it would end elsewhere.
fn nominated(response: &ResponseHeader) -> Vec<HeaderName> {
    // Empty without one, and then no allocation.
    response
        .headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&b| b == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| ![header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::UPGRADE].contains(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_names_fields_but_not_the_length() {
        let mut response = ResponseHeader::build(200, None).expect("a header");
        for value in ["close, X-One", "Content-Length,,x-two", "(not a name)"] {
            response.append_header(header::CONNECTION, value).expect("a field");
        }
        let names = nominated(&response);
        assert_eq!(names, ["close", "x-one", "x-two"].map(HeaderName::from_static));
    }
}
