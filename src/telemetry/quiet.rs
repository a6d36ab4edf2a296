//! Filters Pingora's log lines: limits the rate of each warning, and drops errors that are no fault of this server.
//!
//! Pingora warns once per request of many events that any client or origin can cause at will; the access line of the
//! request has the cause.
//!
//! One dropped error comes from a race in Pingora 0.9.1: a thread may take an idle connection to an origin from the
//! pool before the task that watches it has released it. Pingora then drops that connection, opens another and logs an
//! error, for less than one in 1000 requests under load. Another belongs to each upgrade: the new process finds at first
//! that the old one has not sent its sockets yet, and waits.

use std::{fmt, time::Instant};

use log::{Level, Log, Metadata, Record};

use super::{
    exhausted,
    seldom::{LeftOut, SeldomEach},
};

/// A logger that passes other lines on. Each warning of Pingora is rate-limited, unless debug lines of its target are
/// on.
#[derive(Debug)]
pub(super) struct Quiet<L> {
    log: L,
    /// Rate limits by the source line that warns.
    warnings: SeldomEach<LogPlace>,
}

type LogPlace = (Option<&'static str>, Option<u32>);

/// The target whose only error is that race. Its warnings, of origins that send unrequested bytes, are only
/// rate-limited.
const TARGET: &str = "pingora_core::connectors";

/// Errors that only mean that a client, an origin or the process before an upgrade broke off or is late, by target and
/// first words. For clients and origins, the access line has the cause.
const OF_OTHERS: [(&str, &str); 4] = [
    (
        "pingora_core::server::transfer_fd",
        "No incoming socket transfer, sleep",
    ),
    ("pingora_proxy::proxy_cache", "Fail to serve cache"),
    ("pingora_proxy::proxy_cache", "upstream response filter error on 304"),
    ("pingora_proxy::proxy_h1", "Error finish sending body to downstream"),
];

/// Returns whether an operator can ignore an error of Pingora.
fn can_be_ignored(record: &Record<'_>) -> bool {
    let is_of_others =
        |(target, text): &(&str, &str)| record.target() == *target && record.args().to_string().starts_with(text);
    record.target() == TARGET || OF_OTHERS.iter().any(is_of_others)
}

impl<L: Log> Quiet<L> {
    /// Returns a filter in front of `log`.
    #[must_use]
    pub(super) fn new(log: L) -> Self {
        Self {
            log,
            warnings: SeldomEach::default(),
        }
    }

    fn is_debugged(&self, target: &str) -> bool {
        let debug = Metadata::builder().target(target).level(Level::Debug).build();
        self.log.enabled(&debug)
    }

    /// Passes a record on with another level and text.
    fn pass(&self, record: &Record<'_>, metadata: Metadata<'_>, text: fmt::Arguments<'_>) {
        self.log.log(
            &Record::builder()
                .metadata(metadata)
                .args(text)
                .module_path(record.module_path())
                .file(record.file())
                .line(record.line())
                .build(),
        );
    }

    fn may_warn(&self, record: &Record<'_>) -> Option<LeftOut> {
        let place = (record.file_static(), record.line());
        self.warnings.may_warn(place, Instant::now())
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
        if record.level() == Level::Error && can_be_ignored(record) {
            return;
        }
        let text = record.args().to_string();
        if exhausted::is_told_by(&text) {
            if let Some(left_out) = exhausted::may_warn() {
                let text = exhausted::text("new connections wait", left_out);
                let target = Metadata::builder().target(record.target()).level(Level::Warn).build();
                self.pass(record, target, format_args!("{text}"));
            }
            return;
        }
        if let Some(left_out) = self.may_warn(record) {
            self.pass(record, record.metadata().clone(), format_args!("{text}{left_out}"));
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
    fn each_warning_of_pingora_is_rate_limited() {
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
            // A real logger would drop records of levels that are off; this one counts every record that reaches it.
            assert_eq!(passed, expected, "{enabled} {target} {level}");
        }
    }
}
