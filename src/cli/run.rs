//! `linkpush run`: serve, as a configuration says.

use std::{path::PathBuf, process::ExitCode};

use crate::{config, server::Server};

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = match config::read(&args.config) {
        Ok(config) => config,
        Err(problems) => {
            eprintln!("{problems}");
            return Ok(ExitCode::FAILURE);
        }
    };
    Server::new(config)?.run()?;
    Ok(ExitCode::SUCCESS)
}
