//! Tells the numbers of clients' connections, and of requests that wait.

use super::Observed;
use crate::telemetry::Family;

/// Returns the numbers of connections.
pub(super) fn families(observed: &Observed) -> Vec<Family> {
    let listen = &observed.listen;
    let mut accepted = Family::counter(
        "linkpush_client_connections",
        "Connections of clients that came to their first request, by protocol.",
    );
    accepted.each([], "protocol", &listen.accepted);
    let mut open = Family::gauge(
        "linkpush_client_connections_open",
        "Connections of clients that are open.",
    );
    open.size([], observed.connections.count());
    let mut refused = Family::counter(
        "linkpush_client_connections_refused",
        "Connections of clients that were closed before their first request.",
    );
    refused.each([], "reason", &listen.refused);
    let mut tls = Family::counter("linkpush_tls_handshakes", "TLS handshakes with clients.");
    tls.each([], "result", &listen.tls);
    let mut http1 = Family::counter(
        "linkpush_http1_faults",
        "HTTP/1.x requests that were refused before a route was looked up.",
    );
    http1.each([], "reason", &listen.http1_faults);
    let mut http2 = Family::counter(
        "linkpush_http2_faults",
        "HTTP/2 streams and connections that were ended for what their client did.",
    );
    for (kind, number) in observed.http2.faults() {
        http2.count([("reason", kind.reason), ("scope", kind.scope)], number);
    }
    let waits = observed.scheduler.waits();
    let mut waiting = Family::gauge(
        "linkpush_waiting_requests",
        "Requests that wait until others have finished.",
    );
    waiting.size([], waits.waiting.get());
    let mut waited = Family::histogram(
        "linkpush_request_wait_seconds",
        "Time that requests have waited before they started, without those that started at once.",
    );
    waited.times([], &waits.waited);
    vec![accepted, open, refused, tls, http1, http2, waiting, waited]
}
