//! Writes a scrape as text: in the format of OpenMetrics, by prometheus-client, or in the older one of Prometheus, which
//! differs in its comments.

use std::{collections::HashMap, fmt};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, text::encode},
    metrics::{MetricType, exemplar::Exemplar},
    registry::Registry,
};

use super::{FamilyKind, MetricFamily, MetricSample, SampleValue};

/// A text format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFormat {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus 0.0.4.
    Prometheus,
}

impl TextFormat {
    /// Chooses the format by a request's `Accept` (RFC 9110 section 12.5.1): OpenMetrics if it is named, and preferred
    /// to plain text.
    #[must_use]
    pub fn accepted(accept: &[u8]) -> Self {
        let accept = String::from_utf8_lossy(accept).to_ascii_lowercase();
        let weight = |wanted: &str| {
            let ranges = accept.split(',').map(|range| range.split(';').map(str::trim));
            let weights = ranges.filter_map(|mut range| {
                (range.next() == Some(wanted)).then(|| {
                    let weight = range.find_map(|parameter| parameter.strip_prefix("q="));
                    weight.map_or(1.0, |weight| weight.parse::<f32>().unwrap_or(0.0))
                })
            });
            weights.fold(0.0, f32::max)
        };
        let open = weight("application/openmetrics-text");
        if open > 0.0 && open >= weight("text/plain") {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// Returns the media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// Writes families in this format.
    #[must_use]
    pub fn write(self, families: Vec<MetricFamily>) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Families(families)));
        let mut text = String::new();
        // Writing to a String never fails.
        let _ = encode(&mut text, &registry);
        match self {
            Self::OpenMetrics => text,
            Self::Prometheus => without_open_metrics(&text),
        }
    }
}

#[derive(Debug)]
struct Families(Vec<MetricFamily>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for family in &self.0 {
            family.encode(&mut encoder)?;
        }
        Ok(())
    }
}

