//! Which requests are answered from memory, and which answers are kept: what Pingora's cache asks of us.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use http::{HeaderValue, Method, StatusCode, header};
use pingora::{
    Error, ErrorSource, Result,
    http::{RequestHeader, ResponseHeader},
};
use pingora_cache::{
    CacheKey, CacheMeta, CacheOptionOverrides, CachePhase, ForcedFreshness, NoCacheReason,
    RespCacheable::{self, Cacheable, Uncacheable},
    key::HashBinary,
    lock::CacheKeyLockImpl,
};
use pingora_proxy::Session;

use super::{Context, Edge, hops, page, request::Url};
use crate::{
    cache::{self, Asked, Lock, NotKept, Store, Unkept, UrlHash, WithCookie, url_text},
    client::forwarded::ask_for_another,
    push::{self, Credentials, Mention},
    route::{Caching, Route, StatusField},
};

/// The store with what Pingora wants beside it.
pub(super) struct Keeper {
    pub(super) store: &'static Store,
    unkept: &'static Unkept,
    lock: &'static CacheKeyLockImpl,
}

/// For how long others wait for one request, whatever their routes say: then one of them asks the origin.
const LONGEST_LOCK: Duration = Duration::from_secs(60);

impl Keeper {
    /// Made once for a server: Pingora's cache holds its parts for as long as the process lives.
    pub(super) fn new(store: &'static Store) -> Self {
        Self {
            store,
            unkept: Box::leak(Box::new(Unkept::new(store))),
            lock: Box::leak(Box::new(Lock::new(store, LONGEST_LOCK))),
        }
    }
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// What one request has to do with the cache.
#[derive(Debug)]
pub(super) struct Kept {
    url: UrlHash,
    asked: Asked,
    /// `Date` of the answer that nothing has changed.
    date: Option<HeaderValue>,
}

/// Decides whether this request has to do with the cache at all.
pub(super) fn begin(edge: &Edge, session: &mut Session, context: &mut Context) {
    let Some(policy) = context.route().map(|route| route.cache) else {
        return;
    };
    if policy.caching == Caching::Off || !may_be_kept(session.req_header()) || !session.is_body_empty() {
        return;
    }
    let request = session.req_header();
    let store = edge.keeper.store;
    let url = Url::of(request, context);
    let hash = store.hasher().url(url.scheme, url.authority, url.path_and_query);
    if context.pushed_by.is_some() {
        // Whatever is pushed is an asset.
        store.assets().note(hash);
    } else if policy.caching == Caching::Assets && !store.assets().contains(hash) {
        return;
    }
    let Some(hash) = as_told(store, hash, request, context) else {
        return;
    };
    if asks_for_less(request) && !store.has(hash) {
        // To keep the whole, all of it would have to be fetched.
        return;
    }
    let limit = store.object_limit();
    context.kept = Some(Box::new(Kept {
        url: hash,
        asked: Asked::with(&request.headers, policy.cookies, limit),
        date: None,
    }));
    let mut waiting = CacheOptionOverrides::default();
    waiting.wait_timeout = Some(policy.wait);
    let Keeper { unkept, lock, .. } = edge.keeper;
    session
        .cache
        .enable(store, None, Some(unkept), Some(lock), Some(waiting));
}

/// The hash of a URL with what a trusted peer says of it; of a promise, what it said of its document.
fn as_told(store: &Store, hash: UrlHash, request: &RequestHeader, context: &Context) -> Option<UrlHash> {
    if let Some(received) = &context.received {
        return store.hasher().as_told(hash, received.fields());
    }
    match &context.connection {
        Some(connection) if connection.peer.is_trusted => store.hasher().as_told(hash, &request.headers),
        _ => Some(hash),
    }
}

/// Whether an answer to a request like this could be one for others, or be one that is kept for others.
pub(super) fn may_be_kept(request: &RequestHeader) -> bool {
    (request.method == Method::GET || request.method == Method::HEAD) && fields_allow(&request.headers)
}

/// The same for its fields: no credentials, no condition that only the origin can judge, and nothing by which an
/// application may answer for another URL or method. A wish that nothing be kept is no more heeded than one that
/// nothing kept be used: such wishes are advice (RFC 9111 section 5.2.1), and would let any client ask the origin at will.
pub(super) fn fields_allow(fields: &http::HeaderMap) -> bool {
    const ORIGINS_OWN: [header::HeaderName; 4] = [
        header::AUTHORIZATION,
        header::IF_MATCH,
        header::IF_UNMODIFIED_SINCE,
        header::UPGRADE,
    ];
    !fields.keys().any(|name| ORIGINS_OWN.contains(name)) && !ask_for_another(fields)
}

/// Whether a part of the answer, or its header alone, is wanted.
fn asks_for_less(request: &RequestHeader) -> bool {
    request.method == Method::HEAD || request.headers.contains_key(header::RANGE)
}

fn has_directive(fields: &http::HeaderMap, directive: &str) -> bool {
    let values = fields.get_all(header::CACHE_CONTROL).iter();
    values
        .flat_map(|value| value.as_bytes().split(|&b| b == b','))
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(directive.as_bytes()))
}

