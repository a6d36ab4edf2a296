//! The origin's side: which server is asked, and what it is asked.

use http::{HeaderValue, header};
use pingora::{
    BError, Error, ErrorType, Result, http::RequestHeader, protocols::http::authority::validate_request_authority,
    upstreams::peer::HttpPeer,
};
use pingora_proxy::Session;

use super::Context;

/// The next server of the route's pool.
pub(super) fn peer(context: &Context) -> Result<Box<HttpPeer>> {
    let (pool, address) = context
        .pool()
        .and_then(|pool| Some((pool, pool.next()?)))
        .ok_or_else(|| Error::explain(ErrorType::InternalError, "a route without a server"))?;
    let policy = pool.policy();
    let mut peer = HttpPeer::new(address, false, String::new());
    peer.options.connection_timeout = Some(policy.connect_timeout);
    peer.options.total_connection_timeout = Some(policy.connect_timeout);
    peer.options.read_timeout = Some(policy.read_timeout);
    peer.options.write_timeout = Some(policy.write_timeout);
    peer.options.idle_timeout = Some(policy.idle_timeout);
    Ok(Box::new(peer))
}

/// The last look before the origin: Pingora checks only requests of its own sessions.
pub(super) fn check_request(session: &Session, request: &mut RequestHeader) -> Result<()> {
    if session.downstream_session.is_custom() {
        join_cookies(request)?;
        validate_request_authority(request).map_err(|e| e.into_down())?;
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

/// A server that cannot be connected to was sent nothing, so the next one is tried, once each.
pub(super) fn retry_elsewhere(context: &mut Context, mut error: BError) -> BError {
    context.failed_connects += 1;
    let servers = context.pool().map_or(0, |pool| pool.len());
    error.set_retry(context.failed_connects < servers);
    error
}
