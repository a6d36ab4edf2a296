//! Removes fields of an origin's response that belong to its connection with us (RFC 9110 section 7.6.1).
//!
//! Pingora removes them from requests, not from responses. Apache, for one, offers `Upgrade: h2c` with every page; a
//! client that took it up would ask us.

use http::{HeaderMap, HeaderName, StatusCode, Version, header};

use super::{Fields, ResponseHead};
use crate::fields::hop::{HOP_BY_HOP, KEEP_ALIVE, PROXY_CONNECTION};

/// Where a response ends for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum BodyEnd {
    /// Where its fields say.
    Told,
    /// Where the client's connection ends: the client's version of HTTP knows no other end.
    OfConnection,
}

/// Leaves in a response what goes on to a client of this version of HTTP, in a form that it knows.
pub(in crate::proxy) fn cross(response: &mut impl ResponseHead, client: Version) -> BodyEnd {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        // The client's connection switches with the origin's.
        return BodyEnd::Told;
    }
    strip_nominated(response);
    // Pingora drops trailers, so nobody is to wait for them.
    for name in [KEEP_ALIVE, PROXY_CONNECTION, header::TRAILER] {
        if response.fields().contains_key(&name) {
            response.remove(&name);
        }
    }
    if response.fields().contains_key(header::UPGRADE) && response.status() != StatusCode::UPGRADE_REQUIRED {
        response.remove(&header::UPGRADE);
    }
    if client == Version::HTTP_10 && response.fields().contains_key(header::TRANSFER_ENCODING) {
        // HTTP/1.0 knows no chunks; the end of the connection ends the content (RFC 9112 section 6.3).
        response.remove(&header::TRANSFER_ENCODING);
        return BodyEnd::OfConnection;
    }
    BodyEnd::Told
}

/// Leaves in a response that is stored what is not of the origin's connection (RFC 9111 section 3.1).
pub(in crate::proxy) fn strip(response: &mut impl Fields) {
    strip_nominated(response);
    for name in HOP_BY_HOP.iter().chain(&[header::PROXY_AUTHENTICATE, header::TRAILER]) {
        response.remove(name);
    }
}

/// Removes the fields that Connection names: they say nothing to a store either.
pub(in crate::proxy) fn strip_nominated(response: &mut impl Fields) {
    for name in nominated(response.fields()) {
        response.remove(&name);
    }
}

/// Returns the fields that Connection names, but for Upgrade, and those that tell where the content ends: no origin may
/// nominate them, and without them it would end elsewhere.
fn nominated(fields: &HeaderMap) -> Vec<HeaderName> {
    // Empty without one, and then no allocation.
    fields
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&b| b == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| ![header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::UPGRADE].contains(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn connection_names_fields_but_not_the_length() {
        let mut fields = HeaderMap::new();
        for value in ["close, X-One", "Content-Length,,x-two", "(not a name)"] {
            fields.append(header::CONNECTION, HeaderValue::from_static(value));
        }
        let names = nominated(&fields);
        assert_eq!(names, ["close", "x-one", "x-two"].map(HeaderName::from_static));
    }

    #[test]
    fn each_client_gets_what_its_version_knows() {
        const FIELDS: [(&str, &str); 7] = [
            ("connection", "x-one"),
            ("x-one", "a"),
            ("x-two", "a"),
            ("keep-alive", "timeout=5"),
            ("trailer", "x-three"),
            ("upgrade", "h2c"),
            ("transfer-encoding", "chunked"),
        ];
        let table = [
            (
                Version::HTTP_2,
                200,
                BodyEnd::Told,
                "connection x-two transfer-encoding",
            ),
            (
                Version::HTTP_11,
                200,
                BodyEnd::Told,
                "connection x-two transfer-encoding",
            ),
            (Version::HTTP_10, 200, BodyEnd::OfConnection, "connection x-two"),
            (
                Version::HTTP_11,
                426,
                BodyEnd::Told,
                "connection x-two upgrade transfer-encoding",
            ),
            (
                Version::HTTP_10,
                101,
                BodyEnd::Told,
                "connection x-one x-two keep-alive trailer upgrade transfer-encoding",
            ),
        ];
        for (version, status, end, expected) in table {
            let (mut response, ()) = http::Response::new(()).into_parts();
            response.status = StatusCode::from_u16(status).expect("a status");
            for (name, value) in FIELDS {
                response.headers.insert(name, HeaderValue::from_static(value));
            }
            assert_eq!(cross(&mut response, version), end, "{version:?} {status}");
            let mut left: Vec<_> = FIELDS.iter().map(|(name, _)| *name).collect();
            left.retain(|name| response.headers.contains_key(*name));
            assert_eq!(left.join(" "), expected, "{version:?} {status}");
        }
    }
}
