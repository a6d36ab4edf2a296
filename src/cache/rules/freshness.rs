//! Decides which responses may be stored, and for how long (RFC 9111 sections 3 and 4.2).
//!
//! Stricter than the RFC: a response without an explicit lifetime, or with `Set-Cookie`, is not stored, nor is a
//! response to a request with `Authorization` (see `request`).

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{
    control::{CacheControl, delta_seconds},
    date,
    vary::{self, BadVary},
};
use crate::{
    fields::{length, only},
    route::CookieResponses,
};

/// Why a response is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotStorable {
    /// Its status is none of `STATUSES`.
    #[error("status {0}")]
    Status(StatusCode),
    /// It has the directive `no-store`.
    #[error("no-store")]
    NoStore,
    /// It has the directive `private`, with or without a list of fields.
    #[error("private")]
    Private,
    /// It has the directive `no-cache`: each use would need a validation.
    #[error("no-cache")]
    NoCache,
    /// It has `Set-Cookie`.
    #[error("set-cookie")]
    SetCookie,
    /// Its `Vary` rules storing out.
    #[error(transparent)]
    Vary(#[from] BadVary),
    /// The request had a cookie, and the response has neither `public` nor `s-maxage`.
    #[error("not public, and asked for with a cookie")]
    Cookie,
    /// It has no max-age, s-maxage or Expires, or its lifetime and stale use are over.
    #[error("no freshness")]
    NotFresh,
    /// Only the end of the connection ends its content, so a part could be taken for the whole.
    #[error("no-length")]
    NoLength,
    /// Its content is longer than the limit for one response.
    #[error("too-large")]
    TooLarge,
}

impl NotStorable {
    /// Returns the name of the reason in the access line, in Cache-Status and in explanations.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::NoStore => "no_store",
            Self::Private => "private",
            Self::NoCache => "no_cache",
            Self::SetCookie => "set_cookie",
            Self::Vary(_) => "vary",
            Self::Cookie => "cookie",
            Self::NotFresh => "not_fresh",
            Self::NoLength => "no_length",
            Self::TooLarge => "too_large",
        }
    }
}

/// How long a response may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// When the age of the response was zero: before it arrived, if another cache had stored it.
    pub epoch: SystemTime,
    /// The end of the freshness.
    pub fresh_until: SystemTime,
    /// Seconds after `fresh_until` for which the response may be used while it is revalidated.
    pub stale_while_revalidate: u32,
    /// Seconds after `fresh_until` for which the response may be used while the origin fails.
    pub stale_if_error: u32,
}

/// Facts about a request whose response may be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestFacts {
    /// The request has a cookie, and the route treats such requests apart.
    pub with_cookie: bool,
    /// The response is a stored one that a 304 has updated.
    pub revalidated: bool,
    /// Bytes that the content of a response may have.
    pub limit: usize,
    /// Time from sending the request to the origin until the response began.
    pub delay: Duration,
}

impl RequestFacts {
    /// Makes the facts of a request with these fields that has not been sent yet.
    #[must_use]
    pub fn with(fields: &HeaderMap, cookies: CookieResponses, limit: usize) -> Self {
        Self {
            with_cookie: cookies == CookieResponses::Public && fields.contains_key(header::COOKIE),
            revalidated: false,
            limit,
            delay: Duration::ZERO,
        }
    }
}

/// Statuses of responses that are stored: complete ones, permanent redirects, and missing resources.
const STATUSES: [StatusCode; 6] = [
    StatusCode::OK,
    StatusCode::NON_AUTHORITATIVE_INFORMATION,
    StatusCode::MOVED_PERMANENTLY,
    StatusCode::PERMANENT_REDIRECT,
    StatusCode::NOT_FOUND,
    StatusCode::GONE,
];

