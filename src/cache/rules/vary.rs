//! Reads `Vary`, and hashes the request fields that it names (RFC 9111 section 4.1).
//!
//! Lists in `Accept-Encoding` with the same codings and without weights are one variant, whatever their order, case and
//! blanks. Every other field counts byte by byte.

use http::{HeaderMap, HeaderName, header};

use super::key::{UrlHasher, Variance};

/// Why a response is not stored for its `Vary`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadVary {
    /// `Vary: *`: no other request is sure to match.
    #[error("vary: *")]
    Everything,
    /// It varies by client: by cookie, credentials, or a field in which a proxy describes the client.
    #[error("vary by who asks")]
    Client,
    /// It varies by more than `MAX_NAMES` fields, or `Vary` has an invalid field name.
    #[error("vary by too much")]
    TooMuch,
}

/// Returns the names of the request fields that a response varies by, sorted.
///
/// # Errors
///
/// The response must not be stored.
pub fn names(response: &HeaderMap) -> Result<Box<[HeaderName]>, BadVary> {
    let mut names = Vec::new();
    let values = response.get_all(header::VARY).iter();
    for name in values.flat_map(|value| value.as_bytes().split(|&b| b == b',')) {
        let name = name.trim_ascii();
        if name.is_empty() {
            continue;
        }
        if name == b"*" {
            return Err(BadVary::Everything);
        }
        let name = HeaderName::from_bytes(name).map_err(|_| BadVary::TooMuch)?;
        if tells_who_asks(&name) {
            return Err(BadVary::Client);
        }
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.len() > MAX_NAMES {
        return Err(BadVary::TooMuch);
    }
    names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    Ok(names.into())
}

const MAX_NAMES: usize = 8;

/// Returns whether a field identifies the client: it sends the field itself, or linkpush adds the field for the origin,
/// so that the client's own request does not have it.
fn tells_who_asks(name: &HeaderName) -> bool {
    // These two describe the URL, and are hashed with it.
    const IN_THE_URL: [&str; 2] = ["x-forwarded-proto", "x-forwarded-host"];
    [header::COOKIE, header::AUTHORIZATION, header::FORWARDED, header::VIA].contains(name)
        || name.as_str() == "x-real-ip"
        || name.as_str().starts_with("x-forwarded-") && !IN_THE_URL.contains(&name.as_str())
}

/// Hashes these fields of a request; `None` if `names` is empty.
pub(in crate::cache) fn variance(hasher: &UrlHasher, names: &[HeaderName], request: &HeaderMap) -> Option<Variance> {
    if names.is_empty() {
        return None;
    }
    let mut parts = hasher.parts();
    for name in names {
        parts.add(name.as_str().as_bytes());
        let codings = (*name == header::ACCEPT_ENCODING)
            .then(|| known_codings(request))
            .flatten();
        if let Some(codings) = codings {
            parts.add(&[codings]);
            continue;
        }
        // A line feed, which no value has, ends each line: two lines differ from one with both values.
        for value in request.get_all(name) {
            parts.add(value.as_bytes());
            parts.add(b"\n");
        }
    }
    Some(parts.finish().to_bytes())
}

/// Returns the codings of `Accept-Encoding`, one bit each; `None` if the field has anything but well-known codings
/// without weights, or is absent.
///
/// An absent field allows any coding, an empty one none, so the two are different variants. A response without a coding
/// would fit both, but the hash is needed before the coding of the response is known, so each of the two variants is
/// fetched once.
fn known_codings(request: &HeaderMap) -> Option<u8> {
    if !request.contains_key(header::ACCEPT_ENCODING) {
        return None;
    }
    let values = request.get_all(header::ACCEPT_ENCODING).iter();
    let mut bits = 0;
    for coding in values.flat_map(|value| value.as_bytes().split(|&b| b == b',')) {
        let coding = coding.trim_ascii();
        if !coding.is_empty() {
            let bit = CODINGS.iter().position(|known| coding.eq_ignore_ascii_case(known))?;
            bits |= 1 << bit;
        }
    }
    Some(bits)
}

const CODINGS: [&[u8]; 5] = [b"gzip", b"deflate", b"br", b"zstd", b"identity"];

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn fields(list: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in list {
            fields.append(*name, HeaderValue::from_static(value));
        }
        fields
    }

    #[test]
    fn a_response_that_varies_by_client_is_not_stored() {
        let names = |vary: &'static str| names(&fields(&[("vary", vary)])).map(|names| names.len());
        assert_eq!(names("Accept-Encoding, Accept,,accept-encoding"), Ok(2));
        assert_eq!(names("x-forwarded-proto"), Ok(1));
        assert_eq!(names(""), Ok(0));
        assert_eq!(names("accept, *"), Err(BadVary::Everything));
        for client in [
            "Cookie",
            "accept, authorization",
            "X-Forwarded-For",
            "forwarded",
            "x-real-ip",
        ] {
            assert_eq!(names(client), Err(BadVary::Client), "{client}");
        }
        assert_eq!(names("a,b,c,d,e,f,g,h,i"), Err(BadVary::TooMuch));
        assert_eq!(names("not a name"), Err(BadVary::TooMuch));
    }

    fn of(vary: &'static str, request: &[(&'static str, &'static str)]) -> Option<Variance> {
        let names = names(&fields(&[("vary", vary)])).expect("it may be stored");
        variance(&UrlHasher::new((1, 2)), &names, &fields(request))
    }

    #[test]
    fn the_same_codings_are_one_variant_in_any_order() {
        let of = |codings| of("Accept-Encoding", &[("accept-encoding", codings)]);
        assert_eq!(of("gzip, br"), of("br,GZIP , "));
        assert_ne!(of("gzip, br"), of("gzip"));
        assert_ne!(of("gzip"), of("gzip;q=0"));
        assert_ne!(of("gzip;q=0.5, br"), of("br, gzip;q=0.5"));
        assert_ne!(of("gzip"), of("*"));
        assert_ne!(of("gzip"), of("identity"));
    }

    #[test]
    fn an_absent_field_differs_from_an_empty_one() {
        for name in ["accept-encoding", "accept-language"] {
            assert_eq!(of(name, &[]), of(name, &[("x", "y")]), "{name}");
            for value in ["", ",", "identity", "*"] {
                assert_ne!(of(name, &[]), of(name, &[(name, value)]), "{name}: {value}");
            }
        }
    }

    #[test]
    fn other_fields_count_byte_by_byte() {
        let language = |value| of("accept-language", &[("accept-language", value)]);
        assert_eq!(language("de"), language("de"));
        assert_ne!(language("de"), language("de,en"));
        assert_ne!(language("de"), of("accept-language", &[]));
        assert_ne!(
            of("a", &[("a", "1"), ("a", "2")]),
            of("a", &[("a", "1,2")]),
            "two lines are not one"
        );
        assert_ne!(of("a, b", &[("a", "1")]), of("a, b", &[("b", "1")]));
        assert_eq!(of("", &[("a", "1")]), None);
        assert_eq!(
            of("b, a", &[("a", "1"), ("b", "2")]),
            of("A, B", &[("b", "2"), ("a", "1")])
        );
    }
}
