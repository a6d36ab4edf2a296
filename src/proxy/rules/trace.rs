//! Names a request for origin, client and log: its id, and its place in a trace.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use http::{HeaderValue, Method, StatusCode, request::Parts};

use super::head::{Fields, name};
use crate::{
    proxy::{
        edge::ProxySnapshot,
        exchange::Exchange,
        span::{AttemptSpan, RecordedTrace, RequestTrace},
        url::Url,
    },
    telemetry::spans::{FinishedSpan, SpanFact, SpanRole},
    trace::{REQUEST_ID, RequestIdPolicy, TRACEPARENT, TRACESTATE, TraceParent, is_request_id},
};

/// Gives a request its id and its place in a trace, where the settings say so.
pub(in crate::proxy) fn begin(request: &Parts, exchange: &mut Exchange) {
    let policy = exchange.snapshot.request_ids.policy;
    let is_off = policy == RequestIdPolicy::Off && exchange.snapshot.spans.is_none();
    if is_off || exchange.is_update {
        return;
    }
    let connection = exchange.connection.as_ref();
    let is_trusted = connection.is_some_and(|connection| connection.peer.is_trusted);
    if policy != RequestIdPolicy::Off {
        exchange.request_id = Some(request_id(&exchange.snapshot, request, is_trusted));
    }
    let document = exchange.document_place;
    exchange.trace = place(&exchange.snapshot, request, is_trusted, document, exchange.started).map(Box::new);
}

/// Returns the place of a request in a trace, if there are traces. A promise is in that of its `document`. A request
/// goes on with the trace of its `traceparent`, and makes a trace without one. A trusted caller that records its trace
/// has this request recorded; for others the share of the settings decides.
pub(in crate::proxy) fn place(
    snapshot: &ProxySnapshot,
    request: &Parts,
    is_trusted: bool,
    document: Option<TraceParent>,
    since: Instant,
) -> Option<RequestTrace> {
    let spans = snapshot.spans.as_ref()?;
    let ids = &snapshot.request_ids.source;
    let received = TraceParent::of(&request.headers);
    let [span, random, _, _] = words(ids.make());
    let is_sampled = match (document, received) {
        (Some(document), _) => document.is_sampled,
        (None, Some(caller)) if is_trusted && caller.is_sampled => true,
        _ => spans.samples(random),
    };
    let cause = document.or(received);
    let now = SystemTime::now();
    let recorded = is_sampled.then(|| RecordedTrace {
        spans: Arc::clone(spans),
        now: now - since.elapsed(),
        since,
        attempts: Vec::new(),
        hints: Vec::new(),
    });
    Some(RequestTrace {
        place: TraceParent {
            trace: cause.map_or_else(|| ids.make(), |cause| cause.trace),
            span: u64::from(span) << 32 | u64::from(random | 1),
            is_sampled,
        },
        parent: cause.map(|cause| (cause.span, document.is_none())),
        recorded: recorded.map(Box::new),
    })
}

/// Returns the four words of an id.
fn words(id: u128) -> [u32; 4] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = id.to_be_bytes();
    [[a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]].map(u32::from_be_bytes)
}

/// Notes that an attempt at a server begins.
pub(in crate::proxy) fn attempt_begins(server: SocketAddr, exchange: &mut Exchange) {
    let snapshot = Arc::clone(&exchange.snapshot);
    if let Some(recorded) = recorded(exchange) {
        let [high, low, _, _] = words(snapshot.request_ids.source.make());
        recorded.attempts.push(AttemptSpan {
            id: u64::from(high) << 32 | u64::from(low | 1),
            server,
            since: Instant::now(),
            head_after: None,
            failed: None,
        });
    }
}

/// Notes that the head of the last attempt's response has come.
pub(in crate::proxy) fn attempt_responds(exchange: &mut Exchange) {
    if let Some(attempt) = recorded(exchange).and_then(|recorded| recorded.attempts.last_mut()) {
        attempt.head_after = Some(attempt.since.elapsed());
    }
}

