//! Evaluates the conditions of a request: whether the client's copy is current (RFC 9110 section 13).

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::{cache::rules::date, fields::only};

/// Returns whether the client's copy equals this response, so that a 304 is enough.
///
/// `If-None-Match` takes the place of `If-Modified-Since`, which counts only if its date is valid (RFC 9110 sections
/// 13.1.2, 13.1.3 and 13.2.2).
#[must_use]
pub fn is_unchanged(method: &Method, request: &HeaderMap, status: StatusCode, response: &HeaderMap) -> bool {
    if status != StatusCode::OK || (*method != Method::GET && *method != Method::HEAD) {
        return false;
    }
    if request.contains_key(header::IF_NONE_MATCH) {
        let own = response.get(header::ETAG).map(HeaderValue::as_bytes);
        let mut lines = request.get_all(header::IF_NONE_MATCH).iter().map(HeaderValue::as_bytes);
        return lines.any(|line| line.trim_ascii() == b"*" || own.is_some_and(|own| has_tag(line, own)));
    }
    match (
        moment(request, &header::IF_MODIFIED_SINCE),
        moment(response, &header::LAST_MODIFIED),
    ) {
        (Some(since), Some(modified)) => modified <= since,
        _ => false,
    }
}

/// Returns whether `If-Range` allows a part of this response (RFC 9110 section 13.1.5): true without the field, else by
/// a strong comparison of entity tags or of the dates of modification.
pub(super) fn is_of_same(request: &HeaderMap, response: &HeaderMap) -> bool {
    if !request.contains_key(header::IF_RANGE) {
        return true;
    }
    let Some(validator) = only(request, &header::IF_RANGE) else {
        return false;
    };
    if validator.starts_with(b"\"") {
        // A weak entity tag begins with `W`, so an equal tag in quotes is strong.
        let is_tag = validator.len() >= 2 && validator.ends_with(b"\"");
        return is_tag && only(response, &header::ETAG) == Some(validator);
    }
    let Some(modified) = date::read(validator) else {
        return false;
    };
    moment(response, &header::LAST_MODIFIED) == Some(modified) && is_strong(modified, response)
}

/// Returns whether the date of modification is a strong validator: the response has a `Date` that is at least one
/// second later (RFC 9110 section 8.8.2.2).
fn is_strong(modified: SystemTime, response: &HeaderMap) -> bool {
    let date = moment(response, &header::DATE);
    let since = date.and_then(|date| date.duration_since(modified).ok());
    since.is_some_and(|since| since >= Duration::from_secs(1))
}

fn moment(fields: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    only(fields, name).and_then(date::read)
}

/// Returns whether a list of entity tags has this one, by the weak comparison (RFC 9110 section 8.8.3.2). Tags without
/// quotes, which some origins write, are compared as they are.
fn has_tag(list: &[u8], own: &[u8]) -> bool {
    let own = without_weakness(own.trim_ascii());
    let mut rest = list;
    while !rest.is_empty() {
        let tag = rest.trim_ascii_start();
        let opaque = without_weakness(tag);
        let begun = tag.len() - opaque.len();
        // A tag in quotes may contain commas.
        let end = match opaque.strip_prefix(b"\"") {
            Some(quoted) => quoted.iter().position(|&byte| byte == b'"').map(|end| end + 2),
            None => None,
        };
        let end = end.map(|end| begun + end).unwrap_or_else(|| next_comma(tag));
        let after = tag.get(end..).unwrap_or_default();
        let next = next_comma(after);
        let is_whole = after.get(..next).unwrap_or_default().trim_ascii().is_empty();
        if is_whole && !own.is_empty() && tag.get(begun..end).unwrap_or_default().trim_ascii() == own {
            return true;
        }
        rest = after.get(next + 1..).unwrap_or_default();
    }
    false
}

fn next_comma(text: &[u8]) -> usize {
    text.iter().position(|&byte| byte == b',').unwrap_or(text.len())
}

