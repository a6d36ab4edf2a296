//! Has a running server hand its sockets over to a new process of its binary (`linkpush upgrade`).

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

/// Time limit of the whole upgrade: Pingora gives up on a hand-over after five seconds, and the new process needs time
/// to start.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Signals the running server, and waits until the pid file names another process.
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
