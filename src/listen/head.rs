//! The head of an HTTP/1.x request: when it is complete, how long its request is. Pure.
//!
//! Pingora parses the request; what is told here only decides how far Pingora may read. Where the
//! two disagree a request is refused or times out, never read as something else.

use super::upgrade::{self, UpgradeRequest};

/// What a complete head says before anybody serves it.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Bytes of the head itself; 0 if it is not one.
    pub(super) length: usize,
    /// Bytes of the whole request, head and body, where the head tells.
    pub(super) request_length: Option<u64>,
    /// It asks for HTTP/2.
    pub(super) upgrade: Option<UpgradeRequest>,
}

/// As many fields as Pingora takes.
const MAX_FIELDS: usize = 256;

impl Head {
    /// Reads a head that [`has_end`] found complete. What cannot be read is Pingora's to refuse.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        let Ok(httparse::Status::Complete(length)) = request.parse(bytes) else {
            return Self::default();
        };
        Self {
            length,
            request_length: body_length(&request)
                .and_then(|body| body.checked_add(u64::try_from(length).unwrap_or(u64::MAX))),
            upgrade: upgrade::requested(&request),
        }
    }
}

/// The length of the body, unless it is chunked, what follows is another protocol, or the head is
/// one that Pingora refuses.
fn body_length(request: &httparse::Request<'_, '_>) -> Option<u64> {
    let mut length = None;
    for field in &*request.headers {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        if is("transfer-encoding") || is("upgrade") {
            return None;
        }
        if is("content-length") {
            if length.is_some() || field.value.is_empty() || !field.value.iter().all(u8::is_ascii_digit) {
                return None;
            }
            length = Some(std::str::from_utf8(field.value).ok()?.parse().ok()?);
        }
    }
    Some(length.unwrap_or(0))
}

/// Empty lines before a request are skipped (RFC 9112 section 2.2).
pub(super) fn skip_empty_lines(bytes: &mut Vec<u8>) {
    let empty = bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    bytes.drain(..empty);
}

/// Whether an empty line ends the head, with or without the carriage returns (RFC 9112 section 2.2).
pub(super) fn has_end(head: &[u8], from: usize) -> bool {
    let new = head.get(from..).unwrap_or_default();
    new.windows(3).any(|w| w == b"\n\r\n") || new.windows(2).any(|w| w == b"\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_line_ends_a_head() {
        assert!(has_end(b"GET / HTTP/1.1\r\nhost: a\r\n\r\nbody", 0));
        assert!(has_end(b"GET / HTTP/1.0\n\n", 0));
        assert!(!has_end(b"GET / HTTP/1.1\r\nhost: a\r\n", 0));
        assert!(!has_end(b"", 7));
    }

    #[test]
    fn empty_lines_before_a_request_are_skipped() {
        let mut bytes = b"\r\n\n\r\nGET / HTTP/1.1\r\n\r\n".to_vec();
        skip_empty_lines(&mut bytes);
        assert_eq!(bytes, b"GET / HTTP/1.1\r\n\r\n");
    }

    #[test]
    fn the_length_of_a_request_is_told_where_it_can_be() {
        let table: &[(&str, Option<u64>)] = &[
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /next", Some(27)),
            ("GET / HTTP/1.0\r\n\r\n", Some(18)),
            ("PUT / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", Some(42)),
            ("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", None),
            ("GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", None),
            ("PUT / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", None),
            ("PUT / HTTP/1.1\r\nContent-Length: +5\r\n\r\n", None),
            ("PUT / HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n", None),
            ("PUT / HTTP/1.1\r\nContent-Length: 18446744073709551616\r\n\r\n", None),
            ("what is this\r\n\r\n", None),
        ];
        for (head, expected) in table {
            assert_eq!(Head::of(head.as_bytes()).request_length, *expected, "{head}");
        }
    }
}