fn without_weakness(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    type List<'l> = &'l [(&'static str, &'static str)];

    fn fields(list: List<'_>) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in list {
            fields.append(*name, HeaderValue::from_static(value));
        }
        fields
    }

    fn unchanged(request: List<'_>, response: List<'_>) -> bool {
        is_unchanged(&Method::GET, &fields(request), StatusCode::OK, &fields(response))
    }

    const SIX: &str = "Wed, 25 Nov 2026 06:00:00 GMT";
    const SEVEN: &str = "Wed, 25 Nov 2026 07:00:00 GMT";
    const EIGHT: &str = "Wed, 25 Nov 2026 08:00:00 GMT";

    #[test]
    fn if_none_match_finds_the_entity_tag_in_a_list() {
        let found = |list: &'static str, own: &'static str| unchanged(&[("if-none-match", list)], &[("etag", own)]);
        for (list, own) in [
            ("\"a\"", "\"a\""),
            ("W/\"a\"", "\"a\""),
            ("\"a\"", "W/\"a\""),
            ("W/\"a\"", "W/\"a\""),
            ("\"b\", \"a\"", "\"a\""),
            ("\"b\",W/\"a\" ,\"c\"", "\"a\""),
            (", ,\"a\"", "\"a\""),
            ("\"x,y\", \"a\"", "\"a\""),
            ("\"x,y\"", "\"x,y\""),
            ("a", "a"),
            ("b, a", "a"),
            ("*", "\"a\""),
            (" * ", "\"a\""),
        ] {
            assert!(found(list, own), "{list} {own}");
        }
        for (list, own) in [
            ("\"b\"", "\"a\""),
            ("\"ab\"", "\"a\""),
            ("\"a\"b", "\"a\""),
            ("a", "\"a\""),
            ("\"a\"", "a"),
            ("\"x, \"a\", y\"", "\"b\""),
            ("\"x,\\\"a\\\"\"", "\"a\""),
            ("w/\"a\"", "\"a\""),
            ("", ""),
            ("\"a", "\"a\""),
        ] {
            assert!(!found(list, own), "{list} {own}");
        }
        assert!(unchanged(&[("if-none-match", "*")], &[]), "`*` matches any response");
        assert!(unchanged(
            &[("if-none-match", "\"a\""), ("if-none-match", "\"b\"")],
            &[("etag", "\"b\"")]
        ));
    }

    #[test]
    fn if_modified_since_counts_with_a_valid_date_and_without_if_none_match() {
        let since = |since: &'static str, modified: &'static str| {
            unchanged(&[("if-modified-since", since)], &[("last-modified", modified)])
        };
        assert!(since(SEVEN, SEVEN) && since(EIGHT, SEVEN) && !since(SIX, SEVEN));
        assert!(since("Wednesday, 25-Nov-26 07:00:00 GMT", SEVEN) && since("wed nov 25 07:00:00 2026", SEVEN));
        for unreadable in ["yesterday", "0", "", "Thu, 25 Nov 2026 08:00:00 GMT"] {
            assert!(!since(unreadable, SEVEN) && !since(SEVEN, unreadable), "{unreadable}");
            assert!(!since(unreadable, unreadable), "{unreadable}");
        }
        assert!(!unchanged(&[("if-modified-since", EIGHT)], &[("date", SIX)]));
        let twice = [("if-modified-since", EIGHT), ("if-modified-since", EIGHT)];
        assert!(!unchanged(&twice, &[("last-modified", SEVEN)]));
        let response = [("etag", "\"a\""), ("last-modified", SEVEN)];
        assert!(!unchanged(
            &[("if-none-match", "\"b\""), ("if-modified-since", EIGHT)],
            &response
        ));
        assert!(unchanged(
            &[("if-none-match", "\"a\""), ("if-modified-since", SIX)],
            &response
        ));
    }

    #[test]
    fn only_a_200_to_get_or_head_can_be_unchanged() {
        let (request, response) = (fields(&[("if-none-match", "\"a\"")]), fields(&[("etag", "\"a\"")]));
        for (method, status, expected) in [
            (Method::GET, 200, true),
            (Method::HEAD, 200, true),
            (Method::POST, 200, false),
            (Method::GET, 404, false),
            (Method::GET, 301, false),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(
                is_unchanged(&method, &request, status, &response),
                expected,
                "{method} {status}"
            );
        }
    }

    #[test]
    fn if_range_allows_a_part_only_by_a_strong_validator() {
        let same = |validator: &'static str, response: List<'_>| {
            is_of_same(&fields(&[("if-range", validator)]), &fields(response))
        };
        assert!(is_of_same(&fields(&[]), &fields(&[])));
        assert!(same("\"a\"", &[("etag", "\"a\"")]));
        for (validator, etag) in [
            ("W/\"a\"", "W/\"a\""),
            ("W/\"a\"", "\"a\""),
            ("\"a\"", "W/\"a\""),
            ("\"a\"", "\"b\""),
            ("\"a\", \"b\"", "\"a\""),
            ("a", "a"),
            ("\"", "\""),
            ("*", "\"a\""),
            ("", "\"a\""),
        ] {
            assert!(!same(validator, &[("etag", etag)]), "{validator} {etag}");
        }
        const MODIFIED: (&str, &str) = ("last-modified", SEVEN);
        assert!(same(SEVEN, &[MODIFIED, ("date", EIGHT)]));
        assert!(same(SEVEN, &[MODIFIED, ("date", "Wed, 25 Nov 2026 07:00:01 GMT")]));
        assert!(!same(SEVEN, &[MODIFIED, ("date", SEVEN)]), "it may have changed again");
        assert!(!same(SEVEN, &[MODIFIED]));
        for other in [SIX, EIGHT, "yesterday"] {
            assert!(!same(other, &[MODIFIED, ("date", EIGHT)]), "{other}");
        }
        let twice = fields(&[("if-range", "\"a\""), ("if-range", "\"a\"")]);
        assert!(!is_of_same(&twice, &fields(&[("etag", "\"a\"")])));
    }
}
