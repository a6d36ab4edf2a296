//! Chooses the server of an attempt, and decides whether another one is asked after a failure.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{Method, StatusCode, Version, header, request::Parts};
use pingora_cache::CachePhase;

use super::{
    failure::{FailureKind, FailureSide, RequestFailure, RuleRefusal},
    trace,
};
use crate::{
    proxy::exchange::Exchange,
    telemetry::{access, log::AccessField},
    upstream::{self, Balance, HashKey, NoServer, OriginConnection, OriginFailure, OriginServer, Pool, PoolPolicy},
};

/// Chooses a server of the route's pool at which this request has not failed. Returns how to `connect` to it.
///
/// # Errors
///
/// [`RuleRefusal::NoServer`]: there is none.
pub(in crate::proxy) async fn choose<P>(
    request: &Parts,
    exchange: &mut Exchange,
    connect: impl FnOnce(&Pool, &Arc<OriginServer>) -> P,
) -> Result<P, RuleRefusal> {
    let pool = exchange.pool().map(Arc::clone).ok_or(RuleRefusal::NoPool)?;
    let client = || exchange.client_address(&request.headers);
    let mut octets = [0; 16];
    let key = hash_key(pool.policy(), request, client, &mut octets);
    let chosen = match pool.choose(key, &exchange.tried) {
        Err(NoServer::Unresolved) => {
            pool.first_answers().await;
            pool.choose(key, &exchange.tried)
        }
        chosen => chosen,
    };
    match chosen {
        Ok(chosen) => {
            let peer = connect(&pool, chosen.server());
            exchange.tries += 1;
            exchange.tried_since = Instant::now();
            trace::attempt_begins(chosen.server().address(), exchange);
            exchange.server = Some(chosen);
            Ok(peer)
        }
        Err(none) => {
            pool.meter().failures.increment(OriginFailure::NoServer);
            exchange.failure = Some(format!("upstream {}: {none}", pool.policy().name));
            Err(none.into())
        }
    }
}

/// Returns what `Balance::Hash` goes by; empty for the others.
fn hash_key<'k>(
    policy: &PoolPolicy,
    request: &'k Parts,
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

/// Notes the connection to the server.
pub(in crate::proxy) fn connected(
    origin: Option<Arc<upstream::OriginExchange>>,
    kind: OriginConnection,
    exchange: &mut Exchange,
) {
    if let Some(pool) = exchange.pool() {
        pool.meter().connections.increment(kind);
    }
    exchange.origin = origin;
    if let Some(origin) = &exchange.origin {
        origin.begin(exchange.storing.is_some());
    }
}

/// Notes that a request is being sent. Returns how long the response may take to begin.
pub(in crate::proxy) fn sent(exchange: &mut Exchange) -> Option<Duration> {
    exchange.attempts += 1;
    exchange.pool()?.policy().first_byte_timeout
}

/// Notes that a response has begun to come from the server: the time to a final one is counted.
pub(in crate::proxy) fn responded(status: StatusCode, exchange: &Exchange) {
    if (!status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS)
        && let Some(pool) = exchange.pool()
    {
        pool.meter().first_byte.observe(exchange.tried_since.elapsed());
    }
}

/// Notes that the response was read to its end: what is left of the request's content is of no use any more.
pub(in crate::proxy) fn ended(exchange: &Exchange) {
    if let Some(origin) = &exchange.origin {
        origin.end();
    }
}

/// Notes that the client has left. The response goes on as long as it is stored, or others read it.
pub(in crate::proxy) fn note_client_left(exchange: &Exchange) {
    if let Some(origin) = &exchange.origin {
        origin.valve().note_client_left();
    }
}

