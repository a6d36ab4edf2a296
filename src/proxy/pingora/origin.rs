//! Moves an attempt: the peer that Pingora connects to, the request that it sends, and the error that an attempt ends
//! with.

use std::{io, sync::Arc, time::Instant};

use pingora::{
    BError, ErrorType, Result,
    http::{RequestHeader, ResponseHeader},
    protocols::http::authority::validate_request_authority,
    upstreams::peer::HttpPeer,
};
use pingora_proxy::Session;

use super::{cache, error};
use crate::{
    peer::ResponseLimit,
    proxy::{
        exchange::Exchange,
        rules::{
            attempt::{self, Progress, RetryVerdict},
            failure::FailureKind,
            forwarded, response, trace,
        },
    },
    telemetry::exhausted,
    upstream::{self, OriginFailure, OriginServer, Pool},
};

/// Returns a server of the route's pool at which this request has not failed, as Pingora is to connect to it.
pub(super) async fn peer(session: &Session, exchange: &mut Exchange) -> Result<Box<HttpPeer>> {
    let request = session.req_header();
    let is_cached = session.cache.enabled();
    let connect = |pool: &Pool, server: &Arc<OriginServer>| {
        let mut peer = if attempt::may_switch(request) {
            pool.peer_to_switch(server)
        } else {
            pool.peer(server)
        };
        if let (true, Some(limit)) = (is_cached, pool.policy().first_byte_timeout) {
            // Pingora lets a response that is stored come to its end without its client, and so does not end it when
            // the client's side says that it takes too long.
            let read = peer.options.read_timeout.map_or(limit, |read| read.min(limit));
            peer.options.read_timeout = Some(read);
        }
        Box::new(peer)
    };
    Ok(attempt::choose(request, exchange, connect).await?)
}

/// Prepares a request that is sent. Pingora checks only requests of its own sessions, so those of ours are checked
/// here.
pub(super) fn send(session: &mut Session, to_origin: &mut RequestHeader, exchange: &mut Exchange) -> Result<()> {
    let limit = attempt::sent(exchange);
    if session.downstream_session.is_custom() {
        forwarded::join_cookies(to_origin);
        validate_request_authority(to_origin).map_err(|e| e.into_down())?;
    }
    if let Some(limit) = limit.filter(|_| !session.cache.enabled()) {
        let since = Instant::now();
        let extensions = session.downstream_session.req_header_mut().extensions_mut();
        extensions.insert::<ResponseLimit>(ResponseLimit { since, limit });
    }
    forwarded::tell_origin(session.req_header(), to_origin, exchange);
    trace::tell_origin(to_origin, exchange);
    Ok(())
}

/// Checks the head of a response before anything else sees it.
pub(super) fn check(session: &mut Session, response: &mut ResponseHeader, exchange: &mut Exchange) -> Result<()> {
    // Built for errors alone: other responses have no use for it.
    let has_content = response::is_error(response.status) && !session.is_body_empty();
    Ok(response::check(session.req_header(), has_content, response, exchange)?)
}

/// Says whether Pingora is to try another server after a failure to connect.
pub(super) fn connect_failed(exchange: &mut Exchange, mut error: BError) -> BError {
    let cause = error.root_cause().downcast_ref::<io::Error>();
    if cause.is_some_and(exhausted::is_exhausted) {
        exhausted::warn_exhausted("no connection to an origin can be made");
        // A lack of this machine: no server is to blame.
        error.etype = ErrorType::InternalError;
    }
    let kind = error::failure(&error).kind;
    let may_retry = attempt::connect_failed(kind, (OriginFailure::of(&error), &upstream::reason(&error)), exchange);
    error.set_retry(may_retry);
    error
}

/// Says whether Pingora is to send a request again after an attempt has failed, and makes the error that of its cause.
pub(super) fn attempt_failed(
    session: &mut Session,
    exchange: &mut Exchange,
    mut error: BError,
    was_reused: bool,
) -> BError {
    error.set_retry(false);
    let progress = Progress {
        written: session.response_written().map(|response| response.status),
        body_read: session.downstream_session.body_bytes_read(),
        is_body_lost: session.as_ref().retry_buffer_truncated(),
        was_reused,
        is_cached: session.cache.enabled(),
        is_abandoned: upstream::pace::is_abandoned(),
    };
    match attempt::judge(error::failure(&error), &progress, exchange) {
        RetryVerdict::Abandoned => return error.into_down(),
        RetryVerdict::AskForWhole => error.set_retry(true),
        RetryVerdict::NotOrigins => {}
        RetryVerdict::Origins(kind) => {
            error.as_up();
            if kind == FailureKind::FirstByteTimeout {
                error::say_late(&mut error);
            }
            let method = &session.req_header().method;
            let reason = upstream::reason(&error);
            let failure = (OriginFailure::of(&error), &*reason);
            if attempt::failed(method, kind, failure, &progress, exchange) {
                error.set_retry(true);
                cache::repeated(session);
            }
        }
    }
    error
}
