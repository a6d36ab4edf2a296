//! Parses the arguments, starts the log, runs the subcommand and returns its exit code.

use std::process::ExitCode;

use clap::Parser;
use linkpush::{
    cli::{self, Arguments},
    telemetry::Quiet,
};

/// The allocator: each proxied request allocates, and mimalloc is faster at that than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = Arguments::parse();
    init_log();
    match cli::run(args.command) {
        Ok(code) => code,
        Err(e) => {
            cli::report(&e);
            ExitCode::FAILURE
        }
    }
}

/// Starts the log. `RUST_LOG` chooses the lines; by default life cycle, access lines and Pingora's warnings. The
/// warnings of Pingora's cache are off: one for each stale response and each client that leaves, which the access line
/// has, too.
fn init_log() {
    let env = env_logger::Env::default()
        .default_filter_or("info,pingora_core=warn,pingora_proxy=warn,pingora_proxy::proxy_cache=off");
    let logger = env_logger::Builder::from_env(env).format_timestamp_millis().build();
    log::set_max_level(logger.filter());
    // Fails only if a logger was set before, and none was.
    let _ = log::set_boxed_logger(Box::new(Quiet::new(logger)));
}
