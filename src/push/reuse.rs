//! Decides whether a browser that fetched a response because of a 103 can reuse it for the page's request (rule 18).
//!
//! A browser stores the response in its HTTP cache, or in a list that is matched with the page's requests. A response
//! that may not be stored, Chromium fetches twice at every visit; a response that is stale on arrival it revalidates.
//! In both cases a hint doubles the requests.

use std::time::SystemTime;

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{
    pushable::{Witness, Witnesses},
    recent::RecentUrls,
};

/// Returns whether a response can be reused when the page requests its URL; `None` unless the status is 200, since
/// other statuses say nothing about later responses.
#[must_use]
pub fn is_reusable(status: StatusCode, fields: &HeaderMap, now: SystemTime) -> Option<bool> {
    if status != StatusCode::OK {
        return None;
    }
    let directives = Directives::of(fields);
    if directives.no_store || directives.no_cache {
        return Some(false);
    }
    let has_validator = fields.contains_key(header::ETAG) || fields.contains_key(header::LAST_MODIFIED);
    let age = number(fields.get(header::AGE)).unwrap_or(0);
    Some(match directives.max_age {
        Some(max_age) => max_age > age,
        None => match fields.get(header::EXPIRES) {
            Some(expires) => is_later(expires, fields, now),
            // Heuristic freshness (RFC 9111 section 4.2.2), or one cheap revalidation.
            None => has_validator,
        },
    })
}

/// The directives of `Cache-Control` that decide about reuse in a browser.
#[derive(Default)]
struct Directives {
    no_store: bool,
    no_cache: bool,
    max_age: Option<u64>,
}

impl Directives {
    fn of(fields: &HeaderMap) -> Self {
        let mut directives = Self::default();
        let lines = fields.get_all(header::CACHE_CONTROL).iter();
        for directive in lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b',')) {
            let mut halves = directive.splitn(2, |&byte| byte == b'=');
            let name = halves.next().unwrap_or_default().trim_ascii();
            let value = halves.next().map(|value| value.trim_ascii());
            if name.eq_ignore_ascii_case(b"no-store") {
                directives.no_store = true;
            } else if name.eq_ignore_ascii_case(b"no-cache") && value.is_none() {
                // `no-cache` with a value concerns single fields only (RFC 9111 section 5.2.2.4).
                directives.no_cache = true;
            } else if name.eq_ignore_ascii_case(b"max-age") && directives.max_age.is_none() {
                // A response whose `max-age` is not a number is stale (RFC 9111 section 4.2.1).
                let value = value.unwrap_or_default();
                let digits = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
                directives.max_age = Some(parse(digits.unwrap_or(value)).unwrap_or(0));
            }
        }
        directives
    }
}

fn is_later(expires: &HeaderValue, fields: &HeaderMap, now: SystemTime) -> bool {
    let date = |value: &HeaderValue| httpdate::parse_http_date(value.to_str().ok()?).ok();
    let told = fields.get(header::DATE).and_then(date).unwrap_or(now);
    date(expires).is_some_and(|expires| expires > told)
}

fn number(value: Option<&HeaderValue>) -> Option<u64> {
    parse(value?.as_bytes().trim_ascii())
}

fn parse(digits: &[u8]) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    // A number that overflows counts as the largest (RFC 9111 section 1.2.2).
    is_number.then(|| {
        str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse().ok())
            .unwrap_or(u64::MAX)
    })
}

/// The URLs whose last response cannot be reused; `max_entries` at most.
#[derive(Debug)]
pub struct NotReusable(RecentUrls<Witnesses>);

impl NotReusable {
    /// Makes an empty memory of at most `max_entries` URLs.
    #[must_use]
    pub fn new(max_entries: usize) -> Self {
        Self(RecentUrls::new(max_entries))
    }

    /// Remembers whether the last response of a URL, given as scheme, authority and path with query, can be reused.
    pub fn record(&mut self, url: (&str, &str, &str), witness: Witness, is_reusable: bool) {
        let key = self.0.key(url);
        if is_reusable {
            self.0.remove(key);
        } else if let Some(witnesses) = self.0.entry(key, Witnesses::default) {
            witnesses.add(witness);
        }
    }

    /// Returns whether no URL is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether the last response of a URL cannot be reused.
    #[must_use]
    pub fn contains(&self, scheme: &str, authority: &str, path_and_query: &str) -> bool {
        let known = || self.0.get(self.0.key((scheme, authority, path_and_query)));
        !self.is_empty() && known().is_some_and(Witnesses::count)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_response_can_be_reused_if_a_browser_stores_it_fresh() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        let (etag, modified) = (("etag", "\"1\""), ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"));
        let cc = |value| ("cache-control", value);
        for (fields, expected) in [
            (&[cc("max-age=60")][..], true),
            (&[cc("public, max-age=31536000, immutable")], true),
            (&[cc("private, max-age=60")], true),
            (&[cc("max-age=\"60\"")], true),
            (&[cc("max-age=60"), ("age", "59")], true),
            (&[cc("max-age=60"), ("age", "60")], false),
            (&[cc("max-age=60"), cc("no-store")], false),
            (&[cc("s-maxage=60")], false),
            (&[cc("s-maxage=60"), etag], true),
            (&[cc("No-Cache"), etag], false),
            (&[cc("no-cache=\"set-cookie\", max-age=60")], true),
            (&[cc("max-age=0"), etag], false),
            (&[cc("max-age=0, stale-while-revalidate=60"), etag], false),
            (&[cc("max-age=x"), etag], false),
            (&[cc("must-revalidate"), etag], true),
            (&[cc("max-age=99999999999999999999999")], true),
            (&[etag], true),
            (&[modified], true),
            (&[], false),
            (&[cc("public")], false),
            (&[("expires", "Sun, 06 Nov 1994 08:50:37 GMT")], true),
            (&[("expires", "Sun, 06 Nov 1994 08:49:37 GMT"), etag], false),
            (&[("expires", "0"), etag], false),
            (
                &[
                    ("expires", "Sun, 06 Nov 1994 08:50:37 GMT"),
                    ("date", "Sun, 06 Nov 1994 08:51:37 GMT"),
                ],
                false,
            ),
            (&[cc("max-age=60"), ("vary", "cookie, accept-encoding")], true),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in fields {
                map.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_reusable(StatusCode::OK, &map, now), Some(expected), "{fields:?}");
            assert_eq!(is_reusable(StatusCode::NOT_FOUND, &map, now), None);
        }
    }

    #[test]
    fn the_last_response_counts_and_the_memory_is_bounded() {
        let mut memory = NotReusable::new(2);
        let url = |path| ("https", "h", path);
        for path in ["/1", "/2", "/2", "/3"] {
            memory.record(url(path), Witness::Everybody, false);
        }
        assert!(!memory.contains("https", "h", "/1"));
        assert!(memory.contains("https", "H:443", "/2") && memory.contains("https", "h", "/3"));
        memory.record(url("/2"), Witness::Everybody, true);
        memory.record(url("/3"), Witness::Everybody, true);
        for (visitors, expected) in [(1, false), (1, false), (2, false), (3, true)] {
            let visitor = Witness::Visitor([192, 0, 2, visitors].into());
            memory.record(url("/4"), visitor, false);
            assert_eq!(memory.contains("https", "h", "/4"), expected, "{visitors} visitors");
        }
        memory.record(url("/4"), Witness::Everybody, true);
        assert!(memory.is_empty());
    }
}
