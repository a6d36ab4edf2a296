//! One request inside Pingora: the only `impl ProxyHttp`.
//!
//! A file per phase family, in the order of a request's way: `request` (its route, what is known
//! before the origin is asked), `learn` (what its document linked to lately, and links to
//! now), `cache` (what is answered from memory, and what is kept), `cache_status` (what is told of that),
//! `change` (what is forgotten), `part` (what of an answer a client is given), `upstream` (which server), `forwarded`
//! (what it is told of the client), `date` (which one its answer has), `response` (plans from its answer, the judgement of
//! pushed ones), `finish` (errors, the access line), `page` (answers of our own). `memory` answers what needs no Pingora at
//! all.
//!
//! "Downstream" and "upstream" are Pingora's words for client and origin, used only here.

mod cache;
mod cache_status;
mod change;
mod context;
mod date;
mod finish;
mod forwarded;
mod framing;
mod hops;
mod learn;
mod memory;
mod page;
mod part;
mod request;
mod response;
mod upstream;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use pingora::{
    BError, Error, Result,
    http::{RequestHeader, ResponseHeader},
    protocols::Digest,
    upstreams::peer::HttpPeer,
};
use pingora_cache::{CacheKey, CacheMeta, ForcedFreshness, HitHandler, RespCacheable, key::HashBinary};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, RangeType, Session};

pub use context::Context;
pub use framing::{BadFraming, fault};
pub use memory::Memory;

use crate::{
    cache::Store,
    learn::ManifestStore as Manifests,
    push::Unpushable,
    route::Route,
    upstream::{Pool, pace},
};
use cache::Keeper;

/// The edge: what is configured at the moment, and what pushes have taught.
#[derive(Debug)]
pub struct Edge {
    live: Arc<ArcSwap<Live>>,
    bad_answers: Mutex<Unpushable>,
    manifests: Arc<Manifests>,
    keeper: Keeper,
}

/// What a reload replaces as a whole. A request keeps what it began with.
#[derive(Debug)]
pub struct Live {
    /// Routes, each of which names its pool by index.
    pub routes: Vec<Route>,
    /// The pools of the upstreams.
    pub pools: Vec<Arc<Pool>>,
    /// How long clients may take.
    pub timeouts: Timeouts,
}

/// How long an HTTP/1.x client may take; HTTP/2 has its own limits.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For the next bytes of a request.
    pub read: Duration,
    /// To accept the next bytes of a response.
    pub write: Duration,
}

/// URLs with bad pushed answers that are remembered.
const BAD_ANSWERS: usize = 4096;

impl Edge {
    /// An edge that serves what is live at the beginning of each request.
    #[must_use]
    pub fn new(live: Arc<ArcSwap<Live>>, manifests: Arc<Manifests>, store: &'static Store) -> Self {
        Self {
            live,
            bad_answers: Mutex::new(Unpushable::new(BAD_ANSWERS)),
            manifests,
            keeper: Keeper::new(store),
        }
    }
}

