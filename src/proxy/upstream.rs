//! The origin's side: which server is asked, what it is asked, and whether another one is asked after
//! a failure.

use std::{net::IpAddr, sync::Arc, time::Instant};

use http::{HeaderValue, Method, Version, header};
use log::debug;
use pingora::{
    BError, Error, ErrorSource, ErrorType, Result,
    http::{RequestHeader, ResponseHeader},
    protocols::{Digest, http::authority::validate_request_authority},
    upstreams::peer::HttpPeer,
};
use pingora_cache::CachePhase;
use pingora_proxy::Session;

use super::{Context, cache, framing};
use crate::{
    fields::length,
    peer::ResponseLimit,
    upstream::{self, Balance, HashKey, NoServer, PoolPolicy},
};

/// A server of the route's pool that this request has not failed at.
pub(super) async fn peer(session: &Session, context: &mut Context) -> Result<Box<HttpPeer>> {
    let pool = context
        .pool()
        .map(Arc::clone)
        .ok_or_else(|| Error::explain(ErrorType::InternalError, "a route without a pool"))?;
    let request = session.req_header();
    let client = || context.client_address(&request.headers);
    let mut octets = [0; 16];
    let key = hash_key(pool.policy(), request, client, &mut octets);
    let chosen = match pool.choose(key, &context.tried) {
        Err(NoServer::Unresolved) => {
            pool.first_answers().await;
            pool.choose(key, &context.tried)
        }
        chosen => chosen,
    };
    match chosen {
        Ok(chosen) => {
            let peer = if may_switch(session.req_header()) {
                pool.peer_to_switch(chosen.server())
            } else {
                pool.peer(chosen.server())
            };
            let mut peer = peer;
            if let (true, Some(limit)) = (session.cache.enabled(), pool.policy().first_byte_timeout) {
                // Pingora lets an answer that is kept come to its end without its client, and so does not end it
                // when the client's side says that it takes too long.
                let read = peer.options.read_timeout.map_or(limit, |read| read.min(limit));
                peer.options.read_timeout = Some(read);
            }
            context.tries += 1;
            context.tried_since = Instant::now();
            context.server = Some(chosen);
            Ok(Box::new(peer))
        }
        Err(none) => {
            context.failure = Some(format!("upstream {}: {none}", pool.policy().name));
            Err(Error::new(ErrorType::HTTPStatus(503)))
        }
    }
}

/// A connection to the server is there.
pub(super) fn connected(digest: Option<&Digest>, context: &mut Context) {
    let facts = digest.and_then(|digest| digest.proxy_digest.as_deref());
    context.exchange = facts.and_then(upstream::exchange);
    if let Some(exchange) = &context.exchange {
        exchange.begin(context.kept.is_some());
    }
}

/// The response was read to its end, and what is left of the request's content is of no use any more.
pub(super) fn ended(context: &Context) {
    if let Some(exchange) = &context.exchange {
        exchange.end();
    }
}

/// The client has left; the response goes on as long as it is stored, or others read it.
pub(super) fn note_client_left(context: &Context) {
    if let Some(exchange) = &context.exchange {
        exchange.valve().note_client_left();
    }
}

/// Whether a request asks for a WebSocket, the one protocol that Pingora lets it switch to.
fn may_switch(request: &RequestHeader) -> bool {
    request.version == Version::HTTP_11
        && request
            .headers
            .get_all(header::UPGRADE)
            .iter()
            .any(|offer| offer.as_bytes().trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

/// What `Balance::Hash` goes by; empty for the others.
fn hash_key<'k>(
    policy: &PoolPolicy,
    request: &'k RequestHeader,
    client: impl FnOnce() -> Option<IpAddr>,
    octets: &'k mut [u8; 16],
) -> &'k [u8] {
    if policy.balance != Balance::Hash {
        return &[];
    }
    let value = match &policy.hash_key {
        HashKey::Path => {
            return request
                .uri
                .path_and_query()
                .map_or("/", |path| path.as_str())
                .as_bytes();
        }
        HashKey::Header(name) => request.headers.get(name),
        HashKey::ClientAddress => None,
    };
    if let Some(value) = value {
        return value.as_bytes();
    }
    match client() {
        Some(IpAddr::V4(address)) => {
            *octets = address.to_ipv6_mapped().octets();
            octets
        }
        Some(IpAddr::V6(address)) => {
            *octets = address.octets();
            octets
        }
        None => &[],
    }
}

/// The last look before the origin: Pingora checks only requests of its own sessions.
pub(super) fn check_request(session: &mut Session, request: &mut RequestHeader, context: &Context) -> Result<()> {
    if session.downstream_session.is_custom() {
        join_cookies(request)?;
        validate_request_authority(request).map_err(|e| e.into_down())?;
    }
    let limit = context.pool().and_then(|pool| pool.policy().first_byte_timeout);
    if let Some(limit) = limit.filter(|_| !session.cache.enabled()) {
        let answer_limit = ResponseLimit {
            since: Instant::now(),
            limit,
        };
        session
            .downstream_session
            .req_header_mut()
            .extensions_mut()
            .insert(answer_limit);
    }
    Ok(())
}

