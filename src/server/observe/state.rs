//! Tells the state of the process: its version, configuration and use of the system.

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use rustix::{
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};

use crate::{
    config::Config,
    meter::{Counters, labels},
    telemetry::MetricFamily,
};

labels! {
    /// The result of a reload.
    pub(in crate::server) enum ReloadResult {
        /// The new configuration is in force.
        Done = "ok",
        /// The old one stays.
        Failed = "failed",
    }
}

/// The configuration in force, and how reloads went.
#[derive(Debug)]
pub(in crate::server) struct ConfigStatus {
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
    pub(in crate::server) fn new(config: &Config, addresses: &[SocketAddr]) -> Self {
        Self {
            generation: AtomicU64::new(1),
            since: ArcSwap::from_pointee(SystemTime::now()),
            reloads: Counters::default(),
            has_failed: AtomicBool::new(false),
            certificates: ArcSwap::from_pointee(served(config, addresses)),
        }
    }

    /// Notes that this configuration is in force now.
    pub(in crate::server) fn reloaded(&self, config: &Config, addresses: &[SocketAddr]) {
        self.generation.fetch_add(1, Relaxed);
        self.since.store(Arc::new(SystemTime::now()));
        self.reloads.increment(ReloadResult::Done);
        self.has_failed.store(false, Relaxed);
        self.certificates.store(Arc::new(served(config, addresses)));
    }

    /// Notes that a reload changed nothing.
    pub(in crate::server) fn failed(&self) {
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
        since.number([], timestamp(**self.since.load()));
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
            expiry.number(labels, timestamp(certificate.not_after));
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

/// Returns the version as a family.
pub(super) fn build() -> MetricFamily {
    let mut build = MetricFamily::info("linkpush_build", "The version of linkpush.");
    build.count([("version", env!("CARGO_PKG_VERSION"))], 1);
    build
}

/// Returns the answer of `/readyz` as a family.
pub(super) fn ready(is_ready: bool) -> MetricFamily {
    let mut ready = MetricFamily::gauge(
        "linkpush_ready",
        "1 if /readyz says that requests may be sent here, else 0.",
    );
    ready.count([], u64::from(is_ready));
    ready
}

/// Returns the process's use of the system, under the names that Prometheus' own libraries use. A number that the
/// system does not tell is left out.
pub(super) fn process(started: SystemTime) -> Vec<MetricFamily> {
    let mut processor = MetricFamily::counter("process_cpu_seconds", "Processor time of the process.");
    let used = clock_gettime(ClockId::ProcessCPUTime);
    #[allow(clippy::cast_precision_loss, reason = "2^53 seconds are 285 million years")]
    processor.number([], used.tv_sec as f64 + used.tv_nsec as f64 / 1e9);
    let mut start = MetricFamily::gauge(
        "process_start_time_seconds",
        "Start of the process, in seconds since 1970.",
    );
    start.number([], timestamp(started));
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let told = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let mut resident = MetricFamily::gauge("process_resident_memory_bytes", "Resident memory of the process.");
    let mut virtual_memory = MetricFamily::gauge("process_virtual_memory_bytes", "Virtual memory of the process.");
    let mut threads = MetricFamily::gauge("process_threads", "Threads of the process.");
    for (family, number) in [
        (&mut resident, told("VmRSS:").map(|kilobytes| kilobytes * 1024)),
        (&mut virtual_memory, told("VmSize:").map(|kilobytes| kilobytes * 1024)),
        (&mut threads, told("Threads:")),
    ] {
        number.into_iter().for_each(|number| family.count([], number));
    }
    let mut descriptors = MetricFamily::gauge("process_open_fds", "Open file descriptors.");
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // One of them is that of this folder.
        descriptors.size([], open.count().saturating_sub(1));
    }
    let mut limit = MetricFamily::gauge("process_max_fds", "Largest number of open file descriptors.");
    if let Some(most) = getrlimit(Resource::Nofile).current {
        limit.count([], most);
    }
    vec![processor, start, resident, virtual_memory, threads, descriptors, limit]
}

/// Returns a time in seconds since 1970.
fn timestamp(time: SystemTime) -> f64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}
