//! Parses `Range`: which parts of a response a request asks for (RFC 9110 section 14).

use std::ops::Range;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::condition::is_of_same;

/// The part of the content that is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// All content: the request has no `Range`, or one that is ignored.
    Whole,
    /// These bytes, at least one.
    One(Range<usize>),
    /// At least two ranges, in ascending order, without overlap.
    Several(Vec<Range<usize>>),
    /// No bytes: all ranges lie behind the end of the content (416).
    Nothing,
}

/// Ranges in one request; with more, the whole content is sent.
const MAX_RANGES: usize = 100;

/// Returns the part that a request asks for of a response with `length` bytes of content.
///
/// An invalid `Range` is ignored, as RFC 9110 section 14.2 wants; so are doubled fields, and ranges that overlap or are
/// not in ascending order, which only attackers send.
#[must_use]
pub fn part(method: &Method, request: &HeaderMap, status: StatusCode, response: &HeaderMap, length: usize) -> Part {
    if *method != Method::GET || status != StatusCode::OK || refuses_ranges(response) {
        return Part::Whole;
    }
    let mut lines = request.get_all(header::RANGE).iter();
    match (lines.next(), lines.next()) {
        (Some(range), None) if is_of_same(request, response) => read(range.as_bytes(), length).unwrap_or(Part::Whole),
        _ => Part::Whole,
    }
}

/// Returns whether the origin sends no parts (`Accept-Ranges: none`).
fn refuses_ranges(response: &HeaderMap) -> bool {
    let mut units = response
        .get_all(header::ACCEPT_RANGES)
        .iter()
        .map(HeaderValue::as_bytes);
    units.any(|unit| unit.trim_ascii().eq_ignore_ascii_case(b"none"))
}

/// Reads the value of `Range`; `None` if it is to be ignored.
fn read(range: &[u8], length: usize) -> Option<Part> {
    let (unit, set) = range.split_at_checked(range.iter().position(|&byte| byte == b'=')?)?;
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let set = set.get(1..)?;
    if set.starts_with(b" ") || set.starts_with(b"\t") {
        // A list has no blanks before its first element (RFC 9110 section 5.6.1.1).
        return None;
    }
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut requested = 0;
    for spec in set.split(|&byte| byte == b',') {
        let spec = spec.trim_ascii();
        if spec.is_empty() {
            continue;
        }
        requested += 1;
        if requested > MAX_RANGES {
            return None;
        }
        let Some(range) = read_range(spec, length)? else {
            continue;
        };
        if ranges.last().is_some_and(|before| range.start < before.end) {
            return None;
        }
        ranges.push(range);
    }
    match (requested, ranges.as_slice()) {
        (0, _) => None,
        (_, []) => Some(Part::Nothing),
        (_, [only]) => Some(Part::One(only.clone())),
        _ => Some(Part::Several(ranges)),
    }
}

/// Reads one range, cut to the content; `Some(None)` if it lies behind the end, `None` if it is invalid.
fn read_range(spec: &[u8], length: usize) -> Option<Option<Range<usize>>> {
    let (first, last) = spec.split_at_checked(spec.iter().position(|&byte| byte == b'-')?)?;
    let last = last.get(1..)?;
    let range = match (first, last) {
        (b"", suffix) => {
            let suffix = number(suffix)?;
            if length == 0 && suffix > 0 {
                // The range is the whole empty content, for which there is no Content-Range.
                return None;
            }
            length.saturating_sub(suffix)..length
        }
        (first, b"") => number(first)?..length,
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(length)
        }
    };
    Some((range.start < range.end).then_some(range))
}

