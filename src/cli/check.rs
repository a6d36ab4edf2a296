//! Checks configuration files (`linkpush check`), and prints all of their problems and warnings.

use std::{path::PathBuf, process::ExitCode, time::SystemTime};

use crate::telemetry::log::try_file;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Checks each file.
pub(super) fn run(args: &Args) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for file in &args.files {
        let Some(config) = super::configuration::configured(file) else {
            code = ExitCode::FAILURE;
            continue;
        };
        if let Some(Err(e)) = config.server.log.file.as_deref().map(try_file) {
            eprintln!("{}: {e}", file.display());
            code = ExitCode::FAILURE;
            continue;
        }
        for warning in config.warnings(SystemTime::now()) {
            eprintln!("{}: warning: {warning}", file.display());
        }
        println!(
            "{}: ok, {} listeners, {} upstreams, {} routes",
            file.display(),
            config.listeners.len(),
            config.upstreams.len(),
            config.routes.len()
        );
    }
    code
}
