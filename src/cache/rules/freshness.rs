//! Which answers may be kept for others, and for how long (RFC 9111 sections 3 and 4.2).
//!
//! Stricter than the RFC, since nothing is gained by a guess: never without a freshness that the origin
//! states itself, never what was asked for with `Authorization`, nothing with `Set-Cookie`.

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

/// Why an answer is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotStorable {
    /// Its status is none that is kept.
    #[error("status {0}")]
    Status(StatusCode),
    /// `Cache-CacheControl: no-store`.
    #[error("no-store")]
    NoStore,
    /// `Cache-CacheControl: private`, for the whole or for some fields.
    #[error("private")]
    Private,
    /// `Cache-CacheControl: no-cache`: it would have to be asked for each time.
    #[error("no-cache")]
    NoCache,
    /// `Set-Cookie`.
    #[error("set-cookie")]
    SetCookie,
    /// It varies by too much.
    #[error(transparent)]
    Vary(#[from] BadVary),
    /// The request had a cookie, and the answer does not say that it is for everybody.
    #[error("not public, and asked for with a cookie")]
    Cookie,
    /// No max-age, s-maxage or Expires, or they are over.
    #[error("no freshness")]
    NotFresh,
    /// Nothing tells where it ends, so a part could be taken for the whole.
    #[error("no-length")]
    NoLength,
    /// It is longer than the limit for one.
    #[error("too-large")]
    TooLarge,
}

impl NotStorable {
    /// Its name in the access line, in Cache-Status and in explanations.
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

/// How long an answer is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// When its age was zero: before it came here, if it came from another cache.
    pub epoch: SystemTime,
    /// The end of its freshness.
    pub fresh_until: SystemTime,
    /// Seconds that it may be used past that while it is asked for again.
    pub stale_while_revalidate: u32,
    /// Seconds that it may be used past that while the origin fails.
    pub stale_if_error: u32,
}

/// What is known of a request whose answer may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestFacts {
    /// It had a cookie that the route looks at.
    pub with_cookie: bool,
    /// Its answer says that what is kept has not changed.
    pub revalidated: bool,
    /// Bytes that an answer may have.
    pub limit: usize,
    /// From when it was sent to the origin until the answer began to come.
    pub delay: Duration,
}

impl RequestFacts {
    /// Of a request with these fields.
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

/// Statuses that are kept: whole answers, lasting redirects, and that something is gone.
const STATUSES: [StatusCode; 6] = [
    StatusCode::OK,
    StatusCode::NON_AUTHORITATIVE_INFORMATION,
    StatusCode::MOVED_PERMANENTLY,
    StatusCode::PERMANENT_REDIRECT,
    StatusCode::NOT_FOUND,
    StatusCode::GONE,
];

/// Whether an answer is kept, and for how long.
///
/// # Errors
///
/// The first reason not to keep it.
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
        // What is kept has its length already.
        _ if facts.revalidated => {}
        Length::Known(length) if length > facts.limit => return Err(NotStorable::TooLarge),
        Length::Known(_) | Length::Told => {}
        Length::Unknown => return Err(NotStorable::NoLength),
    }
    Ok(freshness)
}

/// Whether an answer with these fields must not be used past its time without the origin's word, whatever fails: `must-revalidate`,
/// and what means the same to a shared cache (RFC 9111 sections 5.2.2.2, 5.2.2.8 and 5.2.2.10).
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
        // A lifetime beyond what the system can tell is as good as any.
        fresh_until: epoch.checked_add(lifetime.min(LONGEST))?,
        stale_while_revalidate,
        stale_if_error,
    })
}

/// More than RFC 9111 section 1.2.2 asks for.
const LONGEST: Duration = Duration::from_secs(1 << 31);

/// From `Date` to `Expires` (RFC 9111 section 4.2.1): by the origin's clock where it tells it. One that cannot be read is
/// over.
fn expires_in(fields: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let expires = date::read(only(fields, &header::EXPIRES)?).unwrap_or(SystemTime::UNIX_EPOCH);
    let from = only(fields, &header::DATE).and_then(date::read).unwrap_or(now);
    Some(expires.duration_since(from).unwrap_or_default())
}

/// How old the answer was when it came (RFC 9111 section 4.2.3): as its `Date` tells, or as another cache does and the way
/// from there took, whichever is more.
fn age(fields: &HeaderMap, delay: Duration, now: SystemTime) -> Duration {
    let dates = fields.get_all(header::DATE).iter().map(HeaderValue::as_bytes);
    let since = |date| whole_seconds(now).duration_since(date).ok();
    let apparent = dates.filter_map(date::read).filter_map(since).max().unwrap_or_default();
    (said_age(fields) + delay).max(apparent).min(LONGEST)
}

/// The first member of `Age`, whatever follows it. One that is no number is ignored, and so are those behind it (RFC 9111
/// section 5.1): `Date` still tells how old the answer is.
fn said_age(fields: &HeaderMap) -> Duration {
    let first = fields.get(header::AGE).map(HeaderValue::as_bytes);
    let first = first.and_then(|line| line.split(|&byte| byte == b',').next());
    let seconds = first.and_then(|age| delta_seconds(age.trim_ascii()));
    Duration::from_secs(seconds.unwrap_or_default().into())
}

/// `Date` has no fractions: an answer of this very second is not older than it.
fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

enum Length {
    Known(usize),
    /// Chunks tell the end.
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

/// Bytes of content that these fields of a response announce.
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

    /// Seconds of freshness from now, and of each kind of stale use.
    fn seconds(list: &[(&'static str, &'static str)]) -> Option<(u64, u32, u32)> {
        let storable = storable(ANYBODY, 200, list).ok()?;
        let fresh = storable.fresh_until.duration_since(now()).unwrap_or_default().as_secs();
        Some((fresh, storable.stale_while_revalidate, storable.stale_if_error))
    }

    #[test]
    fn freshness_is_what_the_origin_states() {
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
        let far = control("max-age=99999999999999999999").expect("kept");
        assert!(far.0 >= 1 << 30, "{far:?}");
    }

    #[test]
    fn expires_counts_from_date_and_not_if_max_age_is_there() {
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
    fn what_must_be_revalidated_is_never_used_past_its_time() {
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
            let storable = check_storable(StatusCode::OK, &fields, ANYBODY, now()).expect("kept");
            let expected = if must { 0 } else { 7 };
            let windows = (storable.stale_if_error, storable.stale_while_revalidate);
            assert_eq!(windows, (expected, expected), "{directive}");
        }
        assert!(!must_be_revalidated(&HeaderMap::new()));
    }

    #[test]
    fn a_field_for_this_cache_takes_the_place_of_expires() {
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
    fn age_elsewhere_counts() {
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
    fn the_way_from_the_origin_and_its_date_count() {
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
    fn nothing_that_is_somebodys_own_is_kept() {
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
    fn an_unchanged_answer_stays_whoever_asked() {
        let facts = RequestFacts {
            revalidated: true,
            ..VISITOR
        };
        assert!(storable(facts, 200, &[("cache-control", "max-age=60")]).is_ok());
    }
}
