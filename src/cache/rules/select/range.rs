//! Parts of an answer that a request asks for (RFC 9110 section 14).

use std::ops::Range;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::condition::is_of_same;

/// What of its content an answer is sent with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// All: no part is asked for, or in a way that is not understood.
    Whole,
    /// These bytes; there are some.
    One(Range<usize>),
    /// These, one behind another: two at least, in order and apart.
    Several(Vec<Range<usize>>),
    /// None: there is nothing where they are asked for.
    Nothing,
}

/// Ranges that are looked at. Who wants more wants all.
const MAX_RANGES: usize = 100;

/// The part that a request asks for of an answer with content of this length.
///
/// `Range` is ignored where it is not to the letter, as RFC 9110 section 14.2 wants, and where it says more than one thing:
/// ranges that overlap or go back are worth a whole answer to nobody but an attacker.
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

/// Whether the origin says that it has no parts.
fn refuses_ranges(response: &HeaderMap) -> bool {
    let mut units = response
        .get_all(header::ACCEPT_RANGES)
        .iter()
        .map(HeaderValue::as_bytes);
    units.any(|unit| unit.trim_ascii().eq_ignore_ascii_case(b"none"))
}

/// `None` if it cannot be read.
fn read(range: &[u8], length: usize) -> Option<Part> {
    let (unit, set) = range.split_at_checked(range.iter().position(|&byte| byte == b'=')?)?;
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let set = set.get(1..)?;
    if set.starts_with(b" ") || set.starts_with(b"\t") {
        // Blanks are between the elements of a list, none before the first (RFC 9110 section 5.6.1.1).
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
        let Some(range) = one(spec, length)? else { continue };
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

/// One range as far as there is content; `Some(None)` where there is none, `None` if it cannot be read.
fn one(spec: &[u8], length: usize) -> Option<Option<Range<usize>>> {
    let (first, last) = spec.split_at_checked(spec.iter().position(|&byte| byte == b'-')?)?;
    let last = last.get(1..)?;
    let range = match (first, last) {
        (b"", suffix) => {
            let suffix = number(suffix)?;
            if length == 0 && suffix > 0 {
                // All of nothing, which no Content-Range can say.
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

/// Digits; those beyond what can be counted are as good as the most that can.
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
    fn ranges_of_ten_bytes() {
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
    fn of_nothing_there_is_no_part() {
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
    fn only_so_many_are_looked_at() {
        let ranges = |count: usize| -> &'static str {
            let ranges: Vec<String> = (0..count).map(|at| format!("{0}-{0}", at * 2)).collect();
            format!("bytes={}", ranges.join(",")).leak()
        };
        assert!(matches!(of(ranges(MAX_RANGES), 1000), Part::Several(ranges) if ranges.len() == MAX_RANGES));
        assert_eq!(of(ranges(MAX_RANGES + 1), 1000), Part::Whole);
    }

    #[test]
    fn a_part_is_one_of_a_whole_answer_to_get() {
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
        fn whatever_is_asked_for_is_there_in_order_and_apart(range in "bytes=[0-9, -]{0,40}", length in 0_usize..200) {
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
