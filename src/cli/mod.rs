//! Parses and runs the subcommands, one file or folder each.
//!
//! Shared by them: `configuration` (reads the file that a command names), `target` (finds the running server),
//! `failure` (an error on the terminal), `admin` (a request to the running server), `pasted` (the URL in a pasted text),
//! `visit` (a page fetched as a described client).
//! `manual` has two commands: completions and man pages.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command prints its result on the terminal"
)]

mod admin;
mod check;
mod configuration;
mod demo;
mod explain;
mod failure;
mod learned;
mod manual;
mod pasted;
#[cfg(feature = "probe")]
mod probe;
mod purge;
mod reload;
mod run;
mod schema;
mod target;
mod upgrade;
#[cfg(feature = "probe")]
mod visit;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

pub use failure::report;
#[cfg(feature = "probe")]
pub use probe::{ChainFinding, FindingWeight, Symptom};

/// The arguments of the program.
#[derive(Debug, Parser)]
#[command(
    name = "linkpush",
    version,
    about = "An HTTP edge that pushes the assets which Link headers name",
    arg_required_else_help = true
)]
pub struct Arguments {
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// A subcommand with its arguments.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve by a configuration file
    Run(run::Args),
    /// Make a running server read its configuration again
    Reload(reload::Args),
    /// Remove stored responses from a running server
    Purge(purge::Args),
    /// Show what a running server knows of a document, or make it forget
    Learned(learned::Args),
    /// Replace a running server by the binary that is installed now, without a lost request
    Upgrade(upgrade::Args),
    /// Print every problem of configuration files
    Check(check::Args),
    /// Show which links of a response would be delivered, and why others would not
    Explain(Box<explain::Args>),
    /// Fetch a page as a client that accepts pushes, and show what was pushed and hinted
    #[cfg(feature = "probe")]
    Probe(probe::Args),
    /// Print the JSON Schema of configuration files, for editors
    Schema,
    /// Print completions for a shell
    Completions(manual::CompletionArgs),
    /// Write man pages into a folder
    Man(manual::ManArgs),
    /// Serve a demonstration: a bundled origin, and the edge in front of it
    Demo(demo::Args),
}

/// Runs a command.
///
/// # Errors
///
/// The command failed.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(args) => run::run(&args),
        Command::Reload(args) => reload::run(&args),
        Command::Purge(args) => purge::run(&args),
        Command::Learned(args) => learned::run(&args),
        Command::Upgrade(args) => upgrade::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Explain(args) => explain::run(&args),
        #[cfg(feature = "probe")]
        Command::Probe(args) => probe::run(&args),
        Command::Schema => schema::run(),
        Command::Completions(args) => Ok(manual::completions(&args, Arguments::command())),
        Command::Man(args) => manual::man(&args, Arguments::command()),
        Command::Demo(args) => demo::run(&args),
    }
}
