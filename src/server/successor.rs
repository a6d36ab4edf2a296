//! Starts the process that takes over in an upgrade, and tells the old process why one does not.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command},
};

use super::{
    process::{PidLock, shortened},
    replace::{Durability, replace},
};

/// The variable that gives a new process the path of the file in which it tells why it does not take over. Binaries
/// that do not know the variable leave it alone, as they would not do with an argument.
const FAILURE_FILE: &str = "LINKPUSH_TAKE_OVER_FAILURE";

/// Most bytes that are read of such a file.
const MAX_FAILURE: u64 = 64 * 1024;

/// Returns the path or name by which this process was started. Symbolic links are not resolved: after one has been
/// switched to a new version, an upgrade starts the new version.
pub(super) fn started_as() -> Option<PathBuf> {
    let name = PathBuf::from(env::args_os().next()?);
    match name.components().count() {
        // A name without a folder, which is looked up in PATH again.
        1 => Some(name),
        _ => std::path::absolute(name).ok(),
    }
}

/// Starts the process that is to take over; its standard input is the locked pid file.
pub(super) fn start(binary: &Path, source: &Path, lock: &PidLock) -> io::Result<Child> {
    let failure = lock.pid_file().failure();
    // Of an upgrade before this one.
    let _ = fs::remove_file(&failure);
    Command::new(binary)
        .args(["run", "--take-over", "--config"])
        .arg(source)
        .env(FAILURE_FILE, failure)
        .stdin(lock.as_input())
        .spawn()
}

/// Waits for the end of a new process; returns how it ended, and the reason that it has told in `failure`.
pub(super) fn end_of(child: &mut Child, failure: &Path) -> String {
    let how = child
        .wait()
        .map_or_else(|e| format!("is lost: {e}"), |status| format!("ended with {status}"));
    let mut told = Vec::new();
    let read = File::open(failure).and_then(|file| file.take(MAX_FAILURE).read_to_end(&mut told));
    let _ = fs::remove_file(failure);
    match String::from_utf8_lossy(&told).trim() {
        reason if read.is_ok() && !reason.is_empty() => format!("{how}:\n{reason}"),
        _ => how,
    }
}

/// Takes back what [`tell_failure`] has told.
pub(super) fn forget_failure() {
    if let Some(file) = env::var_os(FAILURE_FILE) {
        let _ = fs::remove_file(file);
    }
}

/// Tells the process that has started this one why it does not take over; does nothing in any other process.
pub fn tell_failure(reason: &str) {
    if let Some(file) = env::var_os(FAILURE_FILE).filter(|file: &OsString| !file.is_empty()) {
        let reason = shortened(reason.to_owned());
        // The exit status tells at least that there is a reason.
        let _ = replace(Path::new(&file), reason.as_bytes(), 0o600, Durability::Memory);
    }
}
