//! Has a running server read its configuration again, and tells whether it is in force (`linkpush reload`).

use std::{path::PathBuf, process::ExitCode};

use super::target;

/// Arguments of `reload`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The server's configuration file; it is checked first, and names the pid file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Checks the file, signals the running server, and waits until the file is in force.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Some(running) = target::find(&args.config)? else {
        return Ok(ExitCode::FAILURE);
    };
    let reloaded = running.reload(&args.config)?;
    println!("process {} serves by {}", running.id(), args.config.display());
    for setting in reloaded.takes_restart {
        println!("{setting} has changed, which takes a restart; the rest is in force");
    }
    Ok(ExitCode::SUCCESS)
}
