//! Sends one request to the admin service of a running server, for the commands that ask or change it.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    time::Duration,
};

use anyhow::{Context, bail};
use http::StatusCode;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    config::{AdminEndpoint, Config},
    server::Refused,
};

/// Posts a request as JSON to the server of a configuration, and returns the content of the response.
pub(super) fn post<R: DeserializeOwned>(config: &Config, path: &str, request: &impl Serialize) -> anyhow::Result<R> {
    match &config.server.admin {
        None => bail!("server.admin is not set, so a running server cannot be reached"),
        Some(AdminEndpoint::Address(address)) => {
            let stream = TcpStream::connect_timeout(address, CONNECT_TIMEOUT)
                .with_context(|| format!("cannot reach the server at {address}"))?;
            stream.set_read_timeout(Some(RESPONSE_TIMEOUT))?;
            send(stream, path, request)
        }
        Some(AdminEndpoint::Socket(socket)) => {
            let stream = UnixStream::connect(socket)
                .with_context(|| format!("cannot reach the server at {}", socket.display()))?;
            stream.set_read_timeout(Some(RESPONSE_TIMEOUT))?;
            send(stream, path, request)
        }
    }
}

/// Time limit of the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Time limit of the server's response: a purge looks at every stored response, and ten million take seconds.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes of the longest response that is read; the server's have less than 100 KiB.
const MAX_RESPONSE: u64 = 1024 * 1024;

/// Sends a request over a connection, and returns the content of the response.
fn send<R: DeserializeOwned>(mut stream: impl Read + Write, path: &str, request: &impl Serialize) -> anyhow::Result<R> {
    let body = serde_json::to_string(request)?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
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
    serde_json::from_slice(body).context("the server's response is of another version")
}
