//! Removes stored responses from a running server (`linkpush purge`), over its admin address or socket.

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
            stream.set_read_timeout(Some(RESPONSE_TIMEOUT))?;
            send(stream, &request)
        }
        AdminEndpoint::Socket(path) => {
            let stream =
                UnixStream::connect(path).with_context(|| format!("cannot reach the server at {}", path.display()))?;
            stream.set_read_timeout(Some(RESPONSE_TIMEOUT))?;
            send(stream, &request)
        }
    }?;
    println!("{purged} answers purged");
    Ok(ExitCode::SUCCESS)
}

/// Time limit of the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Time limit of the server's response: a purge looks at every stored response, and ten million take seconds.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes of the longest response that is read; the server's have less than 1 KiB.
const MAX_RESPONSE: u64 = 64 * 1024;

/// Sends the purge over a connection, and returns the number of removed responses.
fn send(mut stream: impl Read + Write, request: &PurgeRequest) -> anyhow::Result<u64> {
    let body = serde_json::to_string(request)?;
    let head = format!(
        "POST {PURGE_PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all([head, body].concat().as_bytes())?;
    let mut response = Vec::new();
    stream
        .take(MAX_RESPONSE)
        .read_to_end(&mut response)
        .context("the server does not respond")?;
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(length) = head.parse(&response).context("the server's response is not HTTP")? else {
        bail!("the server's response is not complete");
    };
    let body = response.get(length..).unwrap_or_default();
    if head.code != Some(StatusCode::OK.as_u16()) {
        let refused: Refused = serde_json::from_slice(body).context("the server refuses, and gives no reason")?;
        bail!("the server refuses: {}", refused.error);
    }
    let purged: Purged = serde_json::from_slice(body).context("the server's response has no number")?;
    Ok(purged.purged)
}
