//! Ends a request: tells the client of a failed one, and writes the access line.

use http::{HeaderValue, StatusCode, header, request::Parts};
use log::debug;

use super::{
    cache::{
        status::{CacheFacts, outcome},
        storing,
    },
    delivery,
    failure::{FailureKind, FailureSide, RequestFailure},
    head::{Fields, name},
    trace::{self, TracedEnd},
};
use crate::{
    meter::Label as _,
    proxy::{edge::Edge, exchange::Exchange},
    push::PushCancel,
    telemetry::{
        FinishedRequest,
        access::{self, Access, AccessDetails},
        log::AccessField,
    },
    upstream,
};

/// The end of a failed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum FailureEnding {
    /// Nobody waits.
    Nothing,
    /// The promised stream is reset, as no longer needed.
    CancelPromise,
    /// The response breaks off, or there is nobody to tell.
    BreakOff {
        /// `true` if a limit of time has passed: nobody can tell whose fault that is.
        is_time_limit: bool,
    },
    /// A page with this status.
    Page(StatusCode),
}

/// Decides what is done about a failed request. `words` tell of the failure where nothing better does.
pub(in crate::proxy) fn fail(
    edge: &Edge,
    request: &Parts,
    failure: RequestFailure,
    written: Option<StatusCode>,
    words: impl FnOnce() -> String,
    exchange: &mut Exchange,
) -> FailureEnding {
    let from_client = failure.side == FailureSide::Client;
    if failure.kind == FailureKind::NobodyReads && !exchange.is_update {
        // The client has had its response, or has left.
        return FailureEnding::Nothing;
    }
    if exchange.failure.is_none() {
        exchange.failure = Some(words());
    }
    if exchange.is_update {
        if failure.kind != FailureKind::NotValidated {
            storing::note_failure(edge, exchange);
        }
        debug!(
            "a stored response is not renewed: {}",
            exchange.failure.as_deref().unwrap_or("-")
        );
        return FailureEnding::Nothing;
    }
    if exchange.pushed_by.is_some() {
        if !from_client && failure.kind != FailureKind::NotPushable {
            exchange.meter().push.cancelled.increment(PushCancel::Failed);
            delivery::remember_bad(edge, request, exchange, false);
        }
        return FailureEnding::CancelPromise;
    }
    match failure.status().filter(|_| written.is_none()) {
        Some(StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE) if !from_client && exchange.is_cut_off() => {
            FailureEnding::Page(StatusCode::GATEWAY_TIMEOUT)
        }
        Some(status) => FailureEnding::Page(status),
        None => FailureEnding::BreakOff {
            is_time_limit: failure.is_time_limit(),
        },
    }
}

