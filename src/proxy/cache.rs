//! Which requests are answered from memory, and which answers are kept: what Pingora's cache asks of us.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use http::{StatusCode, header};
use pingora::{
    Error, ErrorSource, ErrorType, Result,
    http::{RequestHeader, ResponseHeader},
};
use pingora_cache::{
    CacheKey, CacheMeta, CacheOptionOverrides, CachePhase, ForcedFreshness, NoCacheReason,
    RespCacheable::{self, Cacheable, Uncacheable},
    key::HashBinary,
    lock::CacheKeyLockImpl,
};
use pingora_proxy::Session;

use super::{Context, Edge, change, hops, page, request::Url};
use crate::{
    cache::{
        self, Asked, Lock, NotKept, OtherAnswer, Passed, Retries, Source, Store, Unkept, Update, UrlHash, WithCookie,
        url_text,
    },
    push::{self, Credentials, Mention},
    route::Caching,
};

/// The store with what Pingora wants beside it.
pub(super) struct Keeper {
    pub(super) store: &'static Store,
    pub(super) retries: Retries,
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
            retries: Retries::default(),
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
    pub(super) url: UrlHash,
    asked: Asked,
    found: Found,
    said: Said,
    /// The origin failed to renew the answer.
    has_failed: bool,
    /// Bytes of content that have come from the origin.
    received: usize,
}

/// The answer that was found for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// None.
    Nothing,
    /// One that is used, or asked for again.
    Usable,
    /// One past its time, which needs the origin's word before it is used.
    MustBeRevalidated,
    /// One past its time, which is used: the origin failed to renew it lately, and is not asked yet.
    Paused,
}

/// What the origin says of the answer that was found.
#[derive(Debug)]
enum Said {
    /// Nothing yet, or another answer.
    Nothing,
    /// A 304.
    Unchanged(Update),
    /// A 304 about another answer.
    Other(OtherAnswer),
    /// A 304 that nobody can tell the end of.
    Bad,
}

/// A 304 that is not about the answer in memory; the proxy knows errors by this name.
pub(super) const NOT_VALIDATED: ErrorType = ErrorType::Custom("NotValidated");

/// Decides whether this request has to do with the cache at all.
pub(super) fn begin(edge: &Edge, session: &mut Session, context: &mut Context) {
    let Some(policy) = context.route().map(|route| route.cache) else {
        return;
    };
    if policy.caching == Caching::Off {
        return;
    }
    let hash = match part_in(edge, session, policy.caching, context) {
        Ok(hash) => hash,
        Err(passed) => {
            context.passed = Some(passed);
            return;
        }
    };
    let request = session.req_header();
    let store = edge.keeper.store;
    let limit = store.object_limit();
    context.kept = Some(Box::new(Kept {
        url: hash,
        asked: Asked::with(&request.headers, policy.cookies, limit),
        found: Found::Nothing,
        said: Said::Nothing,
        has_failed: false,
        received: 0,
    }));
    // What is stored comes as fast as the origin gives it, and goes out as fast as the client takes it.
    session.set_proxy_tasks_enabled(true);
    let mut waiting = CacheOptionOverrides::default();
    waiting.wait_timeout = Some(policy.wait);
    let Keeper { unkept, lock, .. } = &edge.keeper;
    session
        .cache
        .enable(store, None, Some(*unkept), Some(*lock), Some(waiting));
}

/// The hash of the URL of a request that has to do with the cache.
fn part_in(edge: &Edge, session: &mut Session, caching: Caching, context: &Context) -> Result<UrlHash, Passed> {
    let request = session.req_header();
    Passed::check(&request.method, &request.headers)?;
    if !session.is_body_empty() {
        return Err(Passed::Content);
    }
    let request = session.req_header();
    let store = edge.keeper.store;
    let url = Url::of(request, context);
    let hash = store.hasher().url(url.scheme, url.authority, url.path_and_query);
    if context.pushed_by.is_some() {
        // Whatever is pushed is an asset.
        store.assets().note(hash);
    } else if caching == Caching::Assets && !store.assets().contains(hash) {
        return Err(Passed::NoAsset);
    }
    let hash = as_told(store, hash, request, context).ok_or(Passed::Peer)?;
    if cache::asks_for_less(&request.method, &request.headers) && !store.has(hash) {
        return Err(Passed::Part);
    }
    Ok(hash)
}

