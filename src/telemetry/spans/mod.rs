//! Sends the spans of sampled requests to an OpenTelemetry collector (OTLP over HTTP, protobuf).
//!
//! A request gives its spans away when it has ended: they go into a bounded queue, or are dropped if it is full. A
//! thread of its own sends them, so a collector that is slow or down costs a request nothing.
//!
//! Reading order: this file, `client` (the requests to the collector).

mod client;

use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};

use log::debug;
use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor as _},
};

use client::CollectorClient;

/// The settings of traces.
#[derive(Debug, Clone, PartialEq)]
pub struct TracesPolicy {
    /// The collector's URL, without a path: `http://collector:4318`.
    pub collector: Box<str>,
    /// The share of requests that are recorded, from 0 to 1.
    pub sample: f64,
}

/// Spans that wait to be sent at most; more are dropped.
const MAX_WAITING: usize = 8192;

/// Spans of one request to the collector.
const BATCH: usize = 512;

/// Time after which spans are sent that make no whole batch.
const DELAY: Duration = Duration::from_secs(1);

/// Most time of one request to the collector.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Most time that a process which ends waits for its collector.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The sender of spans.
#[derive(Debug)]
pub struct Spans {
    policy: TracesPolicy,
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
}

/// One finished span.
#[derive(Debug)]
pub struct FinishedSpan {
    /// The trace.
    pub trace: u128,
    /// The id of the span; not 0.
    pub id: u64,
    /// The span that caused this one.
    pub parent: Option<u64>,
    /// The part of linkpush in it.
    pub role: SpanRole,
    /// A name with few different values.
    pub name: String,
    /// The time at which it began.
    pub start: SystemTime,
    /// The time that it took.
    pub duration: Duration,
    /// Why it failed, if it did.
    pub failure: Option<String>,
    /// Further facts.
    pub facts: Vec<SpanFact>,
}

/// The part of linkpush in a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanRole {
    /// It responded to a client, whose span may be the parent.
    Server {
        /// Whether the parent is another process's.
        is_parent_remote: bool,
    },
    /// It asked an origin.
    Client,
    /// It worked for itself.
    Internal,
}

/// A fact of a span.
#[derive(Debug, Clone)]
pub struct SpanFact(KeyValue);

impl SpanFact {
    /// Makes a fact of text, which is cut at [`SpanFact::MAX_TEXT`] bytes.
    #[must_use]
    pub fn text(name: &'static str, text: &str) -> Self {
        // A boundary is among these: a character has at most four bytes.
        let ends = Self::MAX_TEXT.saturating_sub(3)..=Self::MAX_TEXT;
        let end = ends.rev().find(|end| text.is_char_boundary(*end)).unwrap_or(text.len());
        Self(KeyValue::new(name, text.get(..end).unwrap_or_default().to_owned()))
    }

    /// Most bytes of text.
    pub const MAX_TEXT: usize = 2048;

    /// Makes a fact of a number.
    #[must_use]
    pub fn number(name: &'static str, number: usize) -> Self {
        Self(KeyValue::new(name, i64::try_from(number).unwrap_or(i64::MAX)))
    }

    /// Makes a fact of an address.
    #[must_use]
    pub fn address(name: &'static str, address: IpAddr) -> Self {
        Self(KeyValue::new(name, address.to_string()))
    }
}

impl Spans {
    /// Starts a sender.
    ///
    /// # Errors
    ///
    /// The collector's URL cannot be used.
    pub fn new(policy: TracesPolicy) -> Result<Self, ExporterBuildError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(CollectorClient::new(TIMEOUT))
            .with_endpoint(format!("{}/v1/traces", policy.collector))
            .with_timeout(TIMEOUT)
            .build()?;
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(MAX_WAITING)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(DELAY)
            .build();
        let mut processor = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
        let version = env!("CARGO_PKG_VERSION");
        let resource = Resource::builder_empty()
            .with_attributes([
                KeyValue::new("service.name", "linkpush"),
                KeyValue::new("service.version", version),
            ])
            .build();
        processor.set_resource(&resource);
        let scope = InstrumentationScope::builder("linkpush").with_version(version).build();
        Ok(Self {
            policy,
            processor,
            scope,
        })
    }

    /// Returns the settings of this sender.
    #[must_use]
    pub const fn policy(&self) -> &TracesPolicy {
        &self.policy
    }

    /// Returns whether a trace is recorded for which this random number was drawn.
    #[must_use]
    pub fn samples(&self, random: u32) -> bool {
        f64::from(random) < self.policy.sample * (f64::from(u32::MAX) + 1.0)
    }

    /// Queues a span.
    pub fn record(&self, span: FinishedSpan) {
        let context = SpanContext::new(
            TraceId::from_bytes(span.trace.to_be_bytes()),
            SpanId::from_bytes(span.id.to_be_bytes()),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        );
        let (span_kind, parent_span_is_remote) = match span.role {
            SpanRole::Server { is_parent_remote } => (SpanKind::Server, is_parent_remote),
            SpanRole::Client => (SpanKind::Client, false),
            SpanRole::Internal => (SpanKind::Internal, false),
        };
        self.processor.on_end(SpanData {
            span_context: context,
            parent_span_id: span
                .parent
                .map_or(SpanId::INVALID, |parent| SpanId::from_bytes(parent.to_be_bytes())),
            parent_span_is_remote,
            span_kind,
            name: span.name.into(),
            start_time: span.start,
            end_time: span.start + span.duration,
            attributes: span.facts.into_iter().map(|fact| fact.0).collect(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: span.failure.map_or(Status::Unset, Status::error),
            instrumentation_scope: self.scope.clone(),
        });
    }

    /// Sends what waits, for at most one second; nothing is sent any more afterwards.
    pub fn end(&self) {
        if let Err(e) = self.processor.shutdown_with_timeout(FLUSH_TIMEOUT) {
            debug!("spans were not sent: {e}");
        }
    }
}

impl Drop for Spans {
    fn drop(&mut self) {
        // The thread ends by itself; nobody waits for it here.
        let _ = self.processor.shutdown_with_timeout(Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters() {
        for (text, length) in [
            ("", 0),
            ("a", 1),
            (&*"é".repeat(2000), 2048),
            (&*format!("a{}", "é".repeat(2000)), 2047),
        ] {
            assert_eq!(SpanFact::text("x", text).0.value.as_str().len(), length);
        }
    }

    #[test]
    fn a_share_of_random_numbers_is_sampled() {
        for (sample, number, expected) in [
            (0.0, 0, false),
            (1.0, u32::MAX, true),
            (0.5, u32::MAX / 2, true),
            (0.5, u32::MAX / 2 + 1, false),
        ] {
            let spans = Spans::new(TracesPolicy {
                collector: "http://127.0.0.1:1".into(),
                sample,
            });
            assert_eq!(spans.expect("a URL").samples(number), expected, "{sample} {number}");
        }
    }
}
