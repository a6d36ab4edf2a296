//! Tells the numbers of routes: requests, the cache's part in them, and the links of documents.

use crate::meter::Label as _;
use crate::telemetry::{MetricFamily, RouteMeters};

/// Returns the numbers of all routes.
pub(super) fn families(meters: &RouteMeters) -> Vec<MetricFamily> {
    let mut requests = MetricFamily::counter(
        "linkpush_requests",
        "Requests of clients that have ended, promises left out.",
    );
    let mut durations = MetricFamily::histogram(
        "linkpush_request_duration_seconds",
        "Time from a request's head to the end of its response.",
    );
    let mut bytes = MetricFamily::counter(
        "linkpush_response_bytes",
        "Bytes of content sent to clients, promises left out.",
    );
    let mut cache = MetricFamily::counter(
        "linkpush_cache_requests",
        "Requests and promises on routes that cache, by the part that the cache had.",
    );
    let mut promises = MetricFamily::counter(
        "linkpush_promises",
        "PUSH_PROMISE frames sent, by where the link was found.",
    );
    let mut pushed = MetricFamily::counter("linkpush_pushed_bytes", "Bytes of content sent on promised streams.");
    let mut wasted = MetricFamily::counter(
        "linkpush_pushed_wasted_bytes",
        "Bytes of content sent on promised streams that the client reset.",
    );
    let mut cancelled = MetricFamily::counter("linkpush_pushes_cancelled", "Promises that were not fulfilled.");
    let mut hints = MetricFamily::counter("linkpush_hints", "Links sent in a 103, by where they were found.");
    let mut used = MetricFamily::counter(
        "linkpush_hints_used",
        "Hinted links that their client requested within 10 seconds.",
    );
    let mut unused = MetricFamily::counter(
        "linkpush_hints_unused",
        "Hinted links that their client did not request, though it requested others.",
    );
    let mut skipped = MetricFamily::counter("linkpush_links_skipped", "Links that were neither promised nor hinted.");
    let mut learned = MetricFamily::counter(
        "linkpush_learned_links",
        "Links delivered because earlier responses had them, by whether the response had them, too.",
    );
    let mut pauses = MetricFamily::counter(
        "linkpush_learning_pauses",
        "Documents whose learning was paused because learned links kept being wrong.",
    );
    for (route, meter) in meters.iter() {
        let label = [("route", route)];
        for (protocol, status, number) in meter.requests() {
            let labels = [
                ("route", route),
                ("protocol", protocol.label()),
                ("status", status.label()),
            ];
            requests.count(labels, number);
        }
        durations.times(label, &meter.durations);
        bytes.count(label, meter.bytes.get());
        cache.each(label, "outcome", &meter.cache);
        promises.each(label, "source", &meter.push.promised);
        pushed.count(label, meter.push.pushed_bytes.get());
        wasted.count(label, meter.push.wasted_bytes.get());
        cancelled.each_seen(label, "reason", &meter.push.cancelled);
        hints.each(label, "source", &meter.push.hinted);
        used.each(label, "source", &meter.push.used);
        unused.each(label, "source", &meter.push.unused);
        skipped.each_seen(label, "reason", &meter.push.skipped);
        learned.each(label, "verdict", &meter.learned);
        pauses.count(label, meter.pauses.get());
    }
    vec![
        requests, durations, bytes, cache, promises, pushed, wasted, cancelled, hints, used, unused, skipped, learned,
        pauses,
    ]
}
