//! Freshness: what is kept, for how long, and what never is.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use linkpush::cache::{Freshness, NotStorable, RequestFacts, check_storable};

use crate::input::Input;

const NAMES: [&str; 10] = [
    "cache-control",
    "cache-control",
    "cache-control",
    "expires",
    "date",
    "age",
    "set-cookie",
    "vary",
    "content-length",
    "transfer-encoding",
];

/// RFC 9111 section 1.2.2.
const LONGEST: Duration = Duration::from_secs(1 << 31);

/// Asks what is kept of an answer with any fields, each on a line.
pub fn freshness(bytes: &[u8]) {
    let mut input = Input(bytes);
    let what = input.number();
    let status = StatusCode::from_u16(input.pick(&[200, 200, 200, 206, 302, 304, 404, 500])).expect("a status");
    let facts = RequestFacts {
        with_cookie: what % 2 == 1,
        revalidated: what / 2 % 2 == 1,
        limit: 1000,
        delay: Duration::ZERO,
    };
    let mut lines = Vec::new();
    while let Some(name) = input.byte() {
        lines.push((NAMES[usize::from(name) % NAMES.len()], input.line()));
    }
    // Wed, 25 Nov 2026 07:00:00 GMT
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_590_000);
    let fields = map(&lines);
    let kept = check_storable(status, &fields, facts, now);
    let control: Vec<&[u8]> = fields
        .get_all("cache-control")
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    let is_closed = |line: &&[u8]| !line.contains(&b'\\') && line.iter().filter(|b| **b == b'"').count() % 2 == 0;
    if control.iter().all(is_closed) {
        assert_eq!(
            kept,
            check_storable(status, &one_line_each(&fields), facts, now),
            "lines are one list"
        );
    }
    let directives = directives(&control);
    // Lists are read generously: a name that stands where it should not counts, too.
    let text = String::from_utf8_lossy(&control.join(&b", "[..])).to_ascii_lowercase();
    let has = |name: &str| text.contains(name);
    let Ok(fresh) = kept else {
        return older(status, &fields, facts, now, None);
    };
    assert!([200, 203, 301, 308, 404, 410].contains(&status.as_u16()));
    for never in ["no-store", "private", "no-cache"] {
        assert!(
            !directives.iter().any(|directive| directive == never),
            "{never} in {text:?}"
        );
    }
    assert!(!fields.contains_key("set-cookie"));
    assert!(!facts.with_cookie || facts.revalidated || has("public") || has("s-maxage"));
    assert!(
        has("max-age") || has("s-maxage") || fields.get_all("expires").iter().count() == 1,
        "the origin states it"
    );
    let length = fields.get("content-length").map(HeaderValue::as_bytes);
    assert!(facts.revalidated || length.is_some() || fields.contains_key("transfer-encoding"));
    assert!(fresh.epoch <= now && fresh.fresh_until >= fresh.epoch);
    assert!(fresh.fresh_until <= fresh.epoch + LONGEST);
    let stale = Duration::from_secs(fresh.stale_while_revalidate.max(fresh.stale_if_error).into());
    assert!(fresh.fresh_until + stale >= now, "it can be used once");
    assert!(fresh.stale_while_revalidate == 0 || has("stale-while-revalidate"));
    assert!(fresh.stale_if_error == 0 || has("stale-if-error"));
    older(status, &fields, facts, now, Some(fresh));
    // Said otherwise, it means the same.
    let upper = fields.iter().map(|(name, value)| {
        let is_control = name == "cache-control";
        let value = if is_control {
            HeaderValue::from_bytes(&value.as_bytes().to_ascii_uppercase())
        } else {
            Ok(value.clone())
        };
        (name.clone(), value.expect("a value"))
    });
    let upper: HeaderMap = upper.collect();
    assert_eq!(
        check_storable(status, &upper, facts, now),
        Ok(fresh),
        "case does not count"
    );
    for more in ["no-store", "private", "no-cache"] {
        let mut fields = fields.clone();
        fields.append("cache-control", HeaderValue::from_static(more));
        assert!(
            check_storable(status, &fields, facts, now).is_err(),
            "{more} on a line of its own"
        );
    }
}

fn map(lines: &[(&'static str, &[u8])]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, line) in lines {
        if let Ok(value) = HeaderValue::from_bytes(line.trim_ascii()) {
            fields.append(*name, value);
        }
    }
    fields
}

/// With all lines of `Cache-CacheControl` and `Vary` joined.
fn one_line_each(fields: &HeaderMap) -> HeaderMap {
    let mut joined = fields.clone();
    for name in ["cache-control", "vary"] {
        let lines: Vec<&[u8]> = fields.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        if !lines.is_empty() {
            joined.insert(name, HeaderValue::from_bytes(&lines.join(&b", "[..])).expect("a value"));
        }
    }
    joined
}

/// The names of the directives, in lower case, as far as lists can be read.
fn directives(control: &[&[u8]]) -> Vec<String> {
    let mut names = Vec::new();
    for line in control {
        let (mut is_quoted, mut is_escaped) = (false, false);
        let elements = line.split(|&byte| {
            let ends = byte == b',' && !is_quoted;
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' if is_quoted => is_escaped = true,
                b'"' => is_quoted = !is_quoted,
                _ => {}
            }
            ends
        });
        for element in elements {
            let name = element.split(|&b| b == b'=').next().unwrap_or_default();
            names.push(String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase());
        }
    }
    names
}

/// An answer that was longer on its way is kept no longer.
fn older(status: StatusCode, fields: &HeaderMap, facts: RequestFacts, now: SystemTime, fresh: Option<Freshness>) {
    if fields.contains_key("age") || fields.contains_key("date") {
        return;
    }
    let mut fields = fields.clone();
    fields.insert("age", HeaderValue::from_static("100"));
    match (check_storable(status, &fields, facts, now), fresh) {
        (Ok(older), Some(fresh)) => assert_eq!(older.fresh_until + Duration::from_secs(100), fresh.fresh_until),
        (Ok(_), None) => unreachable!("age makes nothing fresh"),
        (Err(why), Some(fresh)) => {
            assert_eq!(why, NotStorable::NotFresh);
            let stale = Duration::from_secs(fresh.stale_while_revalidate.max(fresh.stale_if_error).into());
            assert!(fresh.fresh_until + stale <= now + Duration::from_secs(100));
        }
        (Err(_), None) => {}
    }
}