/// The key of a request that has to do with the cache.
pub(super) fn key(edge: &Edge, session: &Session, context: &Context) -> CacheKey {
    let request = session.req_header();
    let store = edge.keeper.store;
    let url = Url::of(request, context);
    let hash = match &context.kept {
        Some(kept) => kept.url,
        None => store.hasher().url(url.scheme, url.authority, url.path_and_query),
    };
    let text = url_text(url.scheme, url.authority, url.path_and_query);
    let upstream = context.pool().map_or("", |pool| &pool.policy().name);
    let mut key = cache::cache_key(store, hash, text, upstream);
    if context.kept.as_ref().is_some_and(|kept| kept.asked.with_cookie) {
        key.extensions.insert(WithCookie);
    }
    key
}

/// An answer was found. What may not be pushed is asked for again, so that it is judged, and its promise
/// is cancelled.
pub(super) fn found(meta: &CacheMeta, context: &Context) -> Option<ForcedFreshness> {
    context.pushed_by?;
    let credentials = context
        .route()
        .map_or(Credentials::Omit, |route| route.push.credentials);
    let response = meta.response_header();
    let judged = push::judge(response.status, &response.headers, credentials);
    judged.is_err().then_some(ForcedFreshness::ForceMiss)
}

/// Looks at the origin's header before it is kept.
pub(super) fn answered(session: &Session, response: &ResponseHeader, context: &mut Context) {
    let Some(kept) = &mut context.kept else { return };
    if response.status.is_informational() || !session.cache.enabled() {
        return;
    }
    kept.asked.revalidated = response.status == StatusCode::NOT_MODIFIED && session.cache.maybe_cache_meta().is_some();
    kept.date = response
        .headers
        .get(header::DATE)
        .filter(|_| kept.asked.revalidated)
        .cloned();
}

/// Whether the origin's answer is kept, and as what.
pub(super) fn keep(response: &ResponseHeader, context: &Context) -> RespCacheable {
    let Some(kept) = &context.kept else {
        return Uncacheable(NoCacheReason::InternalError);
    };
    let now = SystemTime::now();
    let received = || HeaderValue::try_from(httpdate::fmt_http_date(now)).ok();
    let mut header = Cow::Borrowed(response);
    if kept.asked.revalidated && !insert_date(header.to_mut(), kept.date.clone().or_else(received)) {
        return Uncacheable(NoCacheReason::InternalError);
    }
    let asked = Asked {
        delay: context.tried_since.elapsed(),
        ..kept.asked
    };
    let freshness = match cache::keep(header.status, &header.headers, asked, now) {
        Ok(freshness) => freshness,
        Err(NotKept::TooLarge) => return Uncacheable(NoCacheReason::ResponseTooLarge),
        // The next request may have more luck, and others may wait for it.
        Err(NotKept::Status(status)) if status.is_server_error() => {
            return Uncacheable(NoCacheReason::UpstreamError);
        }
        Err(why) => return Uncacheable(NoCacheReason::Custom(why.label())),
    };
    let mut header = header.into_owned();
    hops::strip(&mut header);
    if !header.headers.contains_key(header::DATE) && !insert_date(&mut header, received()) {
        return Uncacheable(NoCacheReason::InternalError);
    }
    let mut meta = CacheMeta::new(
        freshness.fresh_until,
        now,
        freshness.stale_while_revalidate,
        freshness.stale_if_error,
        header,
    );
    if freshness.epoch != now {
        meta.set_epoch_override(freshness.epoch);
    }
    Cacheable(meta)
}

/// Says when an answer was made, or found unchanged: when it came, if the origin does not say it (RFC 9110 section 6.6.1).
fn insert_date(header: &mut ResponseHeader, date: Option<HeaderValue>) -> bool {
    date.is_some_and(|date| header.insert_header(header::DATE, date).is_ok())
}

/// What a request has in the fields that an answer varies by.
pub(super) fn variance(edge: &Edge, meta: &CacheMeta, request: &RequestHeader) -> Option<HashBinary> {
    edge.keeper.store.variance(meta.headers(), &request.headers)
}

/// Whether an answer may be used past its time, which Pingora has found to allow it: while it is asked for
/// again, or because that failed.
pub(super) fn may_be_stale(context: &Context, error: Option<&Error>) -> bool {
    !context.is_update && error.is_none_or(|error| *error.esource() != ErrorSource::Downstream)
}