/// Writes the fields of a page with a status and content of this length.
pub(in crate::proxy) fn describe_page(head: &mut impl Fields, status: StatusCode, length: usize) {
    head.set(
        &name::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    head.set(&name::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    head.set(&name::CONTENT_LENGTH, HeaderValue::from(length));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        head.set(&name::RETRY_AFTER, HeaderValue::from(upstream::RETRY_AFTER.as_secs()));
    }
}

/// The response that the client got.
#[derive(Debug, Clone, Copy)]
pub(in crate::proxy) struct Sent {
    /// Status of the response.
    pub(in crate::proxy) status: Option<StatusCode>,
    /// Bytes of its content.
    pub(in crate::proxy) bytes: usize,
}

/// Returns whether a client has left a tunnel, as happens when a tab is closed.
fn has_left_tunnel(sent: &Sent, failure: RequestFailure) -> bool {
    sent.status == Some(StatusCode::SWITCHING_PROTOCOLS)
        && failure.side == FailureSide::Client
        && !failure.is_time_limit()
}

/// Counts a request that has ended. A promise counts where its stream ends, a request of our own nowhere.
pub(in crate::proxy) fn count(cache: &CacheFacts<'_>, request: &Parts, sent: &Sent, exchange: &Exchange) {
    if exchange.is_update {
        return;
    }
    let meter = exchange.meter();
    if exchange.pushed_by.is_none() {
        meter.count(&FinishedRequest {
            protocol: request.version.into(),
            status: sent.status.into(),
            bytes: sent.bytes,
            duration: exchange.started.elapsed(),
        });
        meter.push.count_skips(&exchange.skips);
    }
    if let Some(outcome) = outcome(cache, exchange) {
        meter.cache.increment(outcome.word);
    }
}

/// Writes the access line, and gives the spans of the request away. `failure` has with it the words that tell of it where
/// nothing better does.
pub(in crate::proxy) fn log(
    cache: &CacheFacts<'_>,
    request: &Parts,
    sent: &Sent,
    failure: Option<(RequestFailure, String)>,
    exchange: &Exchange,
) {
    let url = exchange.url(request);
    let observation = exchange.observation.as_ref();
    let is_failure = !failure
        .as_ref()
        .is_some_and(|(failure, _)| has_left_tunnel(sent, *failure) || failure.kind == FailureKind::NobodyReads);
    let unnamed = failure.as_ref().map(|(_, words)| words.as_str());
    let failure = exchange.failure.as_deref().or(unnamed).filter(|_| is_failure);
    let cache = outcome(cache, exchange);
    if let Some(place) = exchange.trace.as_deref() {
        let end = TracedEnd {
            status: sent.status,
            route: exchange.route().map(|route| &*route.name),
            cache: cache.map(|cache| cache.word.label()),
            promises: exchange.promised,
            bytes: sent.bytes,
            failure,
        };
        trace::record(place, (&request.method, &url), &end);
    }
    if !access::is_enabled() {
        return;
    }
    let place = access::fields()
        .has(AccessField::Traceparent)
        .then(|| trace::logged_place(request, exchange.trace.as_deref()))
        .flatten();
    access::write(&Access {
        peer: exchange.connection.as_ref().map(|connection| connection.peer.address),
        client: exchange.client_address(&request.headers),
        method: request.method.as_str(),
        scheme: url.scheme,
        authority: url.authority,
        path_and_query: url.path_and_query,
        status: sent.status.map(|status| status.as_u16()),
        route: exchange.route().map(|route| &*route.name),
        protocol: access::protocol(request.version),
        duration: exchange.started.elapsed(),
        bytes: sent.bytes,
        promises: exchange.promised,
        hints: exchange.hinted,
        learned: observation.map_or(0, |observation| observation.delivered.len()),
        missed: observation.map_or(0, |observation| observation.missed),
        skips: &exchange.skips,
        pushed_by: exchange.pushed_by.map(|pushed| pushed.parent),
        cache,
        server: exchange
            .server
            .as_ref()
            .map(|chosen| chosen.server().address())
            .or(exchange.failed_server),
        tries: exchange.tries,
        failure,
        details: details(request, place.as_ref(), exchange),
    });
}

/// Returns the further fields that the settings ask for.
fn details<'a>(request: &'a Parts, traceparent: Option<&'a HeaderValue>, exchange: &'a Exchange) -> AccessDetails<'a> {
    let fields = access::fields();
    if fields.is_empty() {
        return AccessDetails::default();
    }
    let field = |field, name| request.headers.get(name).filter(|_| fields.has(field));
    AccessDetails {
        user_agent: field(AccessField::UserAgent, header::USER_AGENT),
        referer: field(AccessField::Referer, header::REFERER),
        request_id: trace::logged_id(request, exchange).filter(|_| fields.has(AccessField::RequestId)),
        traceparent,
        origin_time: exchange.origin_time,
        failures: &exchange.failures,
        tls: exchange
            .connection
            .as_ref()
            .and_then(|connection| connection.tls)
            .filter(|_| fields.has(AccessField::Tls)),
    }
}

/// Returns whether a request has an access line or spans. A request of our own has neither.
pub(in crate::proxy) fn is_logged(exchange: &Exchange) -> bool {
    let is_recorded = || exchange.trace.as_ref().is_some_and(|trace| trace.recorded.is_some());
    !exchange.is_update && (access::is_enabled() || is_recorded())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_may_leave_a_tunnel() {
        for (status, side, kind, expected) in [
            (101, FailureSide::Client, FailureKind::Closed, true),
            (101, FailureSide::Client, FailureKind::ReadTimeout, false),
            (101, FailureSide::Origin, FailureKind::Closed, false),
            (200, FailureSide::Client, FailureKind::Closed, false),
        ] {
            let sent = Sent {
                status: StatusCode::from_u16(status).ok(),
                bytes: 0,
            };
            assert_eq!(
                has_left_tunnel(&sent, RequestFailure { side, kind }),
                expected,
                "{status} {side:?}"
            );
        }
    }
}
