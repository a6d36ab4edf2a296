//! The acceptance checks of a request, with the outcomes of Pingora's own HTTP/2 server.
//!
//! Pingora does not run its checks for a session of our own, and its proxy treats the authority of
//! such a session leniently, so all of them are made here (`pingora-core`,
//! `protocols/http/v2/server.rs`, `from_h2_conn_with_malformed_budget`). The core has already
//! refused what RFC 9113 section 8.1.1 calls malformed; no target or field value holds a space or control that could split
//! the message of HTTP/1.1.

use http::{Method, header, request::Parts, uri::Authority};
use pingora::protocols::http::authority::{RawTargetAuthority, raw_target_authority};

/// Why a request is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// More than one Host field.
    #[error("multiple host fields")]
    DuplicateHost,
    /// Userinfo in :authority or Host.
    #[error("userinfo in the authority")]
    Userinfo,
    /// :authority and Host differ.
    #[error("host differs from :authority")]
    ConflictingAuthority,
    /// Neither :authority nor Host.
    #[error("missing authority")]
    MissingAuthority,
    /// The port of a CONNECT authority could be read in two ways.
    #[error("ambiguous CONNECT authority")]
    AmbiguousConnect,
    /// Absolute-form in :path.
    #[error("absolute-form in :path")]
    AbsoluteForm,
    /// A :path that some parsers take for absolute-form.
    #[error("ambiguous :path")]
    AmbiguousPath,
}

/// Checks the header of a request; `has_host`: Host may be one of its fields.
///
/// # Errors
///
/// The first [`Rejection`], in Pingora's order.
pub(super) fn validate(request: &Parts, has_host: bool) -> Result<(), Rejection> {
    let target = request.uri.path_and_query().map_or("", |pq| pq.as_str()).as_bytes();
    check_authority(request, has_host)?;
    if request.method == Method::CONNECT && request.extensions.get::<h2::ext::Protocol>().is_none() {
        return match request.uri.authority() {
            Some(authority) if has_ambiguous_port(authority) => Err(Rejection::AmbiguousConnect),
            _ => Ok(()),
        };
    }
    if matches!(target, [b'/', first, ..] if !matches!(first, b'/' | b'\\')) {
        // Nearly all are such paths.
        return Ok(());
    }
    match raw_target_authority(target) {
        RawTargetAuthority::None => Ok(()),
        RawTargetAuthority::Absolute { .. } => Err(Rejection::AbsoluteForm),
        RawTargetAuthority::AmbiguousAuthority => Err(Rejection::AmbiguousPath),
    }
}

fn check_authority(request: &Parts, has_host: bool) -> Result<(), Rejection> {
    let mut host = None;
    if has_host {
        let mut hosts = request.headers.get_all(header::HOST).iter();
        host = hosts.next();
        if hosts.next().is_some() {
            return Err(Rejection::DuplicateHost);
        }
    }
    let authority = request.uri.authority().map(|authority| authority.as_str().as_bytes());
    let has_userinfo = |value: &[u8]| value.contains(&b'@');
    if host.is_some_and(|host| has_userinfo(host.as_bytes())) || authority.is_some_and(has_userinfo) {
        return Err(Rejection::Userinfo);
    }
    match (host, authority) {
        (None, None) => Err(Rejection::MissingAuthority),
        (Some(host), Some(authority)) if host.as_bytes() != authority => Err(Rejection::ConflictingAuthority),
        _ => Ok(()),
    }
}

/// More than one colon outside the brackets of an IPv6 address, or brackets out of place.
fn has_ambiguous_port(authority: &Authority) -> bool {
    let text = authority.as_str();
    let port = match text.strip_prefix('[') {
        None => Some(text),
        Some(inside) => inside
            .split_once(']')
            .filter(|(address, _)| !address.contains('['))
            .map(|(_, port)| port),
    };
    port.is_none_or(|port| port.contains(['[', ']']) || port.matches(':').count() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn check(method: &str, uri: &str, fields: &[(&str, &str)]) -> Result<(), Rejection> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        validate(
            &request.body(()).expect("a request that http can hold").into_parts().0,
            true,
        )
    }

    #[test]
    fn an_ordinary_request_passes() {
        assert_eq!(check("GET", "http://a.example/x?y", &[]), Ok(()));
        assert_eq!(check("GET", "http://a.example/x?y", &[("host", "a.example")]), Ok(()));
        assert_eq!(check("GET", "/x", &[("host", "a.example")]), Ok(()));
    }

    #[test]
    fn each_malformed_request_is_told_apart() {
        let cases = [
            (check("GET", "/x", &[]), Rejection::MissingAuthority),
            (
                check("GET", "http://a/", &[("host", "a"), ("host", "a")]),
                Rejection::DuplicateHost,
            ),
            (
                check("GET", "http://a/", &[("host", "A")]),
                Rejection::ConflictingAuthority,
            ),
            (check("GET", "http://u@a/", &[]), Rejection::Userinfo),
            (check("GET", "/", &[("host", "u@a")]), Rejection::Userinfo),
        ];
        for (outcome, expected) in cases {
            assert_eq!(outcome, Err(expected));
        }
    }

    #[test]
    fn a_target_that_hides_an_authority_is_refused() {
        let path = |target: &str| {
            let mut parts = Request::builder()
                .header("host", "a.example")
                .body(())
                .expect("a request")
                .into_parts()
                .0;
            let mut uri = http::uri::Parts::default();
            uri.path_and_query = Some(target.parse().expect("a target that http can hold"));
            parts.uri = http::Uri::from_parts(uri).expect("a relative reference");
            validate(&parts, true)
        };
        assert_eq!(path("/ok"), Ok(()));
        assert_eq!(path("*"), Ok(()));
    }

    #[test]
    fn a_connect_port_that_reads_two_ways_is_refused() {
        for ambiguous in ["a:1:2", "[::1", "[[::1]:80", "[::1]]:80"] {
            if let Ok(authority) = Authority::try_from(ambiguous) {
                assert!(has_ambiguous_port(&authority), "{ambiguous}");
            }
        }
        for clear in ["a:443", "[::1]:443", "[::1]", "a"] {
            assert!(
                !has_ambiguous_port(&Authority::try_from(clear).expect("an authority")),
                "{clear}"
            );
        }
    }
}