impl MetricFamily {
    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let kind = match self.kind {
            FamilyKind::Counter => MetricType::Counter,
            FamilyKind::Gauge => MetricType::Gauge,
            FamilyKind::Histogram => MetricType::Histogram,
            FamilyKind::Info => MetricType::Info,
        };
        let mut metric = encoder.encode_descriptor(self.name, self.help, None, kind)?;
        for MetricSample { labels, value } in &self.samples {
            let labels: Vec<_> = labels.iter().map(|(name, value)| (*name, escaped(value))).collect();
            if self.kind == FamilyKind::Info {
                metric.encode_info(&labels)?;
                continue;
            }
            if labels.is_empty() {
                value.encode(self.kind, &mut metric)?;
            } else {
                value.encode(self.kind, &mut metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

impl SampleValue {
    fn encode(&self, kind: FamilyKind, metric: &mut MetricEncoder<'_>) -> Result<(), fmt::Error> {
        match (kind, self) {
            (_, Self::Times(times)) => {
                // prometheus-client writes the largest number as the infinite bound.
                let buckets = times
                    .buckets
                    .iter()
                    .map(|&(bound, number)| (bound.min(f64::MAX), number));
                let buckets: Vec<_> = buckets.collect();
                metric.encode_histogram(times.sum, times.count(), &buckets, NO_EXEMPLARS)
            }
            (FamilyKind::Counter, Self::Count(number)) => metric.encode_counter(number, NO_EXEMPLAR),
            (FamilyKind::Counter, Self::Number(number)) => metric.encode_counter(number, NO_EXEMPLAR),
            (_, Self::Count(number)) => metric.encode_gauge(number),
            (_, Self::Number(number)) => metric.encode_gauge(number),
        }
    }
}

/// Escapes the value of a label, which prometheus-client writes as it is.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Examples of requests beside numbers, of which there are none.
type NoExemplar = Exemplar<Vec<(String, String)>, f64>;

const NO_EXEMPLAR: Option<&NoExemplar> = None;
const NO_EXEMPLARS: Option<&HashMap<usize, NoExemplar>> = None;

/// Makes Prometheus' text of that of OpenMetrics: comments name the samples of counters and facts, not their family, and
/// there is neither a type for facts nor a mark of the end.
fn without_open_metrics(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        // HELP and TYPE come in pairs, and only TYPE tells the suffix.
        let told = lines.peek().and_then(|next| next.strip_prefix("# TYPE "));
        let kind = line
            .strip_prefix("# TYPE ")
            .or(told)
            .and_then(|told| told.rsplit_once(' '));
        let suffix = match kind {
            Some((_, "counter")) => "_total",
            Some((_, "info")) => "_info",
            _ => "",
        };
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            out.push_str(&format!("# HELP {name}{suffix} {help}\n"));
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let kind = if kind == "info" { "gauge" } else { kind };
            out.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
        } else if !line.starts_with('#') {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::Histogram;

    fn families() -> Vec<MetricFamily> {
        let mut info = MetricFamily::info("linkpush_build", "The version.");
        info.count([("version", "1.2.3")], 1);
        let mut requests = MetricFamily::counter("linkpush_requests", "Requests.");
        requests.count([("route", "a\"b\\c\nd"), ("status", "2xx")], 7);
        let mut processor = MetricFamily::counter("process_cpu_seconds", "Time.");
        processor.number([], 1.5);
        let mut size = MetricFamily::gauge("linkpush_size_bytes", "Bytes.");
        size.size([], 3);
        let histogram = Histogram::default();
        histogram.observe(std::time::Duration::from_millis(2));
        let mut times = MetricFamily::histogram("linkpush_time_seconds", "Times.");
        times.times([("route", "a")], &histogram);
        let none = MetricFamily::counter("linkpush_nothing", "Never.");
        vec![info, requests, processor, size, times, none]
    }

    #[test]
    fn open_metrics_names_families() {
        let text = TextFormat::OpenMetrics.write(families());
        for line in [
            "# TYPE linkpush_build info",
            "linkpush_build_info{version=\"1.2.3\"} 1",
            "# TYPE linkpush_requests counter",
            "linkpush_requests_total{route=\"a\\\"b\\\\c\\nd\",status=\"2xx\"} 7",
            "process_cpu_seconds_total 1.5",
            "linkpush_size_bytes 3",
            "linkpush_time_seconds_bucket{le=\"0.001\",route=\"a\"} 0",
            "linkpush_time_seconds_bucket{le=\"0.0025\",route=\"a\"} 1",
            "linkpush_time_seconds_bucket{le=\"+Inf\",route=\"a\"} 1",
            "linkpush_time_seconds_count{route=\"a\"} 1",
            "linkpush_time_seconds_sum{route=\"a\"} 0.002",
        ] {
            assert!(text.lines().any(|known| known == line), "{line}\n{text}");
        }
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn prometheus_names_samples() {
        let open = TextFormat::OpenMetrics.write(families());
        let text = TextFormat::Prometheus.write(families());
        for line in [
            "# HELP linkpush_build_info The version.",
            "# TYPE linkpush_build_info gauge",
            "# HELP linkpush_requests_total Requests.",
            "# TYPE linkpush_requests_total counter",
            "# TYPE process_cpu_seconds_total counter",
            "# TYPE linkpush_size_bytes gauge",
            "# TYPE linkpush_time_seconds histogram",
            "# TYPE linkpush_nothing_total counter",
        ] {
            assert!(text.lines().any(|known| known == line), "{line}\n{text}");
        }
        let samples = |text: &str| {
            let samples = text.lines().filter(|line| !line.starts_with('#'));
            samples.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(samples(&text), samples(&open));
        assert!(!text.contains("# EOF"), "{text}");
    }

    #[test]
    fn the_client_chooses_the_format() {
        for (accept, expected) in [
            ("", TextFormat::Prometheus),
            ("*/*", TextFormat::Prometheus),
            ("text/plain", TextFormat::Prometheus),
            ("text/html,*/*;q=0.8", TextFormat::Prometheus),
            ("application/openmetrics-text", TextFormat::OpenMetrics),
            ("Application/OpenMetrics-Text; version=1.0.0", TextFormat::OpenMetrics),
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                TextFormat::OpenMetrics,
            ),
            (
                "application/openmetrics-text;q=0.2, text/plain;q=0.9",
                TextFormat::Prometheus,
            ),
            ("application/openmetrics-text;q=0", TextFormat::Prometheus),
            ("application/openmetrics-text;q=x", TextFormat::Prometheus),
        ] {
            assert_eq!(TextFormat::accepted(accept.as_bytes()), expected, "{accept}");
        }
        assert_eq!(TextFormat::accepted(&[0xff, b',']), TextFormat::Prometheus);
    }
}
