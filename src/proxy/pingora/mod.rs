//! Drives a request through Pingora: the only `impl ProxyHttp`.
//!
//! It takes out of Pingora's session what a rule is to know, calls the rule, and puts the outcome back. `session` (what
//! is taken), `cache` and `origin` (what Pingora's cache and an attempt at an origin are moved by), `part` (ranges),
//! `respond` (responses of our own), `error` (Pingora's errors).

mod cache;
mod error;
mod origin;
mod part;
mod respond;
mod session;

use std::time::Duration;

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

use super::{
    edge::Edge,
    exchange::Exchange,
    rules::{
        attempt,
        cache::{request, storing},
        finish::{self, Sent},
        head::{
            date,
            hops::{self, BodyEnd},
        },
        learning, response,
        route::{self, BegunRequest},
        trace,
    },
};
use crate::upstream::{self, pace::release};

#[async_trait]
impl ProxyHttp for Edge {
    type CTX = Exchange;

    fn new_ctx(&self) -> Exchange {
        let mut exchange = Exchange::new(self.snapshot.load_full());
        exchange.running = Some(self.running.begin());
        exchange
    }

    /// Adds none of Pingora's modules, compression neither.
    fn init_downstream_modules(&self, _modules: &mut pingora::modules::http::HttpModules) {}

    async fn request_filter(&self, session: &mut Session, exchange: &mut Exchange) -> Result<bool> {
        session::take_facts(session, exchange);
        trace::begin(session.req_header(), exchange);
        if session.downstream_session.as_http1().is_some() {
            let timeouts = exchange.snapshot.timeouts;
            let http1 = &mut session.downstream_session;
            http1.set_read_timeout(Some(timeouts.read));
            http1.set_write_timeout(Some(timeouts.write));
            // Some HTTP/1.x clients take a 103 for the final response; an awaited 100 still passes.
            http1.set_ignore_info_resp(true);
        }
        match route::begin(self, session.req_header(), exchange)? {
            BegunRequest::Routed(plan) if plan.is_empty() => return Ok(false),
            BegunRequest::Routed(plan) => {
                respond::deliver(session, plan).await?;
                return Ok(false);
            }
            BegunRequest::AsksServer => respond::abilities(session).await?,
            BegunRequest::NoRoute => respond::page(session, StatusCode::NOT_FOUND, exchange).await?,
            BegunRequest::Loop => respond::page(session, StatusCode::LOOP_DETECTED, exchange).await?,
        }
        Ok(true)
    }

    fn request_cache_filter(&self, session: &mut Session, exchange: &mut Exchange) -> Result<()> {
        cache::begin(self, session, exchange);
        Ok(())
    }

    fn cache_key_callback(&self, session: &Session, exchange: &mut Exchange) -> Result<CacheKey> {
        Ok(request::key(self, session.req_header(), exchange))
    }

    async fn cache_hit_filter(
        &self,
        _session: &mut Session,
        meta: &CacheMeta,
        _hit: &mut HitHandler,
        is_fresh: bool,
        exchange: &mut Exchange,
    ) -> Result<Option<ForcedFreshness>> {
        Ok(request::found(self, meta, is_fresh, exchange))
    }

    fn cache_vary_filter(
        &self,
        meta: &CacheMeta,
        _exchange: &mut Exchange,
        request: &RequestHeader,
    ) -> Option<HashBinary> {
        request::variance(self, meta, request)
    }

    fn cache_not_modified_filter(
        &self,
        session: &Session,
        response: &ResponseHeader,
        _exchange: &mut Exchange,
    ) -> Result<bool> {
        Ok(part::is_known(session.req_header(), response))
    }

