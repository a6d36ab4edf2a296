//! `linkpush purge`: a running server forgets answers that it keeps.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail};
use http::StatusCode;

use crate::{
    config::AdminEndpoint,
    server::{PURGE_PATH, PurgeRequest, Purged, Refused},
};

/// Arguments of `purge`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true)))]
pub struct Args {
    /// The server's configuration file, which names its admin entrance
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Forget the answers of all URLs that begin like this
    #[arg(long, value_name = "URL", group = "what")]
    prefix: Option<String>,
    /// Forget everything
    #[arg(long, group = "what")]
    all: bool,
    /// The URL whose answers are forgotten
    #[arg(value_name = "URL", group = "what")]
    url: Option<String>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Some(config) = super::configured(&args.config) else {
        return Ok(ExitCode::FAILURE);
    };
    let Some(admin) = config.server.admin else {
        bail!("server.admin is not set, so a running server cannot be reached");
    };
    let request = match (&args.url, &args.prefix) {
        (Some(url), _) => PurgeRequest::Url(url.clone()),
        (None, Some(prefix)) => PurgeRequest::Prefix(prefix.clone()),
        (None, None) => PurgeRequest::All(args.all),
    };
    let purged = match &admin {
        AdminEndpoint::Address(address) => {
            let stream = TcpStream::connect_timeout(address, CONNECT_TIMEOUT)
                .with_context(|| format!("cannot reach the server at {address}"))?;
            stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
            ask(stream, &request)
        }
        AdminEndpoint::Socket(path) => {
            let stream =
                UnixStream::connect(path).with_context(|| format!("cannot reach the server at {}", path.display()))?;
            stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
            ask(stream, &request)
        }
    }?;
    println!("{purged} answers purged");
    Ok(ExitCode::SUCCESS)
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// It looks at everything that is kept: ten million answers take some seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// More than it ever says.
const MAX_ANSWER: u64 = 64 * 1024;

/// Asks, and returns how many answers were purged.
fn ask(mut stream: impl Read + Write, request: &PurgeRequest) -> anyhow::Result<u64> {
    let body = serde_json::to_string(request)?;
    let head = format!(
        "POST {PURGE_PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all([head, body].concat().as_bytes())?;
    let mut answer = Vec::new();
    stream
        .take(MAX_ANSWER)
        .read_to_end(&mut answer)
        .context("the server does not answer")?;
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(length) = head.parse(&answer).context("the server's answer is no HTTP")? else {
        bail!("the server's answer is not complete");
    };
    let body = answer.get(length..).unwrap_or_default();
    if head.code != Some(StatusCode::OK.as_u16()) {
        let refused: Refused = serde_json::from_slice(body).context("the server refuses, and does not say why")?;
        bail!("the server refuses: {}", refused.error);
    }
    let purged: Purged = serde_json::from_slice(body).context("the server's answer is no number")?;
    Ok(purged.purged)
}
