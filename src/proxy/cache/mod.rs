//! Which requests are answered from memory: what Pingora's cache asks before the origin is asked. What it asks of the origin's
//! answer is in [`storing`].

mod storing;

use std::time::{Duration, Instant, SystemTime};

use http::header;
use pingora::{Error, ErrorSource, Result, http::RequestHeader};
use pingora_cache::{
    CacheKey, CacheMeta, CacheOptionOverrides, ForcedFreshness, key::HashBinary, lock::CacheKeyLockImpl,
};
use pingora_proxy::Session;

pub(super) use storing::{
    NOBODY_READS, NOT_VALIDATED, answered, count, decide, note_failure, note_success, refused, repeated, validated,
};

use self::storing::Said;
use super::{Context, Edge, page, request::Url};
use crate::{
    cache::{self, Lock, Passed, RequestFacts, Retries, Store, Uncacheable, UrlHash, WithCookie, url_text},
    push::{self, Credentials, Mention},
    route::Caching,
};

/// The store with what Pingora wants beside it.
pub(super) struct Keeper {
    pub(super) store: &'static Store,
    pub(super) retries: Retries,
    unkept: &'static Uncacheable,
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
            unkept: Box::leak(Box::new(Uncacheable::new(store))),
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
    asked: RequestFacts,
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
        asked: RequestFacts::with(&request.headers, policy.cookies, limit),
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
        if push::check_pushable(response.status, &response.headers, credentials).is_err() {
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
