//! Has a running server hand its sockets over to a new process of its binary (`linkpush upgrade`).

use std::{path::PathBuf, process::ExitCode};

use super::target;

/// Arguments of `upgrade`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The server's configuration file; it is checked first, and names the pid file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Signals the running server, and waits until the pid file names another process.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Some(old) = target::find(&args.config)? else {
        return Ok(ExitCode::FAILURE);
    };
    let new = old.upgrade(&args.config)?;
    println!(
        "process {} serves; process {} finishes its requests and ends",
        new.id(),
        old.id()
    );
    Ok(ExitCode::SUCCESS)
}