/// Answers 504 to who wants what is kept or nothing (RFC 9111 section 5.2.1.7). `false` ends the request.
pub(super) async fn may_ask_origin(session: &mut Session, context: &mut Context) -> Result<bool> {
    if !session.cache.enabled() || !has_directive(&session.req_header().headers, "only-if-cached") {
        return Ok(true);
    }
    context.failure = Some("only-if-cached".to_owned());
    page::answer(session, 504).await?;
    Ok(false)
}

/// A request that is to be repeated must not go on with what was begun to be kept of its first answer.
pub(super) fn repeated(session: &mut Session) {
    let was_begun = matches!(session.cache.phase(), CachePhase::Miss | CachePhase::Expired)
        && session.cache.miss_handler().is_some();
    if was_begun {
        session.cache.disable(NoCacheReason::UpstreamError);
    }
}

/// What these Link fields of a document preload are assets. What they mention is asked for where they are new.
pub(super) fn note_links<'f, 'm>(
    edge: &Edge,
    request: &RequestHeader,
    context: &Context,
    fields: impl Iterator<Item = &'f [u8]>,
    mentions: impl FnOnce() -> &'m [Mention<'m>],
) {
    let Some(route) = context.route() else { return };
    if route.cache.caching == Caching::Off {
        return;
    }
    let url = Url::of(request, context);
    let document = (url.scheme, url.authority, url.path_and_query);
    let store = edge.keeper.store;
    store
        .assets()
        .note_links(store.hasher(), document, &route.push, fields, mentions);
}

/// A full answer that may not be kept ends the one that was found and is no longer fresh: what the origin says last
/// counts (RFC 9111 section 4.3.3). That the origin fails says nothing of what is kept.
pub(super) fn note_end(edge: &Edge, session: &Session, kept: &RespCacheable, context: &Context) {
    let Uncacheable(why) = kept else { return };
    let says_nothing = matches!(why, NoCacheReason::UpstreamError | NoCacheReason::InternalError);
    if says_nothing || session.cache.maybe_cache_meta().is_none() {
        return;
    }
    forget(edge, session.req_header(), context);
}

/// Forgets what is kept of the URL of a request.
fn forget(edge: &Edge, request: &RequestHeader, context: &Context) {
    let url = Url::of(request, context);
    let store = edge.keeper.store;
    let hash = store.hasher().url(url.scheme, url.authority, url.path_and_query);
    let hash = as_told(store, hash, request, context).unwrap_or(hash);
    store.forget(hash, &url_text(url.scheme, url.authority, url.path_and_query));
}

/// An answer to a request that changes something ends what is kept of its URL (RFC 9111 section 4.4).
pub(super) fn note_change(edge: &Edge, request: &RequestHeader, response: &ResponseHeader, context: &Context) {
    if request.method.is_safe() || !(response.status.is_success() || response.status.is_redirection()) {
        return;
    }
    if context.route().is_some_and(|route| route.cache.caching != Caching::Off) {
        forget(edge, request, context);
    }
}

/// How the cache took part in an answer: for the access line and `Cache-Status`.
pub(super) fn outcome(session: &Session) -> Option<&'static str> {
    Some(match session.cache.phase() {
        CachePhase::Hit => "hit",
        CachePhase::Stale | CachePhase::StaleUpdating => "stale",
        CachePhase::Revalidated | CachePhase::RevalidatedNoCache(_) => "revalidated",
        CachePhase::Expired => "expired",
        CachePhase::Miss => "miss",
        CachePhase::Bypass => "pass",
        CachePhase::Disabled(reason) if reason != NoCacheReason::NeverEnabled => "pass",
        CachePhase::Disabled(_) | CachePhase::Uninit | CachePhase::CacheKey => return None,
    })
}

/// The fields of an answer that tell how it came out of the cache.
///
/// # Errors
///
/// None that a response could cause.
pub(super) fn tell(session: &Session, response: &mut ResponseHeader, route: &Route) -> Result<()> {
    let meta = match session.cache.phase() {
        CachePhase::Disabled(_) | CachePhase::Bypass | CachePhase::Uninit | CachePhase::CacheKey => None,
        _ => session.cache.maybe_cache_meta(),
    };
    if let (CachePhase::Revalidated | CachePhase::RevalidatedNoCache(_), Some(meta)) = (session.cache.phase(), meta) {
        // That of its first answer, if that came from another cache.
        if response.headers.contains_key(header::AGE) {
            response.insert_header(header::AGE, meta.age().as_secs())?;
        }
    }
    if route.cache.status == StatusField::On {
        let now = SystemTime::now();
        let ttl = meta.map_or(0, |meta| match meta.fresh_until().duration_since(now) {
            Ok(left) => i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            Err(over) => -i64::try_from(over.duration().as_secs()).unwrap_or(i64::MAX),
        });
        response.append_header(CACHE_STATUS, cache_status(session, ttl))?;
    }
    Ok(())
}

