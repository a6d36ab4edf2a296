//! Tells the numbers of stored responses and learned documents.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::{cache::Store, learn::ManifestStore, telemetry::MetricFamily};

/// Returns the numbers of both stores.
pub(super) fn families(store: &Store, manifests: &ManifestStore) -> Vec<MetricFamily> {
    let (number, weight) = store.size();
    let mut objects = MetricFamily::gauge("linkpush_cache_objects", "Stored responses.");
    objects.count([], number);
    let mut bytes = MetricFamily::gauge("linkpush_cache_bytes", "Bytes of all stored responses.");
    bytes.count([], weight);
    let mut limit = MetricFamily::gauge(
        "linkpush_cache_limit_bytes",
        "Bytes that all stored responses may have.",
    );
    limit.count([], store.limits().bytes);
    let mut filling = MetricFamily::gauge(
        "linkpush_cache_filling_bytes",
        "Bytes of responses that are being stored.",
    );
    filling.size([], store.bytes_on_the_way());
    let mut evictions = MetricFamily::counter(
        "linkpush_cache_evictions",
        "Stored responses that were removed to make room.",
    );
    evictions.count([], store.meter().evicted.get());
    let mut collapsed = MetricFamily::counter(
        "linkpush_cache_collapsed",
        "Requests that waited for the response to another request instead of asking the origin.",
    );
    collapsed.count([], store.meter().collapsed.get());
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let (documents, paused) = manifests.count(now.map_or(0, |since| since.as_secs()));
    let mut known = MetricFamily::gauge("linkpush_learned_documents", "Documents of which links are known.");
    known.size([], documents);
    let mut pausing = MetricFamily::gauge(
        "linkpush_learning_paused_documents",
        "Documents whose learned links are not delivered for a while because they kept being wrong.",
    );
    pausing.size([], paused);
    vec![objects, bytes, limit, filling, evictions, collapsed, known, pausing]
}
