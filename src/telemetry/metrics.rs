//! Counts events of the process, and prints the counters for Prometheus (OpenMetrics text).

use std::sync::Arc;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// The counters of the process; clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    http2_faults: Family<FaultLabels, Counter>,
}

/// The labels of a fault on HTTP/2.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FaultLabels {
    /// The reason, as in the log.
    reason: &'static str,
    /// `stream` or `connection`: what the fault ended.
    scope: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("linkpush");
        let http2_faults = Family::<FaultLabels, Counter>::default();
        registry.register(
            "http2_faults",
            "HTTP/2 streams and connections that linkpush ended for what their client did",
            http2_faults.clone(),
        );
        Self {
            registry: Arc::new(registry),
            http2_faults,
        }
    }
}

impl Metrics {
    /// Counts a stream, or a connection, of HTTP/2 that was ended for what its client did.
    pub fn count_http2_fault(&self, reason: &'static str, is_of_stream: bool) {
        let scope = if is_of_stream { "stream" } else { "connection" };
        self.http2_faults.get_or_create(&FaultLabels { reason, scope }).inc();
    }

    /// Returns all counters as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String never fails.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_reason_and_scope() {
        let metrics = Metrics::default();
        metrics.count_http2_fault("malformed", true);
        metrics.clone().count_http2_fault("malformed", true);
        metrics.count_http2_fault("too_many_resets", false);
        let text = metrics.text();
        for line in [
            "linkpush_http2_faults_total{reason=\"malformed\",scope=\"stream\"} 2",
            "linkpush_http2_faults_total{reason=\"too_many_resets\",scope=\"connection\"} 1",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