/// Reads digits; a number above `usize::MAX` counts as `usize::MAX`.
fn number(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(str::from_utf8(digits).ok()?.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(range: &'static str, length: usize) -> Part {
        let request = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static(range))]);
        part(&Method::GET, &request, StatusCode::OK, &HeaderMap::new(), length)
    }

    #[test]
    fn ranges_are_read_and_cut_to_ten_bytes_of_content() {
        use Part::{Nothing, Several, Whole};
        let one = Part::One;
        for (range, part) in [
            ("bytes=0-0", one(0..1)),
            ("bytes=2-4", one(2..5)),
            ("Bytes=2-4", one(2..5)),
            ("bytes=2-", one(2..10)),
            ("bytes=-3", one(7..10)),
            ("bytes=-30", one(0..10)),
            ("bytes=0-9", one(0..10)),
            ("bytes=0-99", one(0..10)),
            ("bytes=00-01", one(0..2)),
            ("bytes=0-99999999999999999999999", one(0..10)),
            ("bytes=0-18446744073709551615", one(0..10)),
            ("bytes=-99999999999999999999999", one(0..10)),
            ("bytes=0-0,-1", Several(vec![0..1, 9..10])),
            ("bytes=0-1, 2-3 ,,8-", Several(vec![0..2, 2..4, 8..10])),
            ("bytes=0-1,20-30", one(0..2)),
            ("bytes=20-30,0-1", one(0..2)),
            ("bytes= 0-1", Whole),
            ("bytes=\t0-1", Whole),
            ("bytes=10-", Nothing),
            ("bytes=9999-", Nothing),
            ("bytes=9999-99999", Nothing),
            ("bytes=99999999999999999999999-", Nothing),
            ("bytes=-0", Nothing),
            ("bytes=-0,20-", Nothing),
            ("bytes=5-2", Whole),
            ("bytes=99999999999999999999999-2", Whole),
            ("bytes=0-1,5-2", Whole),
            ("bytes=abc", Whole),
            ("bytes=a-b", Whole),
            ("bytes=1-b", Whole),
            ("bytes=+1-2", Whole),
            ("bytes=1", Whole),
            ("bytes=-", Whole),
            ("bytes=--1", Whole),
            ("bytes=1-2-3", Whole),
            ("bytes=1 -2", Whole),
            ("bytes=0x1-2", Whole),
            ("bytes=", Whole),
            ("bytes=,", Whole),
            ("bytes", Whole),
            ("bytes =0-1", Whole),
            ("", Whole),
            ("items=0-1", Whole),
            ("bytes=0-3,2-5", Whole),
            ("bytes=8-9,0-1", Whole),
            ("bytes=0-1,0-1", Whole),
            ("bytes=0-,-1", Whole),
        ] {
            assert_eq!(of(range, 10), part, "{range}");
        }
    }

    #[test]
    fn empty_content_has_no_part() {
        for (range, part) in [
            ("bytes=0-", Part::Nothing),
            ("bytes=0-0", Part::Nothing),
            ("bytes=-0", Part::Nothing),
            ("bytes=-5", Part::Whole),
        ] {
            assert_eq!(of(range, 0), part, "{range}");
        }
    }

    #[test]
    fn more_than_max_ranges_get_the_whole_content() {
        let ranges = |count: usize| -> &'static str {
            let ranges: Vec<String> = (0..count).map(|at| format!("{0}-{0}", at * 2)).collect();
            format!("bytes={}", ranges.join(",")).leak()
        };
        assert!(matches!(of(ranges(MAX_RANGES), 1000), Part::Several(ranges) if ranges.len() == MAX_RANGES));
        assert_eq!(of(ranges(MAX_RANGES + 1), 1000), Part::Whole);
    }

    #[test]
    fn a_part_is_sent_only_of_a_200_to_get() {
        let fields = |list: &[(&'static str, &'static str)]| {
            let mut fields = HeaderMap::new();
            for (name, value) in list {
                fields.append(*name, HeaderValue::from_static(value));
            }
            fields
        };
        const RANGE: (&str, &str) = ("range", "bytes=0-0");
        let requested = fields(&[RANGE]);
        let nothing = HeaderMap::new();
        let (get, ok) = (Method::GET, StatusCode::OK);
        assert_eq!(part(&get, &requested, ok, &nothing, 10), Part::One(0..1));
        assert_eq!(part(&get, &nothing, ok, &nothing, 10), Part::Whole);
        assert_eq!(part(&Method::HEAD, &requested, ok, &nothing, 10), Part::Whole);
        for status in [
            StatusCode::NOT_FOUND,
            StatusCode::NOT_MODIFIED,
            StatusCode::PARTIAL_CONTENT,
        ] {
            assert_eq!(part(&get, &requested, status, &nothing, 10), Part::Whole, "{status}");
        }
        assert_eq!(part(&get, &fields(&[RANGE, RANGE]), ok, &nothing, 10), Part::Whole);
        let refusing = fields(&[("accept-ranges", "None")]);
        assert_eq!(part(&get, &requested, ok, &refusing, 10), Part::Whole);
        let tagged = fields(&[("etag", "\"a\"")]);
        for (validator, expected) in [("\"a\"", Part::One(0..1)), ("W/\"a\"", Part::Whole)] {
            let requested = fields(&[RANGE, ("if-range", validator)]);
            assert_eq!(part(&get, &requested, ok, &tagged, 10), expected, "{validator}");
        }
    }

    proptest! {
        #[test]
        fn parts_lie_within_the_content_in_ascending_order(range in "bytes=[0-9, -]{0,40}", length in 0_usize..200) {
            let ranges = match read(range.as_bytes(), length) {
                Some(Part::One(only)) => vec![only],
                Some(Part::Several(ranges)) => ranges,
                _ => Vec::new(),
            };
            let mut end = 0;
            for range in ranges {
                prop_assert!(end <= range.start && range.start < range.end && range.end <= length);
                end = range.end;
            }
        }
    }
}
