//! Writes a request and reads responses of HTTP/1.1 (RFC 9112).

use bytes::{Buf as _, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use url::Url;

use crate::fields::length;

/// Bytes of the largest content that is read.
const MAX_BODY: usize = 16 << 20;

/// The head of a response, interim or final.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MessageHead {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
}

/// Writes the head of a GET request.
pub(super) fn request_head(url: &Url, authority: &str, fields: &HeaderMap, more: &[(&str, &str)]) -> Vec<u8> {
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let mut head = format!("GET {target} HTTP/1.1\r\nhost: {authority}\r\n").into_bytes();
    let fields = fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    for (name, value) in fields.chain(more.iter().map(|(name, value)| (*name, value.as_bytes()))) {
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// Reads the next head. `buffer` holds bytes that were read and belong to what follows.
///
/// # Errors
///
/// In words: the connection ended or broke, or the bytes are no head of HTTP/1.x.
pub(super) async fn read_head(
    transport: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> Result<MessageHead, String> {
    loop {
        if let Some(head) = parse_head(buffer)? {
            return Ok(head);
        }
        if buffer.len() > MAX_HEAD {
            return Err(format!("the response's head is longer than {} KiB", MAX_HEAD >> 10));
        }
        let read = transport.read_buf(buffer).await;
        if read.map_err(|error| format!("the connection broke: {error}"))? == 0 {
            return Err(if buffer.is_empty() {
                "the server closed the connection without a response".to_owned()
            } else {
                "the connection ended within the response's head".to_owned()
            });
        }
    }
}

/// Takes a head from the buffer, once it is there.
fn parse_head(buffer: &mut BytesMut) -> Result<Option<MessageHead>, String> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let wrong = |error: &dyn std::fmt::Display| {
        let start = buffer.get(..buffer.len().min(24)).unwrap_or_default();
        format!(
            "no response of HTTP/1.1 ({error}), it begins with {}",
            start.escape_ascii()
        )
    };
    let parsed = httparse::ParserConfig::default().parse_response(&mut response, buffer);
    let httparse::Status::Complete(length) = parsed.map_err(|error| wrong(&error))? else {
        return Ok(None);
    };
    let mut headers = HeaderMap::new();
    for field in response.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|error| wrong(&error))?;
        let value = HeaderValue::from_bytes(field.value).map_err(|error| wrong(&error))?;
        headers.append(name, value);
    }
    let status = StatusCode::from_u16(response.code.unwrap_or_default()).map_err(|error| wrong(&error))?;
    buffer.advance(length);
    Ok(Some(MessageHead { status, headers }))
}

/// Reads the content behind a final head, up to [`MAX_BODY`] bytes. Returns it whole.
///
/// # Errors
///
/// In words: the content ended early, or breaks the rules of its framing.
pub(super) async fn read_body(
    transport: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    head: &MessageHead,
) -> Result<Vec<u8>, String> {
    let has_none = matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if has_none {
        return Ok(Vec::new());
    }
    let mut body = ContentReader { transport, buffer };
    let codings = head.headers.get_all(header::TRANSFER_ENCODING);
    let last = codings
        .iter()
        .next_back()
        .map(|value| value.as_bytes().to_ascii_lowercase());
    if last.is_some_and(|value| value.trim_ascii().ends_with(b"chunked")) {
        return body.chunks().await;
    }
    match head.headers.get(header::CONTENT_LENGTH) {
        Some(value) => {
            let length = length::read(value.as_bytes()).and_then(|length| usize::try_from(length).ok());
            let length =
                length.ok_or_else(|| format!("no length: Content-Length: {}", value.as_bytes().escape_ascii()))?;
            body.exactly(length).await
        }
        None => body.until_the_end().await,
    }
}

/// Content that is being read.
struct ContentReader<'a, T> {
    transport: &'a mut T,
    buffer: &'a mut BytesMut,
}

