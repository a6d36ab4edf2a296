//! Has a running server read its configuration again (`linkpush reload`).

use std::{path::PathBuf, process::ExitCode};

use super::target;

/// Arguments of `reload`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The server's configuration file; it is checked first, and names the pid file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Checks the file, then signals the running server.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Some(running) = target::find(&args.config)? else {
        return Ok(ExitCode::FAILURE);
    };
    running.reload()?;
    println!(
        "process {} reads {} again; its log says what has changed",
        running.id(),
        args.config.display()
    );
    Ok(ExitCode::SUCCESS)
}
