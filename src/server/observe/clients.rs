//! Tells the numbers of clients' connections, and of requests that wait.

use crate::{
    listen::ListenMeter,
    telemetry::{Http2Meter, MetricFamily, WaitMeter},
};

/// Returns the numbers of connections, of which this many are open.
pub(super) fn families(
    listen: &ListenMeter,
    open_connections: usize,
    faults: &Http2Meter,
    waits: &WaitMeter,
) -> Vec<MetricFamily> {
    let mut accepted = MetricFamily::counter(
        "linkpush_client_connections",
        "Connections of clients that came to their first request, by protocol.",
    );
    accepted.each([], "protocol", &listen.accepted);
    let mut open = MetricFamily::gauge(
        "linkpush_client_connections_open",
        "Connections of clients that are open.",
    );
    open.size([], open_connections);
    let mut refused = MetricFamily::counter(
        "linkpush_client_connections_refused",
        "Connections of clients that were closed before their first request.",
    );
    refused.each([], "reason", &listen.refused);
    let mut tls = MetricFamily::counter("linkpush_tls_handshakes", "TLS handshakes with clients.");
    tls.each([], "result", &listen.tls);
    let mut http1 = MetricFamily::counter(
        "linkpush_http1_faults",
        "HTTP/1.x requests that were refused before a route was looked up.",
    );
    http1.each([], "reason", &listen.http1_faults);
    let mut http2 = MetricFamily::counter(
        "linkpush_http2_faults",
        "HTTP/2 streams and connections that were ended for what their client did.",
    );
    for (kind, number) in faults.faults() {
        http2.count([("reason", kind.reason), ("scope", kind.scope)], number);
    }
    let mut waiting = MetricFamily::gauge(
        "linkpush_waiting_requests",
        "Requests that wait until others have finished.",
    );
    waiting.size([], waits.waiting.get());
    let mut waited = MetricFamily::histogram(
        "linkpush_request_wait_seconds",
        "Time that requests have waited before they started, without those that started at once.",
    );
    waited.times([], &waits.waited);
    vec![accepted, open, refused, tls, http1, http2, waiting, waited]
}