/// Decides whether a response is stored, and for how long.
///
/// # Errors
///
/// The first reason not to store the response.
pub fn check_storable(
    status: StatusCode,
    fields: &HeaderMap,
    facts: RequestFacts,
    now: SystemTime,
) -> Result<Freshness, NotStorable> {
    if !STATUSES.contains(&status) {
        return Err(NotStorable::Status(status));
    }
    let control = CacheControl::of(fields);
    if let Some(control) = &control {
        if control.no_store {
            return Err(NotStorable::NoStore);
        }
        if control.private {
            return Err(NotStorable::Private);
        }
        if control.no_cache {
            return Err(NotStorable::NoCache);
        }
    }
    if fields.contains_key(header::SET_COOKIE) {
        return Err(NotStorable::SetCookie);
    }
    vary::names(fields)?;
    if facts.with_cookie && !facts.revalidated && !control.is_some_and(|control| control.is_for_everybody()) {
        return Err(NotStorable::Cookie);
    }
    let freshness = freshness(control.unwrap_or_default(), fields, facts.delay, now).ok_or(NotStorable::NotFresh)?;
    match announced(fields) {
        // A stored response has its content already.
        _ if facts.revalidated => {}
        Length::Known(length) if length > facts.limit => return Err(NotStorable::TooLarge),
        Length::Known(_) | Length::Told => {}
        Length::Unknown => return Err(NotStorable::NoLength),
    }
    Ok(freshness)
}

/// Returns whether a response with these fields must not be used stale without validation, even if the origin fails: it
/// has `must-revalidate`, `proxy-revalidate` or `s-maxage` (RFC 9111 sections 5.2.2.2, 5.2.2.8 and 5.2.2.10).
#[must_use]
pub fn must_be_revalidated(fields: &HeaderMap) -> bool {
    CacheControl::of(fields).is_some_and(|control| control.must_be_revalidated())
}

fn freshness(control: CacheControl, fields: &HeaderMap, delay: Duration, now: SystemTime) -> Option<Freshness> {
    let lifetime = match control.lifetime() {
        Some(lifetime) => lifetime,
        None if control.is_targeted => return None,
        None => expires_in(fields, now)?,
    };
    let age = age(fields, delay, now);
    let stale_while_revalidate = control.stale_while_revalidate();
    let stale_if_error = control.stale_if_error();
    let longest_stale = Duration::from_secs(stale_while_revalidate.max(stale_if_error).into());
    if lifetime + longest_stale <= age {
        return None;
    }
    let epoch = now.checked_sub(age)?;
    Some(Freshness {
        epoch,
        // The minimum keeps the sum within the range of the system's time.
        fresh_until: epoch.checked_add(lifetime.min(LONGEST))?,
        stale_while_revalidate,
        stale_if_error,
    })
}

/// The largest lifetime and age, as RFC 9111 section 1.2.2 has it: 2^31 s.
const LONGEST: Duration = Duration::from_secs(1 << 31);

/// Returns the time from `Date`, or `now` without a valid one, to `Expires` (RFC 9111 section 4.2.1); zero if `Expires`
/// is invalid, `None` if it is absent or doubled.
fn expires_in(fields: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let expires = date::read(only(fields, &header::EXPIRES)?).unwrap_or(SystemTime::UNIX_EPOCH);
    let from = only(fields, &header::DATE).and_then(date::read).unwrap_or(now);
    Some(expires.duration_since(from).unwrap_or_default())
}

/// Returns the age of a response on arrival (RFC 9111 section 4.2.3): the time since its `Date`, or its `Age` and the
/// delay, whichever is more.
fn age(fields: &HeaderMap, delay: Duration, now: SystemTime) -> Duration {
    let dates = fields.get_all(header::DATE).iter().map(HeaderValue::as_bytes);
    let since = |date| whole_seconds(now).duration_since(date).ok();
    let apparent = dates.filter_map(date::read).filter_map(since).max().unwrap_or_default();
    (said_age(fields) + delay).max(apparent).min(LONGEST)
}