#[async_trait]
impl ProxyHttp for Edge {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::new(self.live.load_full())
    }

    /// None of Pingora's modules is used, compression neither.
    fn init_downstream_modules(&self, _modules: &mut pingora::modules::http::HttpModules) {}

    async fn request_filter(&self, session: &mut Session, context: &mut Context) -> Result<bool> {
        request::filter(self, session, context).await
    }

    fn request_cache_filter(&self, session: &mut Session, context: &mut Context) -> Result<()> {
        cache::begin(self, session, context);
        Ok(())
    }

    fn cache_key_callback(&self, session: &Session, context: &mut Context) -> Result<CacheKey> {
        Ok(cache::key(self, session, context))
    }

    async fn cache_hit_filter(
        &self,
        _session: &mut Session,
        meta: &CacheMeta,
        _hit: &mut HitHandler,
        is_fresh: bool,
        context: &mut Context,
    ) -> Result<Option<ForcedFreshness>> {
        Ok(cache::found(self, meta, is_fresh, context))
    }

    fn cache_vary_filter(
        &self,
        meta: &CacheMeta,
        _context: &mut Context,
        request: &RequestHeader,
    ) -> Option<HashBinary> {
        cache::variance(self, meta, request)
    }

    fn cache_not_modified_filter(
        &self,
        session: &Session,
        response: &ResponseHeader,
        _context: &mut Context,
    ) -> Result<bool> {
        Ok(part::is_known(session.req_header(), response))
    }

    fn range_header_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        _context: &mut Context,
    ) -> RangeType {
        part::choose(session.req_header(), response)
    }

    fn should_serve_stale(&self, _session: &mut Session, context: &mut Context, error: Option<&Error>) -> bool {
        cache::may_be_stale(context, error)
    }

    async fn proxy_upstream_filter(&self, session: &mut Session, context: &mut Context) -> Result<bool> {
        cache::may_ask_origin(session, context).await
    }

    async fn upstream_peer(&self, session: &mut Session, context: &mut Context) -> Result<Box<HttpPeer>> {
        upstream::peer(session, context).await
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        _is_kept: bool,
        _peer: &HttpPeer,
        _fd: std::os::unix::io::RawFd,
        digest: Option<&Digest>,
        context: &mut Context,
    ) -> Result<()> {
        upstream::connected(digest, context);
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        context: &mut Context,
    ) -> Result<()> {
        context.attempts += 1;
        upstream::check_request(session, request, context)?;
        forwarded::tell_origin(session, request, context)
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        context: &mut Context,
    ) -> Result<()> {
        upstream::check_response(session, response, context).inspect_err(|_| cache::refused(response, context))?;
        date::once(response);
        cache::answered(session, response, context);
        Ok(())
    }

    fn upstream_response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        is_end: bool,
        context: &mut Context,
    ) -> Result<Option<Duration>> {
        if is_end {
            upstream::ended(context);
        }
        if context.drops_content {
            *body = None;
        }
        cache::count(self, session, body.as_deref(), context)?;
        Ok(None)
    }

    fn response_cache_filter(
        &self,
        session: &Session,
        response: &ResponseHeader,
        context: &mut Context,
    ) -> Result<RespCacheable> {
        let kept = cache::decide(self, session, response, context);
        if kept.is_cacheable() {
            // Others may wait for it, who must not wait for this client.
            pace::release();
        }
        Ok(kept)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        context: &mut Context,
    ) -> Result<()> {
        cache::validated(self, session, response, context)?;
        if !response.status.is_informational() || response.status == StatusCode::SWITCHING_PROTOCOLS {
            upstream::answered(session, context);
            date::keep(session, response);
        }
        hops::cross(session, response);
        response::filter(self, session, response, context)
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        context: &mut Context,
        error: BError,
    ) -> BError {
        upstream::connect_failed(context, error)
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        error: BError,
        context: &mut Context,
        is_kept: bool,
    ) -> BError {
        let connection = if is_kept {
            upstream::Connection::Kept
        } else {
            upstream::Connection::New
        };
        upstream::attempt_failed(session, context, error, connection)
    }

    /// The access line counts the tries, and what ejects a server is said once. Nothing else tells that the client of a
    /// response has left which is stored all the same.
    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        context: &Context,
        _error: &Error,
        at: ProxyWarnLogContext,
    ) -> bool {
        if matches!(at, ProxyWarnLogContext::DownstreamCache) {
            upstream::note_client_left(context);
        }
        true
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, context: &mut Context) -> FailToProxy {
        finish::fail(self, session, error, context).await
    }

    /// The access line says it, once.
    fn suppress_error_log(&self, _session: &Session, _context: &Context, _error: &Error) -> bool {
        true
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, context: &mut Context) {
        if error.is_none() {
            cache::note_success(self, session, context);
        }
        finish::log(session, error, context);
    }
}