impl<T: AsyncRead + Unpin> ContentReader<'_, T> {
    /// Reads more bytes; `false` at the end of the connection.
    async fn more(&mut self) -> Result<bool, String> {
        let read = self.transport.read_buf(self.buffer).await;
        Ok(read.map_err(|error| format!("the connection broke within the content: {error}"))? > 0)
    }

    async fn exactly(&mut self, length: usize) -> Result<Vec<u8>, String> {
        check(length)?;
        while self.buffer.len() < length {
            if !self.more().await? {
                return Err(format!(
                    "the content ended after {} of {length} bytes",
                    self.buffer.len()
                ));
            }
        }
        Ok(self.buffer.split_to(length).to_vec())
    }

    async fn until_the_end(&mut self) -> Result<Vec<u8>, String> {
        while self.more().await? {
            check(self.buffer.len())?;
        }
        Ok(self.buffer.split().to_vec())
    }

    async fn chunks(&mut self) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        loop {
            let (start, size) = loop {
                match httparse::parse_chunk_size(self.buffer) {
                    Ok(httparse::Status::Complete(found)) => break found,
                    Ok(httparse::Status::Partial) if self.buffer.len() <= MAX_CHUNK_LINE => {}
                    _ => return Err("a chunk has no valid size".to_owned()),
                }
                if !self.more().await? {
                    return Err("the content ended before its last chunk".to_owned());
                }
            };
            self.buffer.advance(start);
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            if size == 0 {
                // Trailers change nothing, and the connection is not used again.
                return Ok(body);
            }
            check(body.len().saturating_add(size))?;
            let chunk = self.exactly(size.saturating_add(2)).await?;
            body.extend_from_slice(chunk.get(..size).unwrap_or_default());
        }
    }
}

/// Fails for content that is longer than is read.
pub(super) fn check(length: usize) -> Result<(), String> {
    if length > MAX_BODY {
        return Err(format!("the body is larger than {} MiB", MAX_BODY >> 20));
    }
    Ok(())
}

/// Bytes of the longest head that is read.
const MAX_HEAD: usize = 256 << 10;
/// Fields of the longest head that is read.
const MAX_FIELDS: usize = 256;
/// Bytes of the line before a chunk.
const MAX_CHUNK_LINE: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(text: &str) -> Result<(u16, Vec<u8>), String> {
        let mut transport = text.as_bytes();
        let mut buffer = BytesMut::new();
        let head = read_head(&mut transport, &mut buffer).await?;
        let body = read_body(&mut transport, &mut buffer, &head).await?;
        Ok((head.status.as_u16(), body))
    }

    #[tokio::test]
    async fn content_ends_where_its_framing_says() {
        for (text, status, body) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nabc", 200, "ab"),
            ("HTTP/1.1 200 OK\r\n\r\nabc", 200, "abc"),
            ("HTTP/1.0 404 \r\n\r\n", 404, ""),
            ("HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", 304, ""),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n",
                200,
                "abc",
            ),
        ] {
            assert_eq!(read(text).await, Ok((status, body.as_bytes().to_vec())), "{text}");
        }
    }

    #[tokio::test]
    async fn what_breaks_off_is_told() {
        for (text, problem) in [
            ("", "without a response"),
            ("HTTP/1.1 200 OK\r\nco", "within the response's head"),
            ("\x15\x03\x01", "it begins with \\x15\\x03\\x01"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", "after 3 of 9 bytes"),
            ("HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", "no length"),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n",
                "larger than 16 MiB",
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nab",
                "after 2 of 11",
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
                "no valid size",
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
                "before its last chunk",
            ),
        ] {
            let error = read(text).await.expect_err(text);
            assert!(error.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn a_request_has_its_host_first() {
        let url = Url::parse("http://shop.example:8080/a?b#c").expect("a valid URL");
        let fields = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("*/*"))]);
        let head = request_head(&url, "shop.example:8080", &fields, &[("connection", "close")]);
        let expected = "GET /a?b HTTP/1.1\r\nhost: shop.example:8080\r\naccept: */*\r\nconnection: close\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&head), expected);
    }
}
