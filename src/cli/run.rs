//! Serves by a configuration file (`linkpush run`).

use std::{path::PathBuf, process::ExitCode};

use crate::server::{Server, Sockets};

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// Take the sockets over from the process in the pid file, which then ends
    #[arg(long)]
    take_over: bool,
}

/// Serves until the process is told to end.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Some(config) = super::configuration::configured(&args.config) else {
        return Ok(ExitCode::FAILURE);
    };
    let sockets = if args.take_over {
        Sockets::TakeOver
    } else {
        Sockets::Open
    };
    Server::new(config, Some(args.config.clone()), sockets)?.run()?;
    Ok(ExitCode::SUCCESS)
}