/// Notes that the last attempt has failed.
pub(in crate::proxy) fn attempt_fails(reason: &str, exchange: &mut Exchange) {
    if let Some(attempt) = recorded(exchange).and_then(|recorded| recorded.attempts.last_mut()) {
        attempt.failed = Some((attempt.since.elapsed(), reason.to_owned()));
    }
}

/// Notes the links of a 103.
pub(in crate::proxy) fn hints(number: usize, exchange: &mut Exchange) {
    if let Some(recorded) = recorded(exchange) {
        recorded.hints.push((Instant::now(), number));
    }
}

fn recorded(exchange: &mut Exchange) -> Option<&mut RecordedTrace> {
    exchange.trace.as_mut()?.recorded.as_deref_mut()
}

/// The outcome of a request, for its span.
#[derive(Debug)]
pub(in crate::proxy) struct TracedEnd<'a> {
    pub(in crate::proxy) status: Option<StatusCode>,
    pub(in crate::proxy) route: Option<&'a str>,
    pub(in crate::proxy) cache: Option<&'static str>,
    pub(in crate::proxy) promises: usize,
    pub(in crate::proxy) bytes: usize,
    pub(in crate::proxy) failure: Option<&'a str>,
}

/// Gives the spans of a request that has ended to their sender: its own, and below it those of its attempts and 103s.
pub(in crate::proxy) fn record(trace: &RequestTrace, (method, url): (&Method, &Url<'_>), end: &TracedEnd<'_>) {
    let Some(recorded) = &trace.recorded else {
        return;
    };
    let child = |id, role, name: &str, start, duration, facts| FinishedSpan {
        trace: trace.place.trace,
        id,
        parent: Some(trace.place.span),
        role,
        name: name.to_owned(),
        start: recorded.time_of(start),
        duration,
        failure: None,
        facts,
    };
    for (at, (instant, number)) in recorded.hints.iter().enumerate() {
        let facts = vec![SpanFact::number("linkpush.links", *number)];
        let id = child_id(trace.place.span, at);
        let span = child(
            id,
            SpanRole::Internal,
            "103 Early Hints",
            *instant,
            Duration::ZERO,
            facts,
        );
        recorded.spans.record(span);
    }
    for attempt in &recorded.attempts {
        let (duration, failure) = match (&attempt.failed, attempt.head_after) {
            (Some((after, why)), _) => (*after, Some(why.clone())),
            (None, Some(after)) => (after, None),
            (None, None) => (attempt.since.elapsed(), None),
        };
        let facts = vec![
            SpanFact::address("server.address", attempt.server.ip()),
            SpanFact::number("server.port", attempt.server.port().into()),
        ];
        let span = child(attempt.id, SpanRole::Client, "origin", attempt.since, duration, facts);
        recorded.spans.record(FinishedSpan { failure, ..span });
    }
    recorded.spans.record(FinishedSpan {
        trace: trace.place.trace,
        id: trace.place.span,
        parent: trace.parent.map(|(parent, _)| parent),
        role: SpanRole::Server {
            is_parent_remote: trace.parent.is_some_and(|(_, is_remote)| is_remote),
        },
        name: format!("{} {}", known(method), end.route.unwrap_or("-")),
        start: recorded.time_of(recorded.since),
        duration: recorded.since.elapsed(),
        failure: end.failure.map(str::to_owned),
        facts: facts(method, url, end),
    });
}

/// Returns a method as semantic conventions want it: one that anybody may make up is `_OTHER`.
fn known(method: &Method) -> &str {
    const KNOWN: [Method; 9] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::OPTIONS,
        Method::PATCH,
        Method::CONNECT,
        Method::TRACE,
    ];
    if KNOWN.contains(method) {
        method.as_str()
    } else {
        "_OTHER"
    }
}

