//! Finds the end of an HTTP/1.x request head that arrives in pieces, and skips empty lines before it (RFC 9112 section
//! 2.2). Pure.

use super::head::MAX_FIELDS;

/// Removes empty lines before a request (RFC 9112 section 2.2). A carriage return stays if no line feed follows it, and
/// so does one at the end of the bytes, whose line feed may still come.
pub(super) fn skip_empty_lines(bytes: &mut Vec<u8>) {
    let mut rest = &bytes[..];
    while let Some(after) = rest.strip_prefix(b"\n").or_else(|| rest.strip_prefix(b"\r\n")) {
        rest = after;
    }
    bytes.drain(..bytes.len() - rest.len());
}

/// A search for the end of a head; each call continues where the last one stopped.
#[derive(Debug, Default)]
pub(super) struct HeadEnd {
    /// Bytes of the head that were searched.
    seen: usize,
    /// Bytes of the current line, without its line end.
    line: usize,
    /// Whether the last byte was a carriage return.
    has_return: bool,
}

impl HeadEnd {
    /// Returns whether reading can stop, where `head` has all bytes received so far. An empty line ends a head, with or
    /// without carriage returns (RFC 9112 section 2.2). A byte or a line that no head may have ends reading, too: the
    /// client may never send the end of such a head.
    pub(super) fn has_come(&mut self, head: &[u8]) -> bool {
        let mut has_line = false;
        for &byte in head.get(self.seen..).unwrap_or_default() {
            self.seen += 1;
            match byte {
                b'\n' if self.line == 0 => return true,
                b'\n' => (self.line, self.has_return, has_line) = (0, false, true),
                _ if self.has_return => return true,
                b'\r' => self.has_return = true,
                b'\t' | b' '..=b'~' | 0x80.. => self.line += 1,
                _ => return true,
            }
        }
        // This parses the head from its beginning, but only when a line has become complete.
        has_line && is_broken(head)
    }
}

/// Returns whether no further bytes can make this a valid head.
fn is_broken(head: &[u8]) -> bool {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    httparse::Request::new(&mut fields).parse(head).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_line_or_a_forbidden_byte_ends_a_head() {
        let table: [(&[u8], Option<usize>); 12] = [
            (b"GET / HTTP/1.1\r\nhost: a\r\n\r\nbody", Some(27)),
            (b"GET / HTTP/1.0\n\nbody", Some(16)),
            (b"GET / HTTP/1.0\r\n\nbody", Some(17)),
            (b"GET / HTTP/1.0\n\r\nbody", Some(17)),
            (b"GET / HTTP/1.1\r\nhost: a\r\n", None),
            (b"GET /\xc3\xa9 HTTP/1.1\r\nhost:\ta\r", None),
            (b"", None),
            (b"GET /\0", Some(6)),
            (b"GET /\x7f", Some(6)),
            (b"GET / HTTP/1.1\r\na: b\rc", Some(22)),
            (b"GET / HTTP/1.1\r\na: b\n\r\r\n", Some(23)),
            (b"\x16\x03\x01", Some(1)),
        ];
        for (bytes, expected) in table {
            for piece in 1..=bytes.len().max(1) {
                let mut end = HeadEnd::default();
                let found = (1..=bytes.len())
                    .filter(|come| come % piece == 0 || *come == bytes.len())
                    .find(|&come| end.has_come(bytes.get(..come).expect("a part")));
                assert_eq!(found.is_some(), expected.is_some(), "{}", bytes.escape_ascii());
                assert_eq!(found.map(|_| end.seen), expected, "{}", bytes.escape_ascii());
            }
        }
    }

    #[test]
    fn empty_lines_before_a_request_are_skipped() {
        for (before, after) in [
            ("\r\n\n\r\nGET /\r\n\r\n", "GET /\r\n\r\n"),
            ("\r\n\r", "\r"),
            ("\rGET /\r\n", "\rGET /\r\n"),
            ("\r\r\n", "\r\r\n"),
            ("\n", ""),
            ("", ""),
        ] {
            let mut bytes = before.as_bytes().to_vec();
            skip_empty_lines(&mut bytes);
            assert_eq!(bytes, after.as_bytes(), "{before:?}");
        }
    }
}