/// Returns whether a request asks for a WebSocket, the one protocol to which Pingora lets it switch.
pub(in crate::proxy) fn may_switch(request: &Parts) -> bool {
    request.version == Version::HTTP_11
        && request
            .headers
            .get_all(header::UPGRADE)
            .iter()
            .any(|offer| offer.as_bytes().trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

/// Notes that a final response begins, so its server works. A stale one, which has no server any more, leaves the
/// failure to the access line.
pub(in crate::proxy) fn succeeded(cache: CachePhase, exchange: &mut Exchange) {
    if cache != CachePhase::Stale {
        exchange.failure = None;
    }
    if let (Some(pool), Some(chosen)) = (exchange.pool(), &exchange.server) {
        pool.succeeded(chosen.server());
        if access::fields().has(AccessField::OriginTime) {
            exchange.origin_time = Some(exchange.tried_since.elapsed());
        }
        trace::attempt_responds(exchange);
    }
}

/// Notes that a server cannot be connected to, for this reason. Returns whether another one is to be asked: the server
/// was sent nothing, so any request may go to another one.
pub(in crate::proxy) fn connect_failed(
    kind: FailureKind,
    (failure, reason): (OriginFailure, &str),
    exchange: &mut Exchange,
) -> bool {
    exchange.count_origin_failure(failure);
    record_failure(reason, exchange);
    // A lack of this machine, such as one of ports, is there for the next server as well.
    kind != FailureKind::Internal && give_up_on_server(exchange)
}

/// The progress that an attempt had made when it failed.
#[derive(Debug, Clone, Copy)]
pub(in crate::proxy) struct Progress {
    /// Status of the response, interim ones included, that was last written to the client.
    pub(in crate::proxy) written: Option<StatusCode>,
    /// Bytes of the request's content that were read.
    pub(in crate::proxy) body_read: usize,
    /// `true` if some of those bytes are not there any more.
    pub(in crate::proxy) is_body_lost: bool,
    /// `true` if the request was sent on a connection that an earlier one had left.
    pub(in crate::proxy) was_reused: bool,
    /// `true` if the cache has a part in the request.
    pub(in crate::proxy) is_cached: bool,
    /// `true` if the client was seen to leave before the response began.
    pub(in crate::proxy) is_abandoned: bool,
}

impl Progress {
    /// Returns whether a final response has begun.
    fn has_response(&self) -> bool {
        self.written
            .is_some_and(|status| !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS)
    }
}

/// The consequence of a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum RetryVerdict {
    /// Nobody waits any more, and the server has done nothing wrong.
    Abandoned,
    /// The server has responded, and a request that asks for the whole is sent to it.
    AskForWhole,
    /// The error is not the origin's.
    NotOrigins,
    /// The error is the origin's, and of this kind.
    Origins(FailureKind),
}

/// Judges the failure of an attempt that had begun to send its request.
pub(in crate::proxy) fn judge(failure: RequestFailure, progress: &Progress, exchange: &mut Exchange) -> RetryVerdict {
    let has_left = || {
        let origin = exchange.origin.as_ref();
        progress.written.is_none() && origin.is_some_and(|origin| origin.valve().has_client_left())
    };
    if !exchange.is_update && (progress.is_abandoned || has_left()) {
        exchange.failure = Some("the client left".to_owned());
        return RetryVerdict::Abandoned;
    }
    match failure.kind {
        FailureKind::NotValidated if exchange.is_update => RetryVerdict::NotOrigins,
        FailureKind::NotValidated => RetryVerdict::AskForWhole,
        // It was noticed at the client's side, where Pingora waits for both.
        FailureKind::FirstByteTimeout => RetryVerdict::Origins(FailureKind::FirstByteTimeout),
        _ if failure.side != FailureSide::Origin => RetryVerdict::NotOrigins,
        FailureKind::ReadTimeout if progress.is_cached && progress.written.is_none() && has_limit(exchange) => {
            RetryVerdict::Origins(FailureKind::FirstByteTimeout)
        }
        kind => RetryVerdict::Origins(kind),
    }
}

/// Returns whether the pool has a limit for the beginning of a response.
fn has_limit(exchange: &Exchange) -> bool {
    let pool = exchange.pool();
    pool.is_some_and(|pool| pool.policy().first_byte_timeout.is_some())
}

/// Notes that an attempt failed at its server, for this reason. Returns whether the request is sent again.
///
/// Pingora would repeat any idempotent request, but only on a connection that an earlier request had left.
pub(in crate::proxy) fn failed(
    method: &Method,
    kind: FailureKind,
    (failure, reason): (OriginFailure, &str),
    progress: &Progress,
    exchange: &mut Exchange,
) -> bool {
    record_failure(reason, exchange);
    let has_response = progress.has_response();
    let is_repeatable =
        !has_response && may_repeat(method, progress.body_read, progress.is_body_lost) && may_try_again(kind);
    let was_lost_idle = progress.was_reused && kind.is_loss() && !has_response;
    // A stream of events, or a tunnel, may be quiet for as long as it likes: that is no failure of its server.
    let is_quiet = has_response && kind == FailureKind::ReadTimeout;
    if !is_quiet && !was_lost_idle {
        exchange.count_origin_failure(failure);
    }
    let has_server = if is_quiet {
        false
    } else if was_lost_idle {
        // The server closed it while nobody used it: no failure, and this server may be asked again.
        retries_left(exchange)
    } else {
        give_up_on_server(exchange)
    };
    is_repeatable && has_server
}

/// Returns whether a request of which the origin may have seen something may be sent again: only where that changes
/// nothing (RFC 9110 section 9.2), and the content is still there. PUT and DELETE change nothing more either, but an
/// application may see it otherwise: only while nothing of their content was read.
fn may_repeat(method: &Method, body_read: usize, is_body_lost: bool) -> bool {
    match *method {
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE => !is_body_lost,
        Method::PUT | Method::DELETE => body_read == 0,
        _ => false,
    }
}

/// Returns whether another server may do better. A request that made one busy for the whole of `read_timeout` would
/// make the next one as busy; `first_byte_timeout` is there to set that right.
const fn may_try_again(kind: FailureKind) -> bool {
    kind.is_loss() || matches!(kind, FailureKind::FirstByteTimeout)
}

/// Counts the failure against the server, to which this request is not sent again. Returns whether it may go to another
/// one.
fn give_up_on_server(exchange: &mut Exchange) -> bool {
    let Some(pool) = exchange.pool().map(Arc::clone) else {
        return false;
    };
    if let Some(chosen) = exchange.server.take() {
        pool.failed(chosen.server(), exchange.failure.as_deref().unwrap_or("a failure"));
        exchange.failed_server = Some(chosen.server().address());
        exchange.tried.push(Arc::clone(chosen.server()));
    }
    retries_left(exchange) && pool.has_other_than(&exchange.tried)
}

fn retries_left(exchange: &Exchange) -> bool {
    let pool = exchange.pool();
    pool.is_some_and(|pool| exchange.tries <= pool.policy().max_retries)
}

/// Writes what the access line says if this attempt was the last: which server, why, after how long.
fn record_failure(reason: &str, exchange: &mut Exchange) {
    let elapsed = exchange.tried_since.elapsed();
    let address = exchange.server.as_ref().map(|chosen| chosen.server().address());
    let address = address.map_or_else(|| "no server".to_owned(), |address| address.to_string());
    let milliseconds = elapsed.as_secs_f64() * 1e3;
    let failure = format!("{address} after {milliseconds:.1}ms: {reason}");
    if access::fields().has(AccessField::Failures) {
        exchange.failures.push(failure.clone());
    }
    trace::attempt_fails(reason, exchange);
    exchange.failure = Some(failure);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{proxy::ProxySnapshot, upstream::ServerPolicy};

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
        let request = http::Request::get("/a?b").header("x-user", "42").body(());
        let (request, ()) = request.expect("a request").into_parts();
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

    const AT_FIRST: Progress = Progress {
        written: None,
        body_read: 0,
        is_body_lost: false,
        was_reused: false,
        is_cached: false,
        is_abandoned: false,
    };

    fn exchange() -> Exchange {
        Exchange::new(Arc::new(ProxySnapshot::empty()))
    }

    #[test]
    fn a_failure_is_judged_by_whose_it_is() {
        let abandoned = Progress {
            is_abandoned: true,
            ..AT_FIRST
        };
        let cached = Progress {
            is_cached: true,
            ..AT_FIRST
        };
        use FailureKind::{Closed, FirstByteTimeout, NotValidated, ReadTimeout};
        use FailureSide::{Client, Origin, Own};
        use RetryVerdict::{Abandoned, AskForWhole, NotOrigins, Origins};
        for (side, kind, progress, is_update, expected) in [
            (Origin, Closed, AT_FIRST, false, Origins(Closed)),
            (Origin, Closed, abandoned, false, Abandoned),
            (Origin, Closed, abandoned, true, Origins(Closed)),
            (Client, Closed, AT_FIRST, false, NotOrigins),
            (Own, Closed, AT_FIRST, false, NotOrigins),
            (Client, FirstByteTimeout, AT_FIRST, false, Origins(FirstByteTimeout)),
            (Origin, NotValidated, AT_FIRST, false, AskForWhole),
            (Origin, NotValidated, AT_FIRST, true, NotOrigins),
            (Origin, ReadTimeout, AT_FIRST, false, Origins(ReadTimeout)),
            // Its pool has no limit for the first byte.
            (Origin, ReadTimeout, cached, false, Origins(ReadTimeout)),
        ] {
            let mut exchange = exchange();
            exchange.is_update = is_update;
            let verdict = judge(RequestFailure { side, kind }, &progress, &mut exchange);
            assert_eq!(verdict, expected, "{side:?} {kind:?} {progress:?} {is_update}");
        }
    }

    #[test]
    fn a_switch_of_protocols_is_a_response_and_a_103_is_none() {
        for (written, expected) in [(None, false), (Some(103), false), (Some(101), true), (Some(200), true)] {
            let written = written.map(|status| StatusCode::from_u16(status).expect("a status"));
            assert_eq!(Progress { written, ..AT_FIRST }.has_response(), expected, "{written:?}");
        }
    }
}
