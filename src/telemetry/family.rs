//! Holds the numbers of one scrape: families of samples, each with its labels.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::meter::{Counters, Distribution, Histogram, Label};

/// The samples of one metric.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricFamily {
    /// The name, without the `_total` of counters and the `_info` of facts.
    pub name: &'static str,
    /// The meaning, in one sentence.
    pub help: &'static str,
    /// The kind of the metric.
    pub kind: FamilyKind,
    /// The values.
    pub samples: Vec<MetricSample>,
}

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FamilyKind {
    /// A number that only grows.
    Counter,
    /// A number that rises and falls.
    Gauge,
    /// Numbers of times by how long they are.
    Histogram,
    /// Facts, as labels.
    Info,
}

/// One value of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricSample {
    /// Names and values of the labels.
    pub labels: Vec<(&'static str, String)>,
    /// The value.
    pub value: SampleValue,
}

/// The value of a sample.
#[derive(Debug, Clone, PartialEq)]
pub enum SampleValue {
    /// A whole number.
    Count(u64),
    /// Any number.
    Number(f64),
    /// The numbers of a histogram.
    Times(Distribution),
}

impl MetricFamily {
    /// Makes a counter without values.
    #[must_use]
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, FamilyKind::Counter)
    }

    /// Makes a gauge without values.
    #[must_use]
    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, FamilyKind::Gauge)
    }

    /// Makes a histogram without values.
    #[must_use]
    pub const fn histogram(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, FamilyKind::Histogram)
    }

    /// Makes a metric of facts without values.
    #[must_use]
    pub const fn info(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, FamilyKind::Info)
    }

    const fn new(name: &'static str, help: &'static str, kind: FamilyKind) -> Self {
        Self {
            name,
            help,
            kind,
            samples: Vec::new(),
        }
    }

    /// Adds a whole number.
    pub fn count<const N: usize>(&mut self, labels: [(&'static str, &str); N], number: u64) {
        self.push(labels, SampleValue::Count(number));
    }

    /// Adds a number of things that exist.
    pub fn size<const N: usize>(&mut self, labels: [(&'static str, &str); N], size: usize) {
        self.count(labels, u64::try_from(size).unwrap_or(u64::MAX));
    }

    /// Adds any number.
    pub fn number<const N: usize>(&mut self, labels: [(&'static str, &str); N], number: f64) {
        self.push(labels, SampleValue::Number(number));
    }

    /// Adds a time, in seconds since 1970.
    pub fn time<const N: usize>(&mut self, labels: [(&'static str, &str); N], time: SystemTime) {
        let seconds = match time.duration_since(UNIX_EPOCH) {
            Ok(since) => since.as_secs_f64(),
            Err(before) => -before.duration().as_secs_f64(),
        };
        self.number(labels, seconds);
    }

    /// Adds the numbers of a histogram.
    pub fn times<const N: usize>(&mut self, labels: [(&'static str, &str); N], histogram: &Histogram) {
        self.push(labels, SampleValue::Times(histogram.distribution()));
    }

    /// Adds each value of a label with its number, zeros too, so that the first event is an increase.
    pub fn each<L: Label, const N: usize>(
        &mut self,
        labels: [(&'static str, &str); N],
        name: &'static str,
        counters: &Counters<L>,
    ) {
        for (label, number) in counters.iter() {
            self.push_with(labels, (name, label.label()), number);
        }
    }

    /// Adds each value of a label whose number is not zero: for labels of many values.
    pub fn each_seen<L: Label, const N: usize>(
        &mut self,
        labels: [(&'static str, &str); N],
        name: &'static str,
        counters: &Counters<L>,
    ) {
        for (label, number) in counters.iter().filter(|(_, number)| *number > 0) {
            self.push_with(labels, (name, label.label()), number);
        }
    }

    fn push_with<const N: usize>(
        &mut self,
        labels: [(&'static str, &str); N],
        (name, label): (&'static str, &'static str),
        number: u64,
    ) {
        self.push(labels, SampleValue::Count(number));
        if let Some(sample) = self.samples.last_mut() {
            sample.labels.push((name, label.to_owned()));
        }
    }

    fn push<const N: usize>(&mut self, labels: [(&'static str, &str); N], value: SampleValue) {
        let labels = labels.map(|(name, value)| (name, value.to_owned())).into();
        self.samples.push(MetricSample { labels, value });
    }
}
