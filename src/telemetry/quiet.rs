//! What Pingora calls an error and is none: [`Quiet`].
//!
//! With several threads, one may take a kept connection to an origin while the task that watched it has not quite let it
//! go. Pingora 0.9.1 drops it, makes another, and logs an error, a few for ten thousand requests under load.

use log::{Level, Log, Metadata, Record};

/// Passes on everything else, and that where the target's debug lines are wanted.
#[derive(Debug)]
pub struct Quiet<L>(pub L);

/// The target's only error; a warning of it tells of an origin that sends what nobody asked for.
const TARGET: &str = "pingora_core::connectors";

impl<L: Log> Log for Quiet<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if record.level() == Level::Error && record.target() == TARGET {
            let debug = Metadata::builder().target(TARGET).level(Level::Debug).build();
            if !self.0.enabled(&debug) {
                return;
            }
        }
        self.0.log(record);
    }

    fn flush(&self) {
        self.0.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    struct Counting {
        level: Level,
        lines: AtomicUsize,
    }

    impl Log for Counting {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.level() <= self.level
        }

        fn log(&self, _: &Record<'_>) {
            self.lines.fetch_add(1, Ordering::Relaxed);
        }

        fn flush(&self) {}
    }

    fn lines(enabled: Level, target: &str, level: Level) -> usize {
        let quiet = Quiet(Counting {
            level: enabled,
            lines: AtomicUsize::new(0),
        });
        quiet.log(&Record::builder().target(target).level(level).build());
        quiet.0.lines.load(Ordering::Relaxed)
    }

    #[test]
    fn only_what_is_no_error_is_left_out() {
        assert_eq!(lines(Level::Info, TARGET, Level::Error), 0);
        assert_eq!(lines(Level::Debug, TARGET, Level::Error), 1);
        assert_eq!(lines(Level::Info, TARGET, Level::Warn), 1);
        assert_eq!(lines(Level::Info, "pingora_core::server", Level::Error), 1);
    }
}
