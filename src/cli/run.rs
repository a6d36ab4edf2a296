//! Serves by a configuration file (`linkpush run`).

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{
    config::{Config, Inspected},
    server::{Server, ServerError, Sockets, tell_failure, unwritable},
};

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
    let sockets = if args.take_over {
        Sockets::TakeOver
    } else {
        Sockets::Open
    };
    let config = match usable(&args.config) {
        Ok(config) => config,
        Err(problems) => {
            eprintln!("{problems}");
            tell_failure(&problems);
            return Ok(ExitCode::FAILURE);
        }
    };
    let served = Server::new(config, Some(args.config.clone()), sockets).and_then(Server::run);
    if let Err(e) = served {
        let has_served = matches!(e, ServerError::Stopped);
        let e = anyhow::Error::from(e);
        if !has_served {
            tell_failure(&format!("{e:#}"));
        }
        return Err(e);
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads a configuration whose paths this process can write; returns all problems, one a line.
fn usable(file: &Path) -> Result<Config, String> {
    let inspected = Inspected::open(file).map_err(|problems| problems.to_string())?;
    let problems: Vec<String> = unwritable(&inspected.config.server)
        .iter()
        .map(|path| inspected.problem(path.setting, &path.to_string()).to_string())
        .collect();
    if problems.is_empty() {
        return Ok(inspected.config);
    }
    Err(problems.join("\n"))
}
