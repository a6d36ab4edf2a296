//! Names a request for origin, client and log: its id, and its place in a trace.

use http::{HeaderValue, request::Parts};

use super::head::{Fields, name};
use crate::{
    proxy::{edge::ProxySnapshot, exchange::Exchange},
    trace::{REQUEST_ID, RequestIdPolicy, TRACEPARENT, TRACESTATE, TraceParent, is_request_id},
};

/// Gives a request its id, where the settings say so.
pub(in crate::proxy) fn begin(request: &Parts, exchange: &mut Exchange) {
    let policy = exchange.snapshot.request_ids.policy;
    if policy != RequestIdPolicy::Off && !exchange.is_update {
        let connection = exchange.connection.as_ref();
        let is_trusted = connection.is_some_and(|connection| connection.peer.is_trusted);
        exchange.request_id = Some(request_id(&exchange.snapshot, request, is_trusted));
    }
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

/// Returns the place in a trace for the log, as the origin was told it.
pub(in crate::proxy) fn logged_place(request: &Parts) -> Option<&HeaderValue> {
    TraceParent::of(&request.headers)?;
    request.headers.get(TRACEPARENT)
}
