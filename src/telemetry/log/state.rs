//! Holds the state of the process's log: what waits, the settings, the file.

use std::{
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use super::{policy::LogSettings, queue::LogQueue};

/// The lines of the process that wait to be written.
pub(super) static QUEUE: LogQueue = LogQueue::new();

/// The settings of the log, packed by [`LogSettings`].
static SETTINGS: AtomicU32 = AtomicU32::new(LogSettings::NO_ACCESS.packed());

/// Whether `RUST_LOG` lets access lines pass.
pub(super) static PASSES_ACCESS: AtomicBool = AtomicBool::new(false);

/// The file that is written; `None` for standard error.
pub(super) static FILE: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Most time that a process which ends waits for the reader of its log.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Returns the number of lines that were dropped since the start, for lack of room or because they could not be
/// written.
#[must_use]
pub fn dropped_lines() -> u64 {
    QUEUE.dropped()
}

/// Waits until all lines are written, for at most one second.
pub fn flush() {
    QUEUE.flush(FLUSH_TIMEOUT);
}

/// Returns the settings in force.
pub(in crate::telemetry) fn settings() -> LogSettings {
    LogSettings::unpacked(SETTINGS.load(Ordering::Relaxed))
}

/// Queues a whole line, with its line end.
pub(in crate::telemetry) fn push(line: &[u8]) {
    QUEUE.push(line);
}

/// Puts settings in force, as far as `RUST_LOG` lets access lines pass.
pub(super) fn set(settings: LogSettings) {
    let settings = if PASSES_ACCESS.load(Ordering::Relaxed) {
        settings
    } else {
        settings.without_access()
    };
    SETTINGS.store(settings.packed(), Ordering::Relaxed);
}
