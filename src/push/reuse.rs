//! Decides whether a browser that fetched a response because of a 103 can reuse it for the page's request (rule 18).
//!
//! A browser stores the response in its HTTP cache, or in a list that is matched with the page's requests. A response
//! that may not be stored, Chromium fetches twice at every visit; a response that is stale when the page comes it
//! revalidates. In both cases a hint doubles the requests.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{
    pushable::{Witness, Witnesses},
    recent::RecentUrls,
};

/// Returns whether a response can be reused when the page requests its URL: never where the asset is gone. `None` for
/// other statuses than 200, 404 and 410, since they say nothing about later responses. `asked` has the fields of its request.
#[must_use]
pub fn is_reusable(status: StatusCode, fields: &HeaderMap, asked: &HeaderMap, now: SystemTime) -> Option<bool> {
    match status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::GONE => return Some(false),
        _ => return None,
    }
    let directives = Directives::of(fields);
    if directives.no_store || directives.no_cache || has_member(fields, &header::PRAGMA, b"no-cache") {
        return Some(false);
    }
    if depends_on_hint(fields, asked) {
        return Some(false);
    }
    let lifetime = match (directives.max_age, fields.get(header::EXPIRES)) {
        (Some(max_age), _) => Duration::from_secs(max_age),
        (None, Some(expires)) => freshness(expires, fields, now),
        (None, None) if directives.must_revalidate => Duration::ZERO,
        (None, None) => heuristic_freshness(fields, now),
    };
    Some(lifetime.saturating_sub(age(fields, now)) >= MIN_FRESHNESS)
}

/// Returns the age of a response, by its `Age` and by its date, whichever is more (RFC 9111 section 4.2.3).
fn age(fields: &HeaderMap, now: SystemTime) -> Duration {
    let by_date = now.duration_since(told(fields, now)).unwrap_or_default();
    let by_field = Duration::from_secs(number(fields.get(header::AGE)).unwrap_or(0));
    by_date.max(by_field)
}

/// The least freshness of a response that is still fresh when the page that was hinted it comes: origins may think for
/// seconds.
const MIN_FRESHNESS: Duration = Duration::from_secs(5);

/// Returns whether the request that a hint causes, and the page's request for the same URL, differ in a field that the
/// response varies by: Chromium sends `Origin` to the page's own origin with the latter only.
fn depends_on_hint(fields: &HeaderMap, asked: &HeaderMap) -> bool {
    if has_member(fields, &header::VARY, b"*") {
        return true;
    }
    let says = |name: &'static str, value: &str| asked.get(name).is_some_and(|field| field == value);
    says("sec-fetch-mode", "cors")
        && says("sec-fetch-site", "same-origin")
        && has_member(fields, &header::VARY, b"origin")
}

/// Returns whether one of a field's members is this word, ASCII case ignored.
fn has_member(fields: &HeaderMap, name: &header::HeaderName, word: &[u8]) -> bool {
    let lines = fields.get_all(name).iter();
    lines
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .any(|member| member.trim_ascii().eq_ignore_ascii_case(word))
}