/// Whether a request's content may be more than an origin reads along with the header.
fn has_large_content(session: &mut Session) -> bool {
    const LARGE: u64 = 16 * 1024;
    if session.is_body_empty() {
        return false;
    }
    let length = session.req_header().headers.get(header::CONTENT_LENGTH);
    length
        .and_then(|length| length::read(length.as_bytes()))
        .is_none_or(|length| length > LARGE)
}

/// The first look at a response of the origin: one that nobody can tell the end of is none.
pub(super) fn check_response(
    session: &mut Session,
    response: &mut ResponseHeader,
    context: &mut Context,
) -> Result<()> {
    if response.version == Version::HTTP_10
        && response.headers.contains_key(header::TRANSFER_ENCODING)
        && let Some(exchange) = &context.exchange
    {
        // HTTP/1.0 knows no chunks: where this response ends is a guess (RFC 9112 section 6.1).
        exchange.retire();
    }
    framing::check(response, may_switch(session.req_header())).map_err(|bad| {
        debug!("{}: an origin's response has {bad}", session.req_header().uri);
        Error::explain(ErrorType::InvalidHTTPHeader, bad.to_string()).into_up()
    })?;
    context.drops_content = framing::has_no_content(response.status);
    if context.drops_content {
        framing::empty(response);
    }
    if (response.status.is_client_error() || response.status.is_server_error())
        && has_large_content(session)
        && let Some(exchange) = &context.exchange
    {
        // It may have left the content unread, all of which is in the system's buffers.
        exchange.retire();
    }
    if !response.status.is_informational()
        && (session.req_header().method == Method::HEAD || framing::is_empty(response))
    {
        ended(context);
    }
    if !context.route().is_some_and(|route| route.alt_svc) {
        response.remove_header(&header::ALT_SVC);
    }
    Ok(())
}

/// HTTP/2 clients may send a cookie in several fields; HTTP/1.1 knows one (RFC 9113 section 8.2.3).
fn join_cookies(request: &mut RequestHeader) -> Result<()> {
    let mut cookies = request.headers.get_all(header::COOKIE).iter();
    if cookies.by_ref().nth(1).is_none() {
        return Ok(());
    }
    let crumbs: Vec<&[u8]> = request
        .headers
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    let cookie = crumbs.join(b"; ".as_slice());
    request.insert_header(header::COOKIE, cookie)
}

/// The origin's final answer begins.
pub(super) fn answered(session: &Session, context: &mut Context) {
    if session.cache.phase() != CachePhase::Stale {
        context.failure = None;
    }
    if let (Some(pool), Some(chosen)) = (context.pool(), &context.server) {
        pool.succeeded(chosen.server());
    }
}

/// A server that cannot be connected to was sent nothing, so any request may go to another one.
pub(super) fn connect_failed(context: &mut Context, mut error: BError) -> BError {
    record_failure(context, &error);
    // What this machine lacks, such as ports, it lacks for the next server as well.
    let is_its_fault = *error.etype() != ErrorType::InternalError;
    error.set_retry(is_its_fault && give_up_on_server(context));
    error
}

/// An attempt failed after the request was begun to be sent.
///
/// Pingora would repeat any idempotent request, but only on a connection that was kept from before.
pub(super) fn attempt_failed(
    session: &mut Session,
    context: &mut Context,
    mut error: BError,
    connection: Connection,
) -> BError {
    error.set_retry(false);
    let is_abandoned = upstream::pace::is_abandoned()
        || session.response_written().is_none()
            && context
                .exchange
                .as_ref()
                .is_some_and(|exchange| exchange.valve().has_client_left());
    if is_abandoned && !context.is_update {
        // Nobody waits any more, and its server has done nothing wrong.
        context.failure = Some("the client left".to_owned());
        return error.into_down();
    }
    if *error.etype() == cache::NOT_VALIDATED {
        // The server has answered, and a request that asks for the whole is sent to it.
        error.set_retry(!context.is_update);
        return error;
    }
    if *error.etype() == ErrorType::Custom(ResponseLimit::PASSED) {
        // It was noticed at the client's side, where Pingora waits for both.
        error = error.into_up();
    }
    if *error.esource() != ErrorSource::Upstream {
        return error;
    }
    let waits_for_answer = session.cache.enabled() && session.response_written().is_none();
    let has_limit = context
        .pool()
        .is_some_and(|pool| pool.policy().first_byte_timeout.is_some());
    if waits_for_answer && has_limit && *error.etype() == ErrorType::ReadTimedout {
        error.etype = ErrorType::Custom(ResponseLimit::PASSED);
    }
    record_failure(context, &error);
    let is_answered = session
        .response_written()
        .is_some_and(|answer| !answer.status.is_informational() || answer.status == 101);
    let body_read = session.downstream_session.body_bytes_read();
    let is_repeatable = !is_answered
        && may_repeat(
            &session.req_header().method,
            body_read,
            session.as_ref().retry_buffer_truncated(),
        )
        && may_try_again(error.etype());
    let was_lost_idle = connection == Connection::Kept && is_loss(error.etype()) && !is_answered;
    // A stream of events, or a tunnel, may be quiet for as long as it likes: that is no failure of its server.
    let is_quiet = is_answered && *error.etype() == ErrorType::ReadTimedout;
    let has_server = if is_quiet {
        false
    } else if was_lost_idle {
        // The server closed it while nobody used it: no failure, and the same one may be asked.
        retries_left(context)
    } else {
        give_up_on_server(context)
    };
    error.set_retry(is_repeatable && has_server);
    if error.retry() {
        cache::repeated(session);
    }
    error
}

