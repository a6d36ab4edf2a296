//! Parses the arguments, starts the log, runs the subcommand and returns its exit code.

use std::{io::Write as _, process::ExitCode};

use clap::Parser;
use linkpush::{
    cli::{self, Arguments},
    telemetry::log,
};

/// The allocator: each proxied request allocates, and mimalloc is faster at that than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = Arguments::parse();
    let log = match log::start() {
        Ok(log) => log,
        Err(e) => {
            let e = anyhow::Error::new(e).context("the log cannot be written");
            // Nothing else can tell. Where this cannot, the exit code does.
            let _ = std::io::stderr().write_all(cli::report(&e).as_bytes());
            return ExitCode::FAILURE;
        }
    };
    match cli::run(args.command) {
        Ok(code) => code,
        Err(e) => {
            log.last_words(&cli::report(&e));
            ExitCode::FAILURE
        }
    }
}
