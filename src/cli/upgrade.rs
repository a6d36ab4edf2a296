//! `linkpush upgrade`: a running server leaves its sockets to a new process of its binary.

use std::{
    path::PathBuf,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use super::target;
use crate::{config, server::RunningServer};

/// Arguments of `upgrade`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The server's configuration file; it is checked first, and names the pid file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// A new process starts in less; Pingora gives up on a hand-over after five seconds.
const TIMEOUT: Duration = Duration::from_secs(15);

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Some(old) = target::find(&args.config)? else {
        return Ok(ExitCode::FAILURE);
    };
    let pid_file = config::read(&args.config)?.server.pid_file;
    old.upgrade()?;
    let until = Instant::now() + TIMEOUT;
    while Instant::now() < until {
        let now = pid_file.as_deref().and_then(|file| RunningServer::find(file).ok());
        if let Some(new) = now.filter(|&new| new != old) {
            println!(
                "process {} serves; process {} finishes its requests and ends",
                new.id(),
                old.id()
            );
            return Ok(ExitCode::SUCCESS);
        }
        thread::sleep(Duration::from_millis(20));
    }
    anyhow::bail!("process {} still serves after {TIMEOUT:?}; its log says why", old.id())
}