/// The hash of a URL with what a trusted peer says of it; of a promise, what it said of its document.
pub(super) fn as_told(store: &Store, hash: UrlHash, request: &RequestHeader, context: &Context) -> Option<UrlHash> {
    if let Some(received) = &context.received {
        return store.hasher().as_told(hash, received.fields());
    }
    match &context.connection {
        Some(connection) if connection.peer.is_trusted => store.hasher().as_told(hash, &request.headers),
        _ => Some(hash),
    }
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
/// is cancelled. What could be renewed in the background is used as it is while the origin has failed to do so lately.
pub(super) fn found(edge: &Edge, meta: &CacheMeta, is_fresh: bool, context: &mut Context) -> Option<ForcedFreshness> {
    let may_be_paused = !is_fresh && !context.is_update && meta.serve_stale_while_revalidate(SystemTime::now());
    if let Some(kept) = &mut context.kept {
        kept.found = if !is_fresh && cache::must_be_revalidated(meta.headers()) {
            Found::MustBeRevalidated
        } else if may_be_paused && edge.keeper.retries.is_paused(kept.url, Instant::now()) {
            Found::Paused
        } else {
            Found::Usable
        };
    }
    if context.pushed_by.is_some() {
        let credentials = context
            .route()
            .map_or(Credentials::Omit, |route| route.push.credentials);
        let response = meta.response_header();
        if push::judge(response.status, &response.headers, credentials).is_err() {
            return Some(ForcedFreshness::ForceMiss);
        }
    }
    context.is_paused().then_some(ForcedFreshness::ForceFresh)
}

impl Context {
    fn has_found(&self, what: Found) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.found == what)
    }

    /// Whether the answer that was found is used past its time without asking the origin, which failed to renew it lately.
    pub(super) fn is_paused(&self) -> bool {
        self.has_found(Found::Paused)
    }

    /// Whether a failure of the origin leaves nothing to answer with but that there is no origin (RFC 9111 section 5.2.2.2).
    pub(super) fn is_cut_off(&self) -> bool {
        self.has_found(Found::MustBeRevalidated)
    }
}

/// Looks at the origin's header before it is kept.
pub(super) fn answered(session: &Session, response: &ResponseHeader, context: &mut Context) {
    let Some(kept) = &mut context.kept else { return };
    if response.status.is_informational() || !session.cache.enabled() {
        return;
    }
    kept.said = Said::Nothing;
    if let (StatusCode::NOT_MODIFIED, Some(meta)) = (response.status, session.cache.maybe_cache_meta()) {
        let mut said = response.clone();
        hops::strip(&mut said);
        kept.said = match Update::of(meta.headers(), said.headers.clone()) {
            Ok(update) => Said::Unchanged(update),
            Err(other) => Said::Other(other),
        };
    }
    kept.asked.revalidated = matches!(kept.said, Said::Unchanged(_));
}

/// The origin's header is refused. Pingora goes on with the answer that was found if it was a 304.
pub(super) fn refused(response: &ResponseHeader, context: &mut Context) {
    if let (StatusCode::NOT_MODIFIED, Some(kept)) = (response.status, &mut context.kept) {
        kept.said = Said::Bad;
    }
}