    fn range_header_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        _exchange: &mut Exchange,
    ) -> RangeType {
        part::choose(session.req_header(), response)
    }

    fn should_serve_stale(&self, _session: &mut Session, exchange: &mut Exchange, error: Option<&Error>) -> bool {
        request::may_be_stale(exchange, error.map(|error| error::failure(error).side))
    }

    async fn proxy_upstream_filter(&self, session: &mut Session, exchange: &mut Exchange) -> Result<bool> {
        if request::wants_stored_only(session.req_header(), exchange) {
            respond::page(session, StatusCode::GATEWAY_TIMEOUT, exchange).await?;
            return Ok(false);
        }
        Ok(true)
    }

    async fn upstream_peer(&self, session: &mut Session, exchange: &mut Exchange) -> Result<Box<HttpPeer>> {
        origin::peer(session, exchange).await
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        was_reused: bool,
        _peer: &HttpPeer,
        _fd: std::os::unix::io::RawFd,
        digest: Option<&Digest>,
        exchange: &mut Exchange,
    ) -> Result<()> {
        let facts = digest.and_then(|digest| digest.proxy_digest.as_deref());
        attempt::connected(facts.and_then(upstream::exchange), was_reused.into(), exchange);
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        origin::send(session, request, exchange)
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        origin::check(session, response, exchange).inspect_err(|_| storing::refused(response.status, exchange))?;
        attempt::responded(response.status, exchange);
        date::once(response);
        storing::note_head(&session::cache(session), response, exchange);
        Ok(())
    }

    fn upstream_response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        is_end: bool,
        exchange: &mut Exchange,
    ) -> Result<Option<Duration>> {
        if is_end {
            attempt::ended(exchange);
        }
        if exchange.drops_content {
            *body = None;
        }
        cache::count(self, session, body.as_ref().map_or(0, Bytes::len), exchange)?;
        Ok(None)
    }

    fn response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        is_end: bool,
        exchange: &mut Exchange,
    ) -> Result<Option<Duration>> {
        learning::read(self, session.req_header(), body.as_deref(), is_end, exchange);
        Ok(None)
    }

    fn response_cache_filter(
        &self,
        session: &Session,
        response: &ResponseHeader,
        exchange: &mut Exchange,
    ) -> Result<RespCacheable> {
        let decided = storing::decide(self, &session::cache(session), session.req_header(), response, exchange);
        if decided.is_cacheable() {
            // Others may wait for it, who must not wait for this client.
            release();
        }
        Ok(decided)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        cache::validated(self, session, response, exchange)?;
        if !response.status.is_informational() || response.status == StatusCode::SWITCHING_PROTOCOLS {
            attempt::succeeded(session.cache.phase(), exchange);
            respond::keep_date(session, response);
            trace::tell_client(response, exchange);
        }
        if hops::cross(response, session.req_header().version) == BodyEnd::OfConnection {
            session.set_keepalive(None);
        }
        let cache = session::cache(session);
        if let Some(plan) = response::filter(self, &cache, session.req_header(), response, exchange)? {
            respond::attach(plan, response);
        }
        Ok(())
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        exchange: &mut Exchange,
        error: BError,
    ) -> BError {
        origin::connect_failed(exchange, error)
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        error: BError,
        exchange: &mut Exchange,
        was_reused: bool,
    ) -> BError {
        origin::attempt_failed(session, exchange, error, was_reused)
    }

    /// Suppresses every warning: the access line counts the tries, and the failure that ejects a server is logged once.
    /// Nothing else tells that the client has left whose response is stored all the same.
    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        exchange: &Exchange,
        _error: &Error,
        at: ProxyWarnLogContext,
    ) -> bool {
        if matches!(at, ProxyWarnLogContext::DownstreamCache) {
            attempt::note_client_left(exchange);
        }
        true
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, exchange: &mut Exchange) -> FailToProxy {
        respond::fail(self, session, error, exchange).await
    }

    /// Suppresses the log line of an error, which the access line tells.
    fn suppress_error_log(&self, _session: &Session, _exchange: &Exchange, _error: &Error) -> bool {
        true
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, exchange: &mut Exchange) {
        if error.is_none() {
            // Not each way of a response tells the filter of content that it has ended.
            learning::read(self, session.req_header(), None, true, exchange);
            storing::note_success(self, session.cache.phase(), exchange);
        }
        let sent = Sent {
            status: session.response_written().map(|response| response.status),
            bytes: session.body_bytes_sent(),
        };
        let cache = session::cache(session);
        finish::count(&cache, session.req_header(), &sent, exchange);
        if !finish::is_logged(exchange) {
            return;
        }
        let failure = error.map(|error| (error::failure(error), error::words(error)));
        finish::log(&cache, session.req_header(), &sent, failure, exchange);
    }
}