pub(super) const CACHE_STATUS: header::HeaderName = header::HeaderName::from_static("cache-status");

/// Our member of `Cache-Status` (RFC 9211 section 2).
fn cache_status(session: &Session, ttl: i64) -> String {
    match session.cache.phase() {
        CachePhase::Hit => hit_status(ttl),
        CachePhase::StaleUpdating => format!("linkpush; hit; ttl={ttl}; detail=updating"),
        CachePhase::Stale => format!("linkpush; fwd=stale; ttl={ttl}; detail=error"),
        CachePhase::Revalidated | CachePhase::RevalidatedNoCache(_) => {
            format!("linkpush; fwd=stale; fwd-status=304; ttl={ttl}")
        }
        CachePhase::Expired => format!("linkpush; fwd=stale; stored; ttl={ttl}"),
        CachePhase::Miss => format!("linkpush; fwd=miss; stored; ttl={ttl}"),
        CachePhase::Disabled(NoCacheReason::Custom(why)) => format!("linkpush; fwd=miss; detail={why}"),
        CachePhase::Disabled(reason) if reason != NoCacheReason::NeverEnabled => "linkpush; fwd=miss".to_owned(),
        _ if !session.req_header().method.is_safe() => "linkpush; fwd=method".to_owned(),
        _ => "linkpush; fwd=bypass".to_owned(),
    }
}

/// The same of an answer from memory that is fresh for some seconds more.
pub(super) fn hit_status(ttl: i64) -> String {
    format!("linkpush; hit; ttl={ttl}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::CookieAnswers;

    fn request(method: &str, fields: &[(&'static str, &'static str)]) -> RequestHeader {
        let mut request = RequestHeader::build(method, b"/a", None).expect("a request");
        for (name, value) in fields {
            request.append_header(*name, *value).expect("a field");
        }
        request
    }

    #[test]
    fn only_what_anybody_may_ask_has_to_do_with_the_cache() {
        let may = |method: &str, fields: &[(&'static str, &'static str)]| may_be_kept(&request(method, fields));
        assert!(may("GET", &[]));
        assert!(may("HEAD", &[("if-none-match", "\"a\""), ("cookie", "a=b")]));
        assert!(may("GET", &[("cache-control", "no-cache, max-age=0")]));
        assert!(may("GET", &[("cache-control", "no-store")]));
        for method in ["POST", "OPTIONS", "PURGE"] {
            assert!(!may(method, &[]), "{method}");
        }
        for (name, value) in [
            ("authorization", "Basic x"),
            ("if-match", "\"a\""),
            ("if-unmodified-since", "x"),
            ("upgrade", "websocket"),
            ("x-original-url", "/admin"),
            ("x_original_url", "/admin"),
            ("x-http-host-override", "evil.example"),
            ("x-http-method-override", "PUT"),
        ] {
            assert!(!may("GET", &[(name, value)]), "{name}");
        }
    }

    #[test]
    fn an_answer_that_may_not_be_kept_says_why() {
        let live = super::super::Live {
            routes: Vec::new(),
            pools: Vec::new(),
            timeouts: super::super::Timeouts {
                read: Duration::ZERO,
                write: Duration::ZERO,
            },
        };
        let mut context = Context::new(std::sync::Arc::new(live));
        let mut response = ResponseHeader::build(200, None).expect("a header");
        response.insert_header("content-length", "3").expect("a field");
        let reason = |response: &ResponseHeader, context: &Context| match keep(response, context) {
            Uncacheable(reason) => Some(reason),
            Cacheable(_) => None,
        };
        assert_eq!(reason(&response, &context), Some(NoCacheReason::InternalError));
        context.kept = Some(Box::new(Kept {
            url: UrlHash::from_bytes([0; 16]),
            asked: Asked::with(&http::HeaderMap::new(), CookieAnswers::Public, 10),
            date: None,
        }));
        assert_eq!(reason(&response, &context), Some(NoCacheReason::Custom("not-fresh")));
        response.insert_header("cache-control", "max-age=60").expect("a field");
        assert_eq!(reason(&response, &context), None);
        response.insert_header("content-length", "11").expect("a field");
        assert_eq!(reason(&response, &context), Some(NoCacheReason::ResponseTooLarge));
        response.set_status(503).expect("a status");
        assert_eq!(reason(&response, &context), Some(NoCacheReason::UpstreamError));
    }
}
