//! Remembers which configuration is in force, and how reloads went: [`ConfigStatus`].

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::SystemTime,
};

use arc_swap::ArcSwap;

use crate::{
    config::Config,
    meter::{Counters, labels},
    telemetry::MetricFamily,
};

labels! {
    /// The result of a reload.
    pub(super) enum ReloadResult {
        /// The new configuration is in force.
        Done = "ok",
        /// The old one stays.
        Failed = "failed",
    }
}

/// The configuration in force, and how reloads went.
#[derive(Debug)]
pub(super) struct ConfigStatus {
    /// The number of configurations that were in force, this one included.
    generation: AtomicU64,
    /// The time at which this one came into force.
    since: ArcSwap<SystemTime>,
    reloads: Counters<ReloadResult>,
    has_failed: AtomicBool,
    certificates: ArcSwap<Vec<ServedCertificate>>,
}

/// A certificate of a listener.
#[derive(Debug)]
struct ServedCertificate {
    listener: String,
    /// The place in the listener's list, by which certificates with equal names differ.
    place: String,
    names: String,
    not_after: SystemTime,
}

impl ConfigStatus {
    /// Makes the status of a server that starts with this configuration, whose listeners have these actual addresses.
    pub(super) fn new(config: &Config, addresses: &[SocketAddr]) -> Self {
        Self {
            generation: AtomicU64::new(1),
            since: ArcSwap::from_pointee(SystemTime::now()),
            reloads: Counters::default(),
            has_failed: AtomicBool::new(false),
            certificates: ArcSwap::from_pointee(served(config, addresses)),
        }
    }

    /// Notes that this configuration is in force now.
    pub(super) fn reloaded(&self, config: &Config, addresses: &[SocketAddr]) {
        self.generation.fetch_add(1, Relaxed);
        self.since.store(Arc::new(SystemTime::now()));
        self.reloads.increment(ReloadResult::Done);
        self.has_failed.store(false, Relaxed);
        self.certificates.store(Arc::new(served(config, addresses)));
    }

    /// Notes that a reload changed nothing.
    pub(super) fn failed(&self) {
        self.reloads.increment(ReloadResult::Failed);
        self.has_failed.store(true, Relaxed);
    }

    /// Returns the number of configurations that were in force, this one included.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// Returns whether the last reload changed nothing.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed.load(Relaxed)
    }

    /// Returns all this as numbers.
    pub(super) fn families(&self) -> Vec<MetricFamily> {
        let mut generation = MetricFamily::gauge(
            "linkpush_config_generation",
            "Number of configurations that were in force since the start, the current one included.",
        );
        generation.count([], self.generation());
        let mut successful = MetricFamily::gauge(
            "linkpush_config_last_reload_successful",
            "1 if the last reload is in force, or there was none; 0 if it failed.",
        );
        successful.count([], u64::from(!self.has_failed()));
        let mut since = MetricFamily::gauge(
            "linkpush_config_last_reload_success_timestamp_seconds",
            "Time since which the configuration is in force, in seconds since 1970.",
        );
        since.time([], **self.since.load());
        let mut reloads = MetricFamily::counter("linkpush_config_reloads", "Reloads by their result.");
        reloads.each([], "result", &self.reloads);
        let mut expiry = MetricFamily::gauge(
            "linkpush_certificate_expiry_timestamp_seconds",
            "End of the validity of a listener's certificate, in seconds since 1970.",
        );
        for certificate in self.certificates.load().iter() {
            let labels = [
                ("listener", &*certificate.listener),
                ("place", &*certificate.place),
                ("names", &*certificate.names),
            ];
            expiry.time(labels, certificate.not_after);
        }
        vec![generation, successful, since, reloads, expiry]
    }
}

/// Returns the certificates of all listeners.
fn served(config: &Config, addresses: &[SocketAddr]) -> Vec<ServedCertificate> {
    let listeners = config.listeners.iter().zip(addresses);
    let certificates = listeners.flat_map(|(listener, address)| {
        let of_listener = listener.certificates.iter().enumerate();
        of_listener.map(move |(place, certificate)| ServedCertificate {
            listener: address.to_string(),
            place: place.to_string(),
            names: certificate.names().join(" "),
            not_after: certificate.not_after(),
        })
    });
    certificates.collect()
}