/// Returns the facts of a request's span, named by the semantic conventions of OpenTelemetry where these have a name.
fn facts(method: &Method, url: &Url<'_>, end: &TracedEnd<'_>) -> Vec<SpanFact> {
    let mut facts = vec![
        SpanFact::text("http.request.method", known(method)),
        SpanFact::text("url.scheme", url.scheme),
        SpanFact::text("server.address", url.authority),
        SpanFact::text("url.path", url.path),
        SpanFact::number("http.response.body.size", end.bytes),
        SpanFact::number("linkpush.promises", end.promises),
    ];
    if let Some(status) = end.status {
        facts.push(SpanFact::number("http.response.status_code", status.as_u16().into()));
    }
    if let Some(route) = end.route {
        facts.push(SpanFact::text("linkpush.route", route));
    }
    if let Some(cache) = end.cache {
        facts.push(SpanFact::text("linkpush.cache", cache));
    }
    facts
}

/// Returns the id of a child that nobody else names; not 0.
const fn child_id(span: u64, at: usize) -> u64 {
    let id = span.rotate_left(32) ^ (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    if id == 0 { 1 } else { id }
}

/// Returns the id of a request: that of a trusted peer, or a new one.
pub(in crate::proxy) fn request_id(snapshot: &ProxySnapshot, request: &Parts, is_trusted: bool) -> HeaderValue {
    let received = request.headers.get(REQUEST_ID);
    match received.filter(|id| is_trusted && is_request_id(id)) {
        Some(id) => id.clone(),
        None => snapshot.request_ids.source.request_id(),
    }
}

/// Writes the id and the place in a trace into the request to the origin. A `traceparent` that nobody can read is
/// dropped, with the `tracestate` beside it.
pub(in crate::proxy) fn tell_origin(to_origin: &mut impl Fields, exchange: &Exchange) {
    if let Some(id) = &exchange.request_id {
        to_origin.set(&name::X_REQUEST_ID, id.clone());
    }
    let fields = to_origin.fields();
    let is_malformed = fields.contains_key(TRACEPARENT) && TraceParent::of(fields).is_none();
    if is_malformed {
        to_origin.remove(&TRACEPARENT);
        to_origin.remove(&TRACESTATE);
    }
    if let Some(value) = exchange.trace.as_deref().and_then(told_place) {
        to_origin.set(&name::TRACEPARENT, value);
    }
}

/// Returns what the origin is told of a request's place: that of the attempt, if the request is recorded; its own if it
/// begins the trace. The `traceparent` of a caller whose request is not recorded here is handed on as it is.
fn told_place(trace: &RequestTrace) -> Option<HeaderValue> {
    let attempt = trace.recorded.as_ref().and_then(|recorded| recorded.attempts.last());
    let span = match attempt {
        Some(attempt) => attempt.id,
        None if trace.parent.is_none() => trace.place.span,
        None => return None,
    };
    Some(TraceParent { span, ..trace.place }.value())
}

/// Writes the id into a response, where the settings say so.
pub(in crate::proxy) fn tell_client(response: &mut impl Fields, exchange: &Exchange) {
    if let (Some(id), RequestIdPolicy::Respond) = (&exchange.request_id, exchange.snapshot.request_ids.policy) {
        response.set(&name::X_REQUEST_ID, id.clone());
    }
}

/// Returns the id for the log. Without ids of our own that is the client's field.
pub(in crate::proxy) fn logged_id<'a>(request: &'a Parts, exchange: &'a Exchange) -> Option<&'a HeaderValue> {
    exchange.request_id.as_ref().or_else(|| request.headers.get(REQUEST_ID))
}

/// Returns the place in a trace for the log, as the origin was told it, or would have been.
pub(in crate::proxy) fn logged_place(request: &Parts, trace: Option<&RequestTrace>) -> Option<HeaderValue> {
    if let Some(told) = trace.and_then(told_place) {
        return Some(told);
    }
    TraceParent::of(&request.headers)?;
    request.headers.get(TRACEPARENT).cloned()
}
