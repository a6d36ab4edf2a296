//! Tells the numbers of upstreams.

use std::sync::Arc;

use crate::{meter::Label as _, telemetry::MetricFamily, upstream::Pool};

/// Returns the numbers of all upstreams. No address is a label: those of a name change as often as its DNS does.
pub(super) fn families(pools: &[Arc<Pool>]) -> Vec<MetricFamily> {
    let mut connections = MetricFamily::counter(
        "linkpush_origin_connections",
        "Requests that got a connection to an origin, by whether it was made for them.",
    );
    let mut failures = MetricFamily::counter(
        "linkpush_origin_failures",
        "Requests that failed at an origin server, or got none; each try counts.",
    );
    let mut ejections = MetricFamily::counter(
        "linkpush_origin_ejections",
        "Origin servers that were left alone for a while because requests failed there.",
    );
    let mut first_byte = MetricFamily::histogram(
        "linkpush_origin_first_byte_seconds",
        "Time from the choice of an origin server to the head of its response.",
    );
    let mut servers = MetricFamily::gauge("linkpush_origin_servers", "Origin servers by their state.");
    for pool in pools {
        let label = [("upstream", &*pool.policy().name)];
        let meter = pool.meter();
        connections.each(label, "kind", &meter.connections);
        failures.each_seen(label, "kind", &meter.failures);
        ejections.count(label, meter.ejections.get());
        first_byte.times(label, &meter.first_byte);
        for (health, number) in pool.states() {
            servers.size([("upstream", &*pool.policy().name), ("state", health.label())], number);
        }
    }
    vec![connections, failures, ejections, first_byte, servers]
}
