//! Removes stored responses from a running server (`linkpush purge`), over its admin address or socket.

use std::{path::PathBuf, process::ExitCode};

use super::admin;
use crate::server::{PURGE_PATH, PurgeRequest, Purged};

/// Arguments of `purge`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true)))]
pub struct Args {
    /// The server's configuration file, which names its admin address or socket
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Remove the stored responses of all URLs that begin with this
    #[arg(long, value_name = "URL", group = "what")]
    prefix: Option<String>,
    /// Remove all stored responses
    #[arg(long, group = "what")]
    all: bool,
    /// Remove the stored responses of this URL
    #[arg(value_name = "URL", group = "what")]
    url: Option<String>,
}

/// Sends the purge to the running server, and prints the number of removed responses.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Some(config) = super::configuration::configured(&args.config) else {
        return Ok(ExitCode::FAILURE);
    };
    let request = match (&args.url, &args.prefix) {
        (Some(url), _) => PurgeRequest::Url(url.clone()),
        (None, Some(prefix)) => PurgeRequest::Prefix(prefix.clone()),
        (None, None) => PurgeRequest::All(args.all),
    };
    let purged: Purged = admin::post(&config, PURGE_PATH, &request)?;
    println!("{} answers purged", purged.purged);
    Ok(ExitCode::SUCCESS)
}
