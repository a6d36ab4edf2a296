//! The subcommands, one file each.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command's answer goes to the terminal"
)]

mod check;
mod demo;
mod explain;
#[cfg(feature = "probe")]
mod probe;
mod purge;
mod reload;
mod run;
mod target;
mod upgrade;

use std::{path::Path, process::ExitCode};

use clap::Subcommand;

use crate::config::{self, Config};

/// What linkpush is asked to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve, as a configuration says
    Run(run::Args),
    /// Make a running server read its configuration again
    Reload(reload::Args),
    /// Make a running server forget answers that it keeps
    Purge(purge::Args),
    /// Replace a running server by its binary of now, without a lost request
    Upgrade(upgrade::Args),
    /// Tell every problem of configuration files
    Check(check::Args),
    /// Tell what would be delivered for a response, and why not the rest
    Explain(Box<explain::Args>),
    /// Fetch a page as a client that accepts pushes, and show what came
    #[cfg(feature = "probe")]
    Probe(probe::Args),
    /// Serve a demonstration: a bundled origin, and the edge in front of it
    Demo(demo::Args),
}

/// Runs a command.
///
/// # Errors
///
/// What kept it from being carried out.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(args) => run::run(&args),
        Command::Reload(args) => reload::run(&args),
        Command::Purge(args) => purge::run(&args),
        Command::Upgrade(args) => upgrade::run(&args),
        Command::Check(args) => Ok(check::run(&args)),
        Command::Explain(args) => explain::run(&args),
        #[cfg(feature = "probe")]
        Command::Probe(args) => probe::run(&args),
        Command::Demo(args) => demo::run(&args),
    }
}

/// What a file configures; `None` if the file is wrong, which is told then.
fn configured(file: &Path) -> Option<Config> {
    match config::read(file) {
        Ok(config) => Some(config),
        Err(problems) => {
            eprintln!("{problems}");
            None
        }
    }
}

/// Prints an error with its causes on one line.
pub fn report(error: &anyhow::Error) {
    eprintln!("linkpush: {error:#}");
}

/// Exit code of bad usage, as clap's own.
const USAGE: u8 = 2;
