//! Writes the log without ever waiting for its reader: lines go into a bounded queue, and a thread of its own writes
//! them.
//!
//! Like the `log` crate's logger, which this is, the log belongs to the process. `main` calls [`start`] and keeps the
//! [`LogGuard`]; `server` gives it the settings of a configuration by a [`LogChange`].
//!
//! Reading order: this file, `policy` (the settings), `queue` (the lines that wait), `state` (what the process
//! has of all these), `writer` (the thread), `output`
//! (standard error or a file), `line` (the bytes of a line; `stamp`, its time; `digits`), `logger` (diagnostic lines), `panic`
//! (panics).

mod digits;
mod line;
mod logger;
mod output;
mod panic;
mod policy;
mod queue;
mod stamp;
mod state;
mod writer;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{PoisonError, atomic::Ordering},
    thread,
};

pub(in crate::telemetry) use line::{LogLine, with_line};
pub use output::LogFileError;
pub use policy::{AccessField, AccessFields, AccessLines, LogFormat, LogPolicy};
pub use state::{dropped_lines, flush};
pub(in crate::telemetry) use state::{push, settings};

use super::Quiet;
use logger::Logger;
use output::LogOutput;
use policy::LogSettings;
use state::{FILE, PASSES_ACCESS, QUEUE, set};

/// The log target of access lines: `RUST_LOG=info,access=off` keeps the rest.
pub(in crate::telemetry) const ACCESS_TARGET: &str = "access";

/// The level of access lines.
pub(in crate::telemetry) const ACCESS_LEVEL: log::Level = log::Level::Info;

/// The lines that `RUST_LOG` chooses by default: life cycle, access lines and Pingora's warnings. The warnings of
/// Pingora's cache are off: one for each stale response and each client that leaves, which the access line has, too.
const DEFAULT_FILTER: &str = "info,pingora_core=warn,pingora_proxy=warn,pingora_proxy::proxy_cache=off";

/// The variable that chooses lines.
const FILTER: &str = "RUST_LOG";

/// The log target of the error that ends the process.
const LAST_WORDS: &str = "linkpush";

/// Writes what is left of the log when dropped, within one second.
#[derive(Debug)]
pub struct LogGuard(());

impl LogGuard {
    /// Writes the error that ends the process, a whole line, to standard error; to the log's file as well if there is
    /// one.
    pub fn last_words(&self, line: &str) {
        let mut file = FILE.lock().unwrap_or_else(PoisonError::into_inner);
        if file.take().is_some() {
            with_line(settings().format, log::Level::Error, LAST_WORDS, |written| {
                written.message(format_args!("{}", line.trim_end()));
                written.end();
                push(written.bytes());
            });
            flush();
            // Without a descriptor, the file has the line.
            if let Ok(output) = LogOutput::standard_error() {
                QUEUE.switch(output);
            }
        }
        QUEUE.push(line.as_bytes());
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        flush();
    }
}

/// Starts the log: lines go to standard error, as text, until a [`LogChange`] is applied.
///
/// # Errors
///
/// The system gives no second descriptor for standard error, or no thread.
pub fn start() -> io::Result<LogGuard> {
    let output = LogOutput::standard_error()?;
    thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || writer::run(&QUEUE, output))?;
    let filter = std::env::var(FILTER).unwrap_or_else(|_| DEFAULT_FILTER.to_owned());
    let logger = Logger::new(&filter);
    PASSES_ACCESS.store(logger.passes(ACCESS_TARGET, ACCESS_LEVEL), Ordering::Relaxed);
    set(LogPolicy::default().settings());
    log::set_max_level(logger.max_level());
    // Fails only if a logger was set before, and none was.
    let _ = log::set_boxed_logger(Box::new(Quiet::new(logger)));
    panic::report_to_log();
    Ok(LogGuard(()))
}

/// The settings of a configuration, before they are in force.
#[derive(Debug)]
pub struct LogChange {
    settings: LogSettings,
    /// Another output than the present one, and its file.
    output: Option<(LogOutput, Option<PathBuf>)>,
}

impl LogChange {
    /// Makes the change to the settings of a configuration: opens its file.
    ///
    /// # Errors
    ///
    /// The file cannot be opened.
    pub fn to(policy: &LogPolicy) -> Result<Self, LogFileError> {
        let file = FILE.lock().unwrap_or_else(PoisonError::into_inner);
        let output = match &policy.file {
            same if *file == *same => None,
            Some(path) => Some(LogOutput::file(path)?),
            None => Some(LogOutput::standard_error().map_err(|source| LogFileError::StandardError { source })?),
        };
        Ok(Self {
            settings: policy.settings(),
            output: output.map(|output| (output, policy.file.clone())),
        })
    }

    /// Puts the settings in force.
    pub fn apply(self) {
        if let Some((output, path)) = self.output {
            *FILE.lock().unwrap_or_else(PoisonError::into_inner) = path;
            QUEUE.switch(output);
        }
        set(self.settings);
    }
}

/// Opens the log's file again, after another program has renamed it. Returns its path; `None` if the log goes to
/// standard error.
///
/// # Errors
///
/// The file cannot be opened; the old one is written on.
pub fn reopen() -> Result<Option<PathBuf>, LogFileError> {
    let file = FILE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(path) = file.clone() else {
        return Ok(None);
    };
    QUEUE.switch(LogOutput::file(Path::new(&path))?);
    Ok(Some(path))
}
