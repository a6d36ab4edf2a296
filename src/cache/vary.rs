//! What an answer varies by (RFC 9111 section 4.1): the names in its `Vary`, and a hash of what a
//! request has under them.
//!
//! `Accept-Encoding` is understood, since every client writes it in its own way: two lists of the same
//! codings without weights are one variant. Every other field counts byte by byte.

use http::{HeaderMap, HeaderName, header};

use super::key::{UrlHasher, Variance};

/// Why an answer that varies is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadVary {
    /// `Vary: *`: no other request is sure to match.
    #[error("vary: *")]
    Everything,
    /// By who asks: a cookie, credentials, or what the origin is told of the client.
    #[error("vary by who asks")]
    Client,
    /// By more fields than are looked at, or by something that is no field name.
    #[error("vary by too much")]
    TooMuch,
}

/// The names of the request fields that an answer varies by, sorted.
///
/// # Errors
///
/// No other request may be answered with it.
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
    if names.len() > MOST_NAMES {
        return Err(BadVary::TooMuch);
    }
    names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    Ok(names.into())
}

const MOST_NAMES: usize = 8;

/// Fields that differ by client: what it sends to be known by, and what we tell the origin of it, which
/// its own request does not have.
fn tells_who_asks(name: &HeaderName) -> bool {
    // What these two tell is in the URL.
    const IN_THE_URL: [&str; 2] = ["x-forwarded-proto", "x-forwarded-host"];
    [header::COOKIE, header::AUTHORIZATION, header::FORWARDED, header::VIA].contains(name)
        || name.as_str() == "x-real-ip"
        || name.as_str().starts_with("x-forwarded-") && !IN_THE_URL.contains(&name.as_str())
}

/// A hash of what a request has in these fields; `None` for an answer that varies by none.
pub(super) fn variance(hasher: &UrlHasher, names: &[HeaderName], request: &HeaderMap) -> Option<Variance> {
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
        // A field line each, with a mark that no value has: two lines are not one.
        for value in request.get_all(name) {
            parts.add(value.as_bytes());
            parts.add(b"\n");
        }
    }
    Some(parts.finish().to_bytes())
}

/// The codings of `Accept-Encoding`, a bit each; `None` if it says anything that a list of well-known
/// codings would not, or is not there: then any coding may be sent, where an empty list lets none.
///
/// An answer without a coding would do for both. It is found by this hash, though, before anybody knows which coding the
/// answer has, so each of the two has the origin asked once.
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
    fn answers_that_vary_by_who_asks_are_not_kept() {
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
        let names = names(&fields(&[("vary", vary)])).expect("it may be kept");
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
    fn what_is_absent_is_the_same_only_where_it_is_absent() {
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