/// The directives of `Cache-Control` that decide about reuse in a browser.
#[derive(Default)]
struct Directives {
    no_store: bool,
    no_cache: bool,
    must_revalidate: bool,
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
            } else if name.eq_ignore_ascii_case(b"must-revalidate") {
                directives.must_revalidate = true;
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

/// Returns the time from a response's date to its `Expires`.
fn freshness(expires: &HeaderValue, fields: &HeaderMap, now: SystemTime) -> Duration {
    let expires = date(expires).and_then(|expires| expires.duration_since(told(fields, now)).ok());
    expires.unwrap_or_default()
}

/// Returns how long browsers take a response for fresh that says nothing of it: a tenth of the time since its
/// `Last-Modified` (RFC 9111 section 4.2.2). With `ETag` alone it is stale at once.
fn heuristic_freshness(fields: &HeaderMap, now: SystemTime) -> Duration {
    let modified = fields.get(header::LAST_MODIFIED).and_then(date);
    let since = modified.and_then(|modified| told(fields, now).duration_since(modified).ok());
    since.unwrap_or_default() / 10
}

/// Returns a response's date.
fn told(fields: &HeaderMap, now: SystemTime) -> SystemTime {
    fields.get(header::DATE).and_then(date).unwrap_or(now)
}

fn date(value: &HeaderValue) -> Option<SystemTime> {
    httpdate::parse_http_date(value.to_str().ok()?).ok()
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
        let old = ("last-modified", "Sat, 05 Nov 1994 08:49:37 GMT");
        let cc = |value| ("cache-control", value);
        for (fields, expected) in [
            (&[cc("max-age=60")][..], true),
            (&[cc("public, max-age=31536000, immutable")], true),
            (&[cc("private, max-age=60")], true),
            (&[cc("max-age=\"60\"")], true),
            (&[cc("max-age=60"), ("age", "55")], true),
            (&[cc("max-age=60"), ("age", "56")], false),
            (&[cc("max-age=1"), etag], false),
            (&[cc("max-age=60"), ("age", "60")], false),
            // 1994-11-06 08:49:37 is now.
            (&[cc("max-age=60"), ("date", "Sun, 06 Nov 1994 08:47:57 GMT")], false),
            (&[cc("max-age=60"), ("date", "Sun, 06 Nov 1994 08:48:42 GMT")], true),
            (&[cc("max-age=60"), ("date", "Sun, 06 Nov 1994 08:48:41 GMT")], false),
            (&[cc("max-age=60"), ("date", "Sun, 06 Nov 1994 09:48:41 GMT")], true),
            (
                &[
                    ("expires", "Sun, 06 Nov 1994 07:50:37 GMT"),
                    ("date", "Sun, 06 Nov 1994 07:49:37 GMT"),
                ],
                false,
            ),
            (&[cc("max-age=60"), cc("no-store")], false),
            (&[cc("s-maxage=60")], false),
            (&[cc("s-maxage=60"), etag], false),
            (&[cc("s-maxage=60"), old], true),
            (&[cc("No-Cache"), etag], false),
            (&[cc("no-cache=\"set-cookie\", max-age=60")], true),
            (&[cc("max-age=0"), etag], false),
            (&[cc("max-age=0, stale-while-revalidate=60"), etag], false),
            (&[cc("max-age=x"), etag], false),
            (&[cc("must-revalidate"), old], false),
            (&[cc("must-revalidate, max-age=60"), etag], true),
            (&[cc("max-age=99999999999999999999999")], true),
            (&[etag], false),
            (&[old], true),
            (&[old, etag], true),
            (&[modified], false),
            (&[("last-modified", "Sun, 06 Nov 1994 08:48:47 GMT")], true),
            (&[("last-modified", "Sun, 06 Nov 1994 08:48:48 GMT")], false),
            (&[("last-modified", "Sun, 06 Nov 1994 08:50:37 GMT")], false),
            (&[("pragma", "no-cache"), old], false),
            (&[("pragma", "x, No-Cache"), cc("max-age=60")], false),
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
            (&[cc("max-age=60"), ("vary", "accept, *")], false),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in fields {
                map.append(*name, HeaderValue::from_static(value));
            }
            let asked = HeaderMap::new();
            assert_eq!(
                is_reusable(StatusCode::OK, &map, &asked, now),
                Some(expected),
                "{fields:?}"
            );
            assert_eq!(is_reusable(StatusCode::NOT_FOUND, &map, &asked, now), Some(false));
            assert_eq!(is_reusable(StatusCode::NOT_MODIFIED, &map, &asked, now), None);
        }
    }

    #[test]
    fn a_response_that_varies_by_origin_is_of_no_use_to_a_page_of_its_own_origin_that_asks_with_one() {
        for (mode, site, vary, expected) in [
            ("cors", "same-origin", "Accept-Encoding, Origin", false),
            ("cors", "same-origin", "accept-encoding", true),
            ("cors", "same-site", "origin", true),
            ("cors", "cross-site", "origin", true),
            ("no-cors", "same-origin", "origin", true),
        ] {
            let map = |fields: &[(&'static str, &'static str)]| -> HeaderMap {
                let field = |(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_static(value));
                fields.iter().copied().map(field).collect()
            };
            let fields = map(&[("cache-control", "max-age=60"), ("vary", vary)]);
            let asked = map(&[("sec-fetch-mode", mode), ("sec-fetch-site", site)]);
            let told = is_reusable(StatusCode::OK, &fields, &asked, SystemTime::now());
            assert_eq!(told, Some(expected), "{mode} {site} {vary}");
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