/// Returns the first member of `Age`; zero if it is no number, whatever follows it (RFC 9111 section 5.1).
fn said_age(fields: &HeaderMap) -> Duration {
    let first = fields.get(header::AGE).map(HeaderValue::as_bytes);
    let first = first.and_then(|line| line.split(|&byte| byte == b',').next());
    let seconds = first.and_then(|age| delta_seconds(age.trim_ascii()));
    Duration::from_secs(seconds.unwrap_or_default().into())
}

/// Cuts a time to whole seconds, as `Date` has no fractions: a response made in the current second has age zero.
fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

enum Length {
    Known(usize),
    /// The transfer coding marks the end of the content.
    Told,
    Unknown,
}

fn announced(fields: &HeaderMap) -> Length {
    if fields.contains_key(header::TRANSFER_ENCODING) {
        return Length::Told;
    }
    let length = fields.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| usize::try_from(length::read(length.as_bytes())?).ok());
    length.map_or(Length::Unknown, Length::Known)
}

/// Returns the Content-Length of a response with these fields; `None` if it is absent, invalid, or overridden by
/// Transfer-Encoding.
#[must_use]
pub fn announced_length(fields: &HeaderMap) -> Option<usize> {
    match announced(fields) {
        Length::Known(length) => Some(length),
        Length::Told | Length::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const ANYBODY: RequestFacts = RequestFacts {
        with_cookie: false,
        revalidated: false,
        limit: 1000,
        delay: Duration::ZERO,
    };
    const VISITOR: RequestFacts = RequestFacts {
        with_cookie: true,
        ..ANYBODY
    };

    fn now() -> SystemTime {
        httpdate::parse_http_date("Wed, 25 Nov 2026 07:00:00 GMT").expect("a date")
    }

    fn storable(
        facts: RequestFacts,
        status: u16,
        list: &[(&'static str, &'static str)],
    ) -> Result<Freshness, NotStorable> {
        let mut fields = HeaderMap::new();
        for (name, value) in list {
            fields.append(*name, HeaderValue::from_static(value));
        }
        if !fields.contains_key("transfer-encoding") {
            fields.insert("content-length", HeaderValue::from_static("10"));
        }
        check_storable(StatusCode::from_u16(status).expect("a status"), &fields, facts, now())
    }

    /// Returns the seconds of freshness from now, of stale use while revalidating, and of stale use while the origin
    /// fails.
    fn seconds(list: &[(&'static str, &'static str)]) -> Option<(u64, u32, u32)> {
        let storable = storable(ANYBODY, 200, list).ok()?;
        let fresh = storable.fresh_until.duration_since(now()).unwrap_or_default().as_secs();
        Some((fresh, storable.stale_while_revalidate, storable.stale_if_error))
    }

    #[test]
    fn only_an_explicit_lifetime_makes_a_response_fresh() {
        let control = |value| seconds(&[("cache-control", value)]);
        assert_eq!(control("max-age=60"), Some((60, 0, 0)));
        assert_eq!(control("max-age=60, s-maxage=10"), Some((10, 0, 0)));
        assert_eq!(control("public"), None);
        assert_eq!(control("max-age=0"), None);
        assert_eq!(control("max-age=soon"), None);
        assert_eq!(control("max-age=0, stale-while-revalidate=5"), Some((0, 5, 0)));
        assert_eq!(control("max-age=60, stale-if-error=7"), Some((60, 0, 7)));
        assert_eq!(
            control("max-age=60, stale-if-error=7, must-revalidate"),
            Some((60, 0, 0))
        );
        assert_eq!(seconds(&[]), None);
        let far = control("max-age=99999999999999999999").expect("stored");
        assert!(far.0 >= 1 << 30, "{far:?}");
    }

    #[test]
    fn expires_counts_from_date_and_gives_way_to_max_age() {
        const SEVEN: (&str, &str) = ("expires", "Wed, 25 Nov 2026 07:01:00 GMT");
        assert_eq!(seconds(&[SEVEN]), Some((60, 0, 0)));
        assert_eq!(
            seconds(&[SEVEN, ("date", "Wed, 25 Nov 2026 07:00:50 GMT")]),
            Some((10, 0, 0))
        );
        assert_eq!(seconds(&[SEVEN, ("cache-control", "max-age=5")]), Some((5, 0, 0)));
        assert_eq!(
            seconds(&[("expires", "wednesday, 25-NOV-26 07:01:00 gmt")]),
            Some((60, 0, 0))
        );
        assert_eq!(seconds(&[("expires", "wed nov 25 07:01:00 2026")]), Some((60, 0, 0)));
        assert_eq!(seconds(&[("expires", "Wed, 25 Nov 2026 07:01:00 CET")]), None);
        assert_eq!(seconds(&[("expires", "0")]), None);
        assert_eq!(seconds(&[SEVEN, SEVEN]), None);
    }

    #[test]
    fn a_response_that_must_be_revalidated_is_never_used_stale() {
        const STALE: &str = "max-age=60, stale-if-error=7, stale-while-revalidate=7";
        for (directive, must) in [
            ("must-revalidate", true),
            ("Proxy-Revalidate", true),
            ("s-maxage=60", true),
            ("public", false),
        ] {
            let mut fields = HeaderMap::new();
            fields.append("cache-control", HeaderValue::from_static(STALE));
            fields.append("cache-control", HeaderValue::from_static(directive));
            fields.append("content-length", HeaderValue::from_static("10"));
            assert_eq!(must_be_revalidated(&fields), must, "{directive}");
            let storable = check_storable(StatusCode::OK, &fields, ANYBODY, now()).expect("stored");
            let expected = if must { 0 } else { 7 };
            let windows = (storable.stale_if_error, storable.stale_while_revalidate);
            assert_eq!(windows, (expected, expected), "{directive}");
        }
        assert!(!must_be_revalidated(&HeaderMap::new()));
    }

    #[test]
    fn a_targeted_field_takes_the_place_of_expires() {
        const SEVEN: (&str, &str) = ("expires", "Wed, 25 Nov 2026 07:01:00 GMT");
        const PRIVATE: (&str, &str) = ("cache-control", "private, no-store");
        let cdn = |value| seconds(&[SEVEN, PRIVATE, ("cdn-cache-control", value)]);
        assert_eq!(cdn("max-age=5"), Some((5, 0, 0)));
        assert_eq!(cdn("public"), None);
        assert_eq!(cdn("not a dictionary"), None);
        const NO_STORE: (&str, &str) = ("cdn-cache-control", "no-store");
        assert_eq!(storable(ANYBODY, 200, &[SEVEN, NO_STORE]), Err(NotStorable::NoStore));
        assert_eq!(seconds(&[PRIVATE, ("surrogate-control", "max-age=5")]), Some((5, 0, 0)));
    }

    #[test]
    fn the_first_member_of_age_shortens_freshness() {
        let aged = |ages: &[&'static str]| {
            let ages = ages.iter().map(|age| ("age", *age));
            let list: Vec<_> = std::iter::once(("cache-control", "max-age=3600")).chain(ages).collect();
            seconds(&list).map(|(fresh, ..)| fresh)
        };
        for (ages, fresh) in [
            (&["50"][..], Some(3550)),
            (&["3600"], None),
            (&["7200, 0"], None),
            (&["7200", "0"], None),
            (&["0", "7200"], Some(3600)),
            (&["10 , 20"], Some(3590)),
            (&["2147483649"], None),
            (&["99999999999999999999999"], None),
            (&["-5"], Some(3600)),
            (&["+50"], Some(3600)),
            (&["50.5"], Some(3600)),
            (&["50s"], Some(3600)),
            (&["\"50\""], Some(3600)),
            (&["soon", "7200"], Some(3600)),
            (&[""], Some(3600)),
            (&[", 7200"], Some(3600)),
        ] {
            assert_eq!(aged(ages), fresh, "{ages:?}");
        }
    }

    #[test]
    fn the_delay_and_the_date_of_the_origin_count_as_age() {
        let aged = |list: &[(&'static str, &'static str)], delay| {
            let facts = RequestFacts {
                delay: Duration::from_secs(delay),
                ..ANYBODY
            };
            let list = [&[("cache-control", "max-age=600")][..], list].concat();
            let storable = storable(facts, 200, &list).ok()?;
            assert_eq!(storable.fresh_until, storable.epoch + Duration::from_secs(600));
            Some(now().duration_since(storable.epoch).expect("no future").as_secs())
        };
        const TEN: (&str, &str) = ("date", "Wed, 25 Nov 2026 06:59:50 GMT");
        assert_eq!(aged(&[], 0), Some(0));
        assert_eq!(aged(&[], 3), Some(3));
        assert_eq!(aged(&[("age", "10")], 3), Some(13));
        assert_eq!(aged(&[TEN], 3), Some(10));
        assert_eq!(aged(&[TEN, ("age", "8")], 3), Some(11));
        assert_eq!(aged(&[("date", "wednesday, 25-nov-26 06:59:50 gmt")], 0), Some(10));
        assert_eq!(aged(&[("date", "Wed Nov 25 06:59:50 2026")], 0), Some(10));
        assert_eq!(aged(&[("date", "Wed, 25 Nov 2026 07:10:00 GMT")], 0), Some(0));
        assert_eq!(aged(&[("date", "Wed, 25 Nov 2026 05:00:00 GMT")], 0), None);
        assert_eq!(aged(&[("date", "yesterday")], 0), Some(0));
        assert_eq!(aged(&[], 600), None);
    }

    #[test]
    fn private_incomplete_and_too_large_responses_are_not_stored() {
        use NotStorable::{Cookie, NoCache, NoLength, NoStore, Private, SetCookie, Status};
        let with = |facts, list: &[(&'static str, &'static str)]| storable(facts, 200, list).err();
        let control = |facts, value| with(facts, &[("cache-control", value)]);
        assert_eq!(control(ANYBODY, "max-age=60, private"), Some(Private));
        assert_eq!(control(ANYBODY, "max-age=60, Private=\"x-user\""), Some(Private));
        assert_eq!(control(ANYBODY, "max-age=60, no-store"), Some(NoStore));
        assert_eq!(control(ANYBODY, "max-age=60, no-cache"), Some(NoCache));
        assert_eq!(control(VISITOR, "max-age=60"), Some(Cookie));
        assert_eq!(control(VISITOR, "max-age=60, public"), None);
        assert_eq!(control(VISITOR, "s-maxage=60"), None);
        const FRESH: (&str, &str) = ("cache-control", "public, max-age=60");
        assert_eq!(with(ANYBODY, &[FRESH, ("set-cookie", "a=b")]), Some(SetCookie));
        assert_eq!(
            with(ANYBODY, &[FRESH, ("vary", "Cookie")]),
            Some(NotStorable::Vary(BadVary::Client))
        );
        for status in [204, 206, 302, 304, 401, 500, 503] {
            let expected = Status(StatusCode::from_u16(status).expect("a status"));
            assert_eq!(storable(ANYBODY, status, &[FRESH]), Err(expected));
        }
        assert_eq!(with(ANYBODY, &[FRESH, ("transfer-encoding", "chunked")]), None);
        let fields = HeaderMap::from_iter([(header::CACHE_CONTROL, HeaderValue::from_static("max-age=60"))]);
        assert_eq!(check_storable(StatusCode::OK, &fields, ANYBODY, now()), Err(NoLength));
        let small = RequestFacts { limit: 9, ..ANYBODY };
        assert_eq!(storable(small, 200, &[FRESH]), Err(NotStorable::TooLarge));
    }

    #[test]
    fn a_revalidated_response_stays_stored_though_the_request_has_a_cookie() {
        let facts = RequestFacts {
            revalidated: true,
            ..VISITOR
        };
        assert!(storable(facts, 200, &[("cache-control", "max-age=60")]).is_ok());
    }
}