/// Where a failed request was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connection {
    /// On one that was kept from an earlier request.
    Kept,
    /// On one of its own.
    New,
}

/// Whether a request of which the origin may have seen something may be sent again: only where that
/// changes nothing (RFC 9110 section 9.2), and the body is still there. PUT and DELETE change nothing
/// more either, but an application may see it otherwise: only while nothing of their body was read.
fn may_repeat(method: &Method, body_read: usize, is_body_lost: bool) -> bool {
    match *method {
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE => !is_body_lost,
        Method::PUT | Method::DELETE => body_read == 0,
        _ => false,
    }
}

/// Whether another server may do better. A request that one was busy with for the whole of
/// `read_timeout` would keep the next one as busy; `first_byte_timeout` is there to set that right.
fn may_try_again(kind: &ErrorType) -> bool {
    is_loss(kind) || *kind == ErrorType::Custom(ResponseLimit::PASSED)
}

/// Whether the connection was lost.
fn is_loss(kind: &ErrorType) -> bool {
    matches!(
        kind,
        ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError
    )
}

/// Counts the failure against the server, which this request does not go to again. Returns whether
/// it may go to another one.
fn give_up_on_server(context: &mut Context) -> bool {
    let Some(pool) = context.pool().map(Arc::clone) else {
        return false;
    };
    if let Some(chosen) = context.server.take() {
        pool.failed(chosen.server(), context.failure.as_deref().unwrap_or("a failure"));
        context.failed_server = Some(chosen.server().address());
        context.tried.push(Arc::clone(chosen.server()));
    }
    retries_left(context) && pool.has_other_than(&context.tried)
}

fn retries_left(context: &Context) -> bool {
    context
        .pool()
        .is_some_and(|pool| context.tries <= pool.policy().max_retries)
}

/// What the access line says if this attempt was the last: which server, what, after how long.
fn record_failure(context: &mut Context, error: &Error) {
    let elapsed = context.tried_since.elapsed();
    let address = context.server.as_ref().map(|chosen| chosen.server().address());
    let address = address.map_or_else(|| "no server".to_owned(), |address| address.to_string());
    let milliseconds = elapsed.as_secs_f64() * 1e3;
    let reason = upstream::reason(error);
    context.failure = Some(format!("{address} after {milliseconds:.1}ms: {reason}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::ServerPolicy;

    #[test]
    fn only_what_changes_nothing_is_repeated() {
        for (method, body_read, is_body_lost, may) in [
            (Method::GET, 0, false, true),
            (Method::GET, 10, false, true),
            (Method::GET, 100_000, true, false),
            (Method::HEAD, 0, false, true),
            (Method::OPTIONS, 0, false, true),
            (Method::TRACE, 0, false, true),
            (Method::PUT, 0, false, true),
            (Method::PUT, 1, false, false),
            (Method::DELETE, 0, false, true),
            (Method::POST, 0, false, false),
            (Method::PATCH, 0, false, false),
            (Method::CONNECT, 0, false, false),
        ] {
            assert_eq!(
                may_repeat(&method, body_read, is_body_lost),
                may,
                "{method} {body_read}"
            );
        }
    }

    #[test]
    fn the_key_is_what_the_policy_says() {
        let mut request = RequestHeader::build("GET", b"/a?b", None).expect("a request");
        request.insert_header("x-user", "42").expect("a header");
        let client: IpAddr = "192.0.2.1".parse().expect("an address");
        let key = |balance, hash_key, client| {
            let policy = PoolPolicy {
                balance,
                hash_key,
                ..PoolPolicy::new(
                    "app",
                    vec![ServerPolicy::from(std::net::SocketAddr::from(([127, 0, 0, 1], 1)))],
                )
            };
            super::hash_key(&policy, &request, || client, &mut [0; 16]).to_vec()
        };
        let address = "::ffff:192.0.2.1"
            .parse::<std::net::Ipv6Addr>()
            .expect("an address")
            .octets();
        assert_eq!(key(Balance::RoundRobin, HashKey::Path, Some(client)), b"");
        assert_eq!(key(Balance::Hash, HashKey::Path, Some(client)), b"/a?b");
        assert_eq!(key(Balance::Hash, HashKey::ClientAddress, Some(client)), address);
        assert_eq!(key(Balance::Hash, HashKey::ClientAddress, None), b"");
        assert_eq!(
            key(
                Balance::Hash,
                HashKey::Header(header::HeaderName::from_static("x-user")),
                Some(client)
            ),
            b"42"
        );
        assert_eq!(
            key(Balance::Hash, HashKey::Header(header::ACCEPT), Some(client)),
            address
        );
    }
}
