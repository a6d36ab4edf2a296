//! Tells the state of the process: its version, whether it is ready, and its use of the system.

use std::{fs, time::SystemTime};

use rustix::{
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};

use crate::telemetry::{MetricFamily, log::dropped_lines};

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

/// Returns the lines that the log has lost.
pub(super) fn log() -> MetricFamily {
    let mut dropped = MetricFamily::counter(
        "linkpush_log_lines_dropped",
        "Lines of the log that were dropped: its reader or disk was too slow, or failed.",
    );
    dropped.count([], dropped_lines());
    dropped
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
    start.time([], started);
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
