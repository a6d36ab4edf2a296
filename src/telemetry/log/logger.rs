//! Takes diagnostic lines from the `log` crate, chooses them by `RUST_LOG`, and queues them.

use env_filter::{Builder, Filter};
use log::{Level, LevelFilter, Log, Metadata, Record};

use super::{
    line::with_line,
    state::{flush, push, settings},
};

/// The logger of the process.
#[derive(Debug)]
pub(super) struct Logger(Filter);

impl Logger {
    /// Returns a logger of the lines that this text chooses, as `RUST_LOG` has it.
    pub(super) fn new(filter: &str) -> Self {
        Self(Builder::new().parse(filter).build())
    }

    /// Returns whether lines of this target and level pass.
    pub(super) fn passes(&self, target: &str, level: Level) -> bool {
        self.0.enabled(&Metadata::builder().target(target).level(level).build())
    }

    /// Returns the level of the least urgent lines that may pass.
    pub(super) fn max_level(&self) -> LevelFilter {
        self.0.filter()
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.0.matches(record) {
            with_line(settings().format, record.level(), record.target(), |line| {
                line.message(*record.args());
                line.end();
                push(line.bytes());
            });
        }
    }

    fn flush(&self) {
        flush();
    }
}
