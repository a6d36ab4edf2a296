//! Sends one request after another to a collector, each on a connection of its own: an HTTP/1.1 client of the smallest
//! kind, which the sender's thread waits for.

use std::{
    io::{self, Read as _, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};

/// Most bytes of a collector's response.
const MAX_RESPONSE: u64 = 64 * 1024;

/// Most fields of a collector's response.
const MAX_FIELDS: usize = 64;

/// The port of OTLP over HTTP.
const PORT: u16 = 4318;

/// Why a request to the collector has no response.
#[derive(Debug, thiserror::Error)]
enum CollectorError {
    /// The URL has no host.
    #[error("the URL has no host")]
    NoHost,
    /// The host's name has no address.
    #[error("the host has no address")]
    NoAddress,
    /// The response is not one of HTTP/1.1, or longer than [`MAX_RESPONSE`].
    #[error("the response is malformed")]
    Malformed,
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A client of a collector.
#[derive(Debug)]
pub(super) struct CollectorClient {
    /// Most time to connect, and for each read and write.
    timeout: Duration,
}

impl CollectorClient {
    pub(super) const fn new(timeout: Duration) -> Self {
        Self { timeout }
    }

    fn send(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, CollectorError> {
        let uri = request.uri();
        let host = uri.host().ok_or(CollectorError::NoHost)?;
        let port = uri.port_u16().unwrap_or(PORT);
        let unbracketed = host.trim_start_matches('[').trim_end_matches(']');
        let address = (unbracketed, port).to_socket_addrs()?.next();
        let address = address.ok_or(CollectorError::NoAddress)?;
        let mut stream = TcpStream::connect_timeout(&address, self.timeout)?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        let mut head = format!(
            "POST {} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\nContent-Length: {}\r\n",
            uri.path(),
            request.body().len()
        )
        .into_bytes();
        for (name, value) in request.headers() {
            if name != http::header::CONTENT_LENGTH && name != http::header::HOST {
                head.extend_from_slice(name.as_str().as_bytes());
                head.extend_from_slice(b": ");
                head.extend_from_slice(value.as_bytes());
                head.extend_from_slice(b"\r\n");
            }
        }
        head.extend_from_slice(b"\r\n");
        stream.write_all(&head)?;
        stream.write_all(request.body())?;
        let mut bytes = Vec::new();
        stream.take(MAX_RESPONSE).read_to_end(&mut bytes)?;
        response(&bytes)
    }
}

/// Parses the status and the head of a response; its content tells nothing that is used.
fn response(bytes: &[u8]) -> Result<Response<Bytes>, CollectorError> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut fields);
    match (parsed.parse(bytes), parsed.code) {
        (Ok(httparse::Status::Complete(_)), Some(code)) => Response::builder()
            .status(code)
            .body(Bytes::new())
            .map_err(|_| CollectorError::Malformed),
        _ => Err(CollectorError::Malformed),
    }
}

#[async_trait]
impl HttpClient for CollectorClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        Ok(self.send(&request)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_response_is_read() {
        for (bytes, status) in [
            (&b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"[..], Some(200)),
            (b"HTTP/1.1 503 Busy\r\n\r\nlater", Some(503)),
            (b"HTTP/1.1 200 OK\r\n", None),
            (b"", None),
            (b"SSH-2.0", None),
        ] {
            let read = response(bytes).ok().map(|response| response.status().as_u16());
            assert_eq!(read, status, "{}", bytes.escape_ascii());
        }
    }
}
