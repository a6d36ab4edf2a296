//! Responds to a malformed HTTP/1.x request, which never reaches Pingora.

use std::time::Duration;

use http::StatusCode;
use log::debug;
use pingora::protocols::http::date::get_cached_date;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::head::{self, BadHead};
use crate::{exchange::error_page, listen::ClientIo, telemetry::access};

/// Time, and bytes below, for which the client's further bytes are read and dropped after the response: if the socket
/// is closed with unread bytes, the system sends a reset, and the client may lose the response.
const DRAIN: Duration = Duration::from_secs(1);
const MAX_DRAINED: u64 = 1 << 20;

/// Sends the error page, writes the access line and closes the connection.
pub(super) async fn refuse(mut client_io: Box<ClientIo>, bytes: &[u8], why: BadHead, write_timeout: Duration) {
    let status = StatusCode::from_u16(why.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let page = error_page(status);
    let mut response = format!("HTTP/1.1 {status}\r\nDate: ").into_bytes();
    response.extend_from_slice(get_cached_date().as_bytes());
    response.extend_from_slice(
        format!(
            "\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
            page.len()
        )
        .as_bytes(),
    );
    let responding = async {
        client_io.write_all(&response).await?;
        client_io.shutdown().await
    };
    let outcome = timeout(write_timeout, responding).await;
    log(&client_io, bytes, why);
    if !matches!(outcome, Ok(Ok(()))) {
        return debug!("a client did not take the response to a bad request");
    }
    let mut rest = client_io.take(MAX_DRAINED);
    let _ = timeout(DRAIN, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
}

/// Writes the access line of a request whose head was not complete within a time limit. The client gets no response.
pub(super) fn log_late(client_io: &ClientIo, bytes: &[u8], limit: Duration) {
    let address = client_io.peer().map(|peer| peer.address);
    let (method, target) = head::line(bytes);
    let why = format_args!("the request head was not complete after {limit:?}");
    access::write_refused(address, "http/1.1", (&method, &target), None, &why);
}

fn log(client_io: &ClientIo, bytes: &[u8], why: BadHead) {
    let address = client_io.peer().map(|peer| peer.address);
    debug!("refusing a request from {address:?}: {why}");
    let (method, target) = head::line(bytes);
    access::write_refused(address, "http/1.1", (&method, &target), Some(why.status()), &why);
}