/// Decides whether the origin's answer is kept, and as what; what it says of the answer that was found is done.
pub(super) fn decide(
    edge: &Edge,
    session: &Session,
    response: &ResponseHeader,
    context: &mut Context,
) -> RespCacheable {
    let found = session.cache.maybe_cache_meta().map(CacheMeta::response_header);
    let mut decided = admit(edge, session, keep(response, found, context), context);
    if let (Cacheable(meta), true) = (&mut decided, found.is_some()) {
        let variance = variance(edge, meta, session.req_header());
        cache::revalidated(meta, variance);
    }
    if response.status.is_server_error() {
        note_failure(edge, context);
    }
    if let (Uncacheable(why), Some(kept)) = (&decided, &context.kept) {
        let says_nothing = matches!(why, NoCacheReason::UpstreamError | NoCacheReason::InternalError);
        let is_other = matches!(kept.said, Said::Other(_));
        if is_other || !says_nothing && kept.found != Found::Nothing {
            // The origin's last word counts (RFC 9111 section 4.3.3). That it fails says nothing of what is kept.
            change::forget(edge, session.req_header(), context);
            edge.keeper.retries.succeeded(kept.url);
        }
    }
    decided
}

/// Whether the origin's answer is kept, and as what. A 304 is kept with the content of the answer that was found, and with
/// its fields.
fn keep(response: &ResponseHeader, found: Option<&ResponseHeader>, context: &Context) -> RespCacheable {
    let Some(kept) = &context.kept else {
        return Uncacheable(NoCacheReason::InternalError);
    };
    let now = SystemTime::now();
    let mut header = match (&kept.said, found) {
        (Said::Nothing, _) => response.clone(),
        (Said::Unchanged(update), Some(found)) => {
            let mut header = found.clone();
            update.apply(&mut header, now);
            header
        }
        _ => return Uncacheable(NoCacheReason::UpstreamError),
    };
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
    hops::strip(&mut header);
    let is_dated = header.headers.contains_key(header::DATE)
        || header.insert_header(header::DATE, httpdate::fmt_http_date(now)).is_ok();
    if !is_dated {
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

/// Room for what is to be kept, and where it comes from. Without room it is not kept this time: it passes.
fn admit(edge: &Edge, session: &Session, kept: RespCacheable, context: &Context) -> RespCacheable {
    let mut meta = match kept {
        Cacheable(meta)
            if context
                .kept
                .as_ref()
                .is_some_and(|kept| matches!(kept.said, Said::Nothing)) =>
        {
            meta
        }
        other => return other,
    };
    let length = cache::announced_length(meta.headers());
    let was_too_large = session.cache.predicted_uncacheable_reason() == Some(NoCacheReason::ResponseTooLarge);
    if length.is_none() && was_too_large && session.cache.bypassing() {
        return Uncacheable(NoCacheReason::ResponseTooLarge);
    }
    let reserved = match length.map(|length| edge.keeper.store.reserve(length)) {
        Some(None) => return Uncacheable(NoCacheReason::Custom(cache::NO_ROOM)),
        Some(reserved) => reserved.map(Arc::new),
        None => None,
    };
    meta.extensions_mut().insert(Source {
        valve: context.exchange.as_ref().map(|exchange| Arc::clone(exchange.valve())),
        reserved,
    });
    Cacheable(meta)
}

/// Nobody reads what comes, and nothing keeps it; the proxy knows errors by this name.
pub(super) const NOBODY_READS: ErrorType = ErrorType::Custom("NobodyReads");

/// Counts content of an answer that is to be kept. What turns out to be too large ends what was kept before, and is not
/// waited for next time.
///
/// # Errors
///
/// [`NOBODY_READS`]: it is an update in the background that is not kept, or all who read have left.
pub(super) fn count(edge: &Edge, session: &Session, content: Option<&[u8]>, context: &mut Context) -> Result<()> {
    let is_update = context.is_update;
    let Some(kept) = &mut context.kept else { return Ok(()) };
    let is_given_up = session.cache.phase() == CachePhase::Disabled(NoCacheReason::StorageError);
    if is_given_up || is_update && !session.cache.enabled() {
        return Error::e_explain(NOBODY_READS, "an answer that is not kept");
    }
    if !session.cache.enabled() {
        return Ok(());
    }
    let before = kept.received;
    kept.received += content.map_or(0, <[u8]>::len);
    let limit = kept.asked.limit;
    if before <= limit && kept.received > limit {
        session
            .cache
            .response_became_uncacheable(NoCacheReason::ResponseTooLarge);
        if kept.found != Found::Nothing {
            change::forget(edge, session.req_header(), context);
        }
        if is_update && let Some(exchange) = &context.exchange {
            // It has no client; others may have begun to read it.
            exchange.valve().note_client_left();
        }
    }
    Ok(())
}

/// After a 304, Pingora answers with what was found. Sees to it that what was not validated is not used, and that what may
/// not be kept any more has the fields of the 304 nevertheless.
///
/// # Errors
///
/// The 304 validates nothing. It was about another answer if the error is [`NOT_VALIDATED`]: the request is then to be
/// repeated, and asks for the whole.
pub(super) fn validated(
    edge: &Edge,
    session: &mut Session,
    response: &mut ResponseHeader,
    context: &mut Context,
) -> Result<()> {
    let Some(kept) = &mut context.kept else { return Ok(()) };
    if !matches!(session.cache.phase(), CachePhase::RevalidatedNoCache(_)) {
        return Ok(());
    }
    match std::mem::replace(&mut kept.said, Said::Nothing) {
        Said::Nothing => Ok(()),
        Said::Unchanged(update) => {
            update.apply(response, SystemTime::now());
            Ok(())
        }
        Said::Bad => Err(Error::explain(ErrorType::InvalidHTTPHeader, "a 304 without a clear end").into_up()),
        Said::Other(other) => {
            if !context.is_update {
                kept.found = Found::Nothing;
                let store = edge.keeper.store;
                session.cache.disable(NoCacheReason::UpstreamError);
                session.cache.enable(store, None, Some(edge.keeper.unkept), None, None);
                session.cache.set_cache_key(key(edge, session, context));
                session.cache.cache_miss();
            }
            Err(Error::explain(NOT_VALIDATED, other.to_string()).into_up())
        }
    }
}

/// The origin failed. If what is in memory was to be renewed, it is not asked again for a while.
pub(super) fn note_failure(edge: &Edge, context: &mut Context) {
    let is_update = context.is_update;
    if let Some(kept) = context.kept.as_mut().filter(|kept| is_update && !kept.has_failed) {
        kept.has_failed = true;
        edge.keeper.retries.failed(kept.url, Instant::now());
    }
}

/// A request has come to its good end.
pub(super) fn note_success(edge: &Edge, session: &Session, context: &Context) {
    let is_renewed = matches!(
        session.cache.phase(),
        CachePhase::Miss | CachePhase::Expired | CachePhase::Revalidated
    );
    if let Some(kept) = context.kept.as_ref().filter(|_| is_renewed) {
        edge.keeper.retries.succeeded(kept.url);
    }
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
    // It says nothing to a route that keeps nothing, nor of a method whose answers nobody keeps.
    let has_part = context.kept.is_some() || context.passed.is_some_and(|passed| passed != Passed::Method);
    if context.is_update || !has_part || !has_directive(&session.req_header().headers, "only-if-cached") {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::CookieAnswers;

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
        let mut context = Context::new(Arc::new(live));
        let mut response = ResponseHeader::build(200, None).expect("a header");
        response.insert_header("content-length", "3").expect("a field");
        let reason = |response: &ResponseHeader, context: &Context| match keep(response, None, context) {
            Uncacheable(reason) => Some(reason),
            Cacheable(_) => None,
        };
        assert_eq!(reason(&response, &context), Some(NoCacheReason::InternalError));
        context.kept = Some(Box::new(Kept {
            url: UrlHash::from_bytes([0; 16]),
            asked: Asked::with(&http::HeaderMap::new(), CookieAnswers::Public, 10),
            found: Found::Nothing,
            said: Said::Nothing,
            has_failed: false,
            received: 0,
        }));
        assert_eq!(reason(&response, &context), Some(NoCacheReason::Custom("not_fresh")));
        response.insert_header("cache-control", "max-age=60").expect("a field");
        assert_eq!(reason(&response, &context), None);
        response.insert_header("content-length", "11").expect("a field");
        assert_eq!(reason(&response, &context), Some(NoCacheReason::ResponseTooLarge));
        response.set_status(503).expect("a status");
        assert_eq!(reason(&response, &context), Some(NoCacheReason::UpstreamError));
    }
}
