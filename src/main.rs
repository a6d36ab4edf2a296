//! Arguments, log, subcommand, exit code.

use std::process::ExitCode;

use clap::Parser;
use linkpush::{
    cli::{self, Command},
    telemetry::Quiet,
};

/// Every proxied request allocates; this allocator makes that cheaper than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(name = "linkpush", version, about, arg_required_else_help = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let args = Args::parse();
    init_log();
    match cli::run(args.command) {
        Ok(code) => code,
        Err(e) => {
            cli::report(&e);
            ExitCode::FAILURE
        }
    }
}

/// `RUST_LOG` decides; without it: life cycle and access lines, and Pingora's warnings, but for those of its cache:
/// a line for each stale answer and each client that leaves, which the access line tells.
fn init_log() {
    let env = env_logger::Env::default()
        .default_filter_or("info,pingora_core=warn,pingora_proxy=warn,pingora_proxy::proxy_cache=off");
    let logger = env_logger::Builder::from_env(env).format_timestamp_millis().build();
    log::set_max_level(logger.filter());
    // Nobody was before us.
    let _ = log::set_boxed_logger(Box::new(Quiet::new(logger)));
}
