//! Reports panics in the log: the standard library's report would wait for a reader of standard error.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    panic::{PanicHookInfo, set_hook},
    thread,
};

use log::Level;

use super::{
    line::with_line,
    state::{push, settings},
};

/// The log target of panics. `RUST_LOG` does not choose them.
const TARGET: &str = "linkpush::panic";

/// Has panics reported in the log.
pub(super) fn report_to_log() {
    set_hook(Box::new(report));
}

fn report(info: &PanicHookInfo<'_>) {
    let thread = thread::current();
    let name = thread.name().unwrap_or("without a name");
    // `RUST_BACKTRACE` asks for one.
    let backtrace = Backtrace::capture();
    with_line(settings().format, Level::Error, TARGET, |line| {
        if backtrace.status() == BacktraceStatus::Captured {
            line.message(format_args!("thread {name:?}: {info}\n{backtrace}"));
        } else {
            line.message(format_args!("thread {name:?}: {info}"));
        }
        line.end();
        push(line.bytes());
    });
}
