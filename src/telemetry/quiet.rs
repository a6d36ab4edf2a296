//! [`Quiet`]: a logger that leaves out most of Pingora's warnings, and an error of its that is none.
//!
//! With several threads, one may take a kept connection to an origin while the task that watched it has not quite let it
//! go. Pingora 0.9.1 drops it, makes another, and logs an error, a few for ten thousand requests under load. Of other
//! things it warns once a request, which any client or origin can bring about at its own pace; the access line tells the
//! request's side of it.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use log::{Level, Log, Metadata, Record};

use super::seldom::{LeftOut, Seldom};

/// Passes on all but that; of each warning of Pingora one in a while, and all where its debug lines are wanted.
#[derive(Debug)]
pub struct Quiet<L> {
    log: L,
    /// By the line of source that warns.
    warnings: Mutex<HashMap<LogPlace, Seldom>>,
}

type LogPlace = (Option<&'static str>, Option<u32>);

/// The target's only error; a warning of it tells of an origin that sends what nobody asked for.
const TARGET: &str = "pingora_core::connectors";

/// Errors of the proxy that are only what a client or an origin does, by target and first words. The access line of the request
/// says the same.
const OF_OTHERS: [(&str, &str); 3] = [
    ("pingora_proxy::proxy_cache", "Fail to serve cache"),
    ("pingora_proxy::proxy_cache", "upstream response filter error on 304"),
    ("pingora_proxy::proxy_h1", "Error finish sending body to downstream"),
];

/// Whether an error of Pingora's is none of an operator's.
fn is_none(record: &Record<'_>) -> bool {
    let is_of_others =
        |(target, text): &(&str, &str)| record.target() == *target && record.args().to_string().starts_with(text);
    record.target() == TARGET || OF_OTHERS.iter().any(is_of_others)
}

impl<L: Log> Quiet<L> {
    /// A log that passes on to another.
    #[must_use]
    pub fn new(log: L) -> Self {
        Self {
            log,
            warnings: Mutex::default(),
        }
    }

    fn is_debugged(&self, target: &str) -> bool {
        let debug = Metadata::builder().target(target).level(Level::Debug).build();
        self.log.enabled(&debug)
    }

    fn may_warn(&self, record: &Record<'_>) -> Option<LeftOut> {
        let place = (record.file_static(), record.line());
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.entry(place).or_default().may_warn(Instant::now())
    }
}

impl<L: Log> Log for Quiet<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.log.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let is_pingoras = record.target().starts_with("pingora") && record.level() <= Level::Warn;
        if !is_pingoras || !self.enabled(record.metadata()) || self.is_debugged(record.target()) {
            return self.log.log(record);
        }
        if record.level() == Level::Error && is_none(record) {
            return;
        }
        if let Some(left_out) = self.may_warn(record) {
            let text = record.args();
            self.log.log(
                &Record::builder()
                    .metadata(record.metadata().clone())
                    .args(format_args!("{text}{left_out}"))
                    .module_path(record.module_path())
                    .file(record.file())
                    .line(record.line())
                    .build(),
            );
        }
    }

    fn flush(&self) {
        self.log.flush();
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
        let quiet = Quiet::new(Counting {
            level: enabled,
            lines: AtomicUsize::new(0),
        });
        for line in [1, 1, 2] {
            quiet.log(&Record::builder().target(target).level(level).line(Some(line)).build());
        }
        quiet.log.lines.load(Ordering::Relaxed)
    }

    #[test]
    fn pingora_warns_seldom_of_each_thing() {
        let server = "pingora_core::server";
        for (enabled, target, level, expected) in [
            (Level::Info, TARGET, Level::Error, 0),
            (Level::Debug, TARGET, Level::Error, 3),
            (Level::Info, TARGET, Level::Warn, 2),
            (Level::Info, server, Level::Error, 2),
            (Level::Info, server, Level::Warn, 2),
            (Level::Info, server, Level::Info, 3),
            (Level::Error, server, Level::Warn, 3),
            (Level::Info, "linkpush::server", Level::Warn, 3),
        ] {
            let passed = lines(enabled, target, level);
            // The logger behind drops records of levels that are off; this one counts what reaches it.
            assert_eq!(passed, expected, "{enabled} {target} {level}");
        }
    }
}
