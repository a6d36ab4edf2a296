//! Checks where an origin's response ends, and what of that its client is told (RFC 9112 section 6.3, RFC 9110 section
//! 8.6).
//!
//! Pingora reads the response by its own view of these fields, and passes them on as they came. Fields that can be read
//! in two ways are refused; a field that says one thing twice goes on once.

use http::{HeaderMap, HeaderValue, Response, StatusCode, Version, header};

use super::{ResponseHead, name};
use crate::{fields::length, upstream::is_doubled};

/// The reason why a response goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadFraming {
    /// Content-Length is no length, or says two.
    #[error("Content-Length that is no length, or says two")]
    ContentLength,
    /// Transfer-Encoding comes with Content-Length.
    #[error("Transfer-Encoding with Content-Length")]
    Both,
    /// There is a transfer coding other than chunked.
    #[error("a transfer coding other than chunked")]
    Coding,
    /// The protocol is switched, for which nobody asked.
    #[error("a switch of protocols that nobody asked for")]
    Switch,
}

/// Checks a response of the origin, and leaves in it what its client is to be told. `may_switch`: its request asked for
/// another protocol.
///
/// # Errors
///
/// Nobody can say where the response ends, or what follows it.
pub(in crate::proxy) fn check(response: &mut impl ResponseHead, may_switch: bool) -> Result<(), BadFraming> {
    let status = response.status();
    let fields = response.fields();
    if status == StatusCode::SWITCHING_PROTOCOLS && !may_switch {
        return Err(BadFraming::Switch);
    }
    let length = content_length(fields)?;
    let is_chunked = is_chunked(fields)?;
    if is_chunked && length.is_some() {
        return Err(BadFraming::Both);
    }
    let is_repeated = is_said_twice(fields);
    if response.version() == Version::HTTP_10 {
        // A client is told our own version (RFC 9110 section 6.2).
        response.set_version(Version::HTTP_11);
    }
    if status.is_informational() || status == StatusCode::NO_CONTENT {
        response.remove(&header::CONTENT_LENGTH);
        response.remove(&header::TRANSFER_ENCODING);
    } else if let Some(length) = length.filter(|_| is_repeated) {
        response.set(&name::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(())
}

/// Returns why a response with this head goes no further, if it does not.
#[must_use]
pub fn fault(status: StatusCode, headers: &HeaderMap) -> Option<BadFraming> {
    let (mut response, ()) = Response::new(()).into_parts();
    response.status = status;
    response.headers = headers.clone();
    check(&mut response, false).err()
}

/// Returns whether a response of this status has no content, though its origin may have sent some.
pub(in crate::proxy) fn has_no_content(status: StatusCode) -> bool {
    status == StatusCode::RESET_CONTENT
}

/// Returns whether a response ends with its header, to any method but HEAD, where all do.
pub(in crate::proxy) fn is_empty(response: &impl ResponseHead) -> bool {
    let says_zero = |length: &HeaderValue| length.as_bytes().trim_ascii() == b"0";
    matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || response.fields().get(header::CONTENT_LENGTH).is_some_and(says_zero)
}

/// Says that there is no content (RFC 9110 section 15.3.6).
pub(in crate::proxy) fn empty(response: &mut impl ResponseHead) {
    response.remove(&header::TRANSFER_ENCODING);
    response.set(&name::CONTENT_LENGTH, HeaderValue::from_static("0"));
}

/// Returns the one length that Content-Length says, however often.
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, BadFraming> {
    let mut length = None;
    for line in headers.get_all(header::CONTENT_LENGTH) {
        let said = length::read(line.as_bytes()).ok_or(BadFraming::ContentLength)?;
        if length.is_some_and(|length| length != said) {
            return Err(BadFraming::ContentLength);
        }
        length = Some(said);
    }
    Ok(length)
}

fn is_said_twice(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(header::CONTENT_LENGTH).iter();
    let first = lines.next();
    lines.next().is_some() || first.is_some_and(|line| !line.as_bytes().iter().all(u8::is_ascii_digit))
}

fn is_chunked(headers: &HeaderMap) -> Result<bool, BadFraming> {
    let mut lines = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(false),
        (Some(only), None) if only.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") => Ok(true),
        (Some(first), _) if is_doubled(first.as_bytes()) => Err(BadFraming::Both),
        _ => Err(BadFraming::Coding),
    }
}

#[cfg(test)]
mod tests {
    use pingora::http::ResponseHeader;

    use super::*;

    fn checked(status: u16, fields: &[(&'static str, &'static str)]) -> Result<Vec<(String, String)>, BadFraming> {
        let mut response = ResponseHeader::build(status, None).expect("a header");
        for (name, value) in fields {
            response.append_header(*name, *value).expect("a field");
        }
        check(&mut response, false)?;
        let fields = response.headers.iter();
        Ok(fields
            .map(|(name, value)| (name.to_string(), value.to_str().expect("text").to_owned()))
            .collect())
    }

    #[test]
    fn a_length_is_told_once_and_only_where_there_is_content() {
        let length = |length: &str| vec![("content-length".to_owned(), length.to_owned())];
        let chunked = || vec![("transfer-encoding".to_owned(), "chunked".to_owned())];
        let table = [
            (200, vec![("content-length", "5")], length("5")),
            (200, vec![("content-length", "5"), ("content-length", "5")], length("5")),
            (200, vec![("content-length", "5, 5")], length("5")),
            (
                200,
                vec![("content-length", "5,5"), ("content-length", "05")],
                length("5"),
            ),
            (304, vec![("content-length", "5")], length("5")),
            (200, vec![("transfer-encoding", "chunked")], chunked()),
            (204, vec![("content-length", "5")], vec![]),
            (204, vec![("transfer-encoding", "chunked")], vec![]),
            (103, vec![("content-length", "0")], vec![]),
            (100, vec![("transfer-encoding", "chunked")], vec![]),
            (200, vec![], vec![]),
        ];
        for (status, fields, expected) in table {
            assert_eq!(checked(status, &fields), Ok(expected), "{status} {fields:?}");
        }
    }

    #[test]
    fn what_ends_in_two_places_is_refused() {
        let table = [
            (
                vec![("content-length", "5"), ("content-length", "6")],
                BadFraming::ContentLength,
            ),
            (vec![("content-length", "5, 6")], BadFraming::ContentLength),
            (vec![("content-length", "5,")], BadFraming::ContentLength),
            (vec![("content-length", "")], BadFraming::ContentLength),
            (vec![("content-length", "-5")], BadFraming::ContentLength),
            (vec![("content-length", "+5")], BadFraming::ContentLength),
            (vec![("content-length", "0x5")], BadFraming::ContentLength),
            (
                vec![("content-length", "99999999999999999999")],
                BadFraming::ContentLength,
            ),
            (
                vec![("content-length", "5"), ("transfer-encoding", "chunked")],
                BadFraming::Both,
            ),
            (vec![("transfer-encoding", "gzip, chunked")], BadFraming::Coding),
            (vec![("transfer-encoding", "gzip")], BadFraming::Coding),
            (vec![("transfer-encoding", "identity")], BadFraming::Coding),
            (vec![("transfer-encoding", "chunked, chunked")], BadFraming::Coding),
            (
                vec![("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
                BadFraming::Coding,
            ),
            (vec![("transfer-encoding", "")], BadFraming::Coding),
        ];
        for (fields, why) in table {
            for status in [200, 204, 404, 304] {
                assert_eq!(checked(status, &fields), Err(why), "{status} {fields:?}");
            }
        }
    }

    #[test]
    fn only_who_asked_may_be_switched() {
        let mut response = ResponseHeader::build(101, None).expect("a header");
        assert_eq!(check(&mut response, false), Err(BadFraming::Switch));
        assert_eq!(check(&mut response, true), Ok(()));
    }

    #[test]
    fn the_version_is_ours() {
        let mut response = ResponseHeader::build(200, None).expect("a header");
        response.set_version(Version::HTTP_10);
        assert_eq!(check(&mut response, false), Ok(()));
        assert_eq!(response.version, Version::HTTP_11);
    }
}
