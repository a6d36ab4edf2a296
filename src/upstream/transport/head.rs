//! Changes the head of an origin's response before Pingora reads it: [`filter`]. Pure.
//!
//! Pingora 0.9.1 refuses a response for one control byte in one field, and drops Content-Length beside
//! Transfer-Encoding before linkpush could object. So `filter` changes bytes in place, never their number: a control
//! byte in a field's value becomes a space (RFC 9110 section 5.5), and a Transfer-Encoding beside a Content-Length
//! becomes a value that no origin sends, by which linkpush [detects](is_doubled) and refuses the response.

use memchr::{memchr, memchr_iter};

/// Bytes of a head that `filter` waits for; a longer head passes unchanged, as Pingora refuses it.
const MAX_HELD: usize = 512 * 1024;

/// Lines of a head that `filter` waits for; a head with more passes unchanged, as Pingora refuses it.
const MAX_LINES: usize = 512;

/// The byte that replaces each byte of a Transfer-Encoding beside a Content-Length.
const DOUBLED: u8 = b'!';

/// Returns whether `filter` found both Transfer-Encoding and Content-Length in a response (RFC 9112 section 6.3), by
/// the value of the former.
#[must_use]
pub fn is_doubled(transfer_encoding: &[u8]) -> bool {
    !transfer_encoding.is_empty() && transfer_encoding.iter().all(|&byte| byte == DOUBLED)
}

/// How far `filter` got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum HeadsRead {
    /// The final head was found, or the bytes are no HTTP/1 head: all further bytes are passed on unchanged.
    Final,
    /// This many bytes are complete interim heads; the head behind them is incomplete.
    Interim(usize),
}

/// Changes the complete heads at the beginning of `bytes`, in place.
pub(in crate::upstream) fn filter(bytes: &mut [u8]) -> HeadsRead {
    let mut at = 0;
    loop {
        // Pingora skips empty lines before a head.
        let rest = bytes.get(at..).unwrap_or_default();
        at += rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let Some(rest) = bytes.get_mut(at..).filter(|rest| !rest.is_empty()) else {
            return HeadsRead::Interim(at);
        };
        if !b"HTTP/1.".starts_with(rest.get(..7).unwrap_or(rest)) {
            return HeadsRead::Final;
        }
        let Some(FirstHead { length, is_doubtful }) = FirstHead::find(rest) else {
            return if rest.len() > MAX_HELD || memchr_iter(b'\n', rest).count() > MAX_LINES {
                HeadsRead::Final
            } else {
                HeadsRead::Interim(at)
            };
        };
        let is_interim = rest.get(9) == Some(&b'1') && rest.get(9..12) != Some(b"101");
        if is_doubtful && let Some(head) = rest.get_mut(..length) {
            filter_head(head);
        }
        if !is_interim {
            return HeadsRead::Final;
        }
        at += length;
    }
}

/// The first head in some bytes.
#[derive(Debug, Clone, Copy)]
struct FirstHead {
    /// The length, with the empty line.
    length: usize,
    /// The head may need a change.
    is_doubtful: bool,
}

impl FirstHead {
    /// Finds the end of the first head, and whether it may need a change, in one pass: nearly no head does.
    fn find(bytes: &[u8]) -> Option<Self> {
        let (mut has_length, mut has_coding, mut is_crlf, mut lines) = (false, false, true, 1);
        for end in memchr_iter(b'\n', bytes) {
            is_crlf &= end > 0 && bytes.get(end - 1) == Some(&b'\r');
            let next = bytes.get(end + 1..)?;
            let length = match next {
                [b'\n', ..] => end + 2,
                [b'\r', b'\n', ..] => end + 3,
                _ => {
                    match next.first() {
                        Some(b'c' | b'C') => has_length |= begins_with(next, b"content-length"),
                        Some(b't' | b'T') => has_coding |= begins_with(next, b"transfer-encoding"),
                        _ => {}
                    }
                    lines += 1;
                    continue;
                }
            };
            let head = bytes.get(..length)?;
            is_crlf &= next.first() == Some(&b'\r');
            // Each line has two control bytes, CR and LF, the empty line too.
            let is_plain = is_crlf && controls(head) == 2 * (lines + 1);
            return Some(Self {
                length,
                is_doubtful: !is_plain || (has_length && has_coding),
            });
        }
        None
    }
}

/// Counts control bytes, tabs included. Without branches, in chunks whose count fits a byte, so that the compiler uses
/// vector instructions.
fn controls(bytes: &[u8]) -> usize {
    let is_control = |byte: &u8| u8::from((*byte < b' ') | (*byte == 0x7f));
    let count = |chunk: &[u8]| chunk.iter().map(is_control).fold(0, u8::wrapping_add);
    bytes.chunks(128).map(|bytes| usize::from(count(bytes))).sum()
}

fn begins_with(line: &[u8], name: &[u8]) -> bool {
    line.get(..name.len())
        .is_some_and(|begin| begin.eq_ignore_ascii_case(name))
}

/// The field that a line of a head belongs to, as far as it concerns framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FramingField {
    ContentLength,
    TransferEncoding,
    Other,
}

impl FramingField {
    /// Returns the field of a line that follows a line of `before`, and where in the line the value begins.
    fn of(line: &[u8], before: Self) -> (Self, usize) {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            // Pingora accepts folded lines, and blanks before the colon.
            return (before, 0);
        }
        let Some(colon) = memchr(b':', line) else {
            return (Self::Other, line.len());
        };
        let name = line.get(..colon).unwrap_or_default().trim_ascii_end();
        let field = if name.eq_ignore_ascii_case(b"content-length") {
            Self::ContentLength
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            Self::TransferEncoding
        } else {
            Self::Other
        };
        (field, colon + 1)
    }
}

fn filter_head(head: &mut [u8]) {
    let (mut has_length, mut has_coding) = (false, false);
    visit_values(head, |field, value| {
        has_length |= field == FramingField::ContentLength;
        has_coding |= field == FramingField::TransferEncoding;
        for byte in value.iter_mut().filter(|byte| is_control(**byte)) {
            *byte = b' ';
        }
    });
    if has_length && has_coding {
        visit_values(head, |field, value| {
            if field == FramingField::TransferEncoding {
                value.fill(DOUBLED);
            }
        });
    }
}

/// Visits the part of a field's value in each line after the first.
fn visit_values(head: &mut [u8], mut visit: impl FnMut(FramingField, &mut [u8])) {
    let mut before = FramingField::Other;
    let mut at = memchr(b'\n', head).map_or(head.len(), |end| end + 1);
    while let Some(rest) = head.get_mut(at..).filter(|rest| !rest.is_empty()) {
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        let line = rest.get_mut(..end).unwrap_or_default();
        let length = line.len() - usize::from(line.last() == Some(&b'\r'));
        let line = line.get_mut(..length).unwrap_or_default();
        let (field, from) = FramingField::of(line, before);
        visit(field, line.get_mut(from..).unwrap_or_default());
        before = field;
        at += end + 1;
    }
}

/// Returns whether no field value may contain this byte (RFC 9110 section 5.5).
fn is_control(byte: u8) -> bool {
    ((byte < b' ') & (byte != b'\t')) | (byte == 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_bytes_in_values_become_spaces_and_nothing_else_changes() {
        for (head, expected) in [
            ("Link: </a\x01.css>\r\nX: a\x0cb\r\n", "Link: </a .css>\r\nX: a b\r\n"),
            ("X: \0a\rb\x7f\tc\r\n", "X:  a b \tc\r\n"),
            ("X\x01: a\r\nno colon \x02\r\n", "X\x01: a\r\nno colon \x02\r\n"),
            ("X: a\n", "X: a\n"),
            ("X: a\rb\nY: c\r\n", "X: a b\nY: c\r\n"),
            ("X: a\rb\r\n", "X: a b\r\n"),
            ("Link: \u{e4}\r\n", "Link: \u{e4}\r\n"),
        ] {
            let mut bytes = format!("HTTP/1.1 200 O\x01K\r\n{head}\r\nbo\x01dy: \x02\r\n").into_bytes();
            assert_eq!(filter(&mut bytes), HeadsRead::Final);
            let expected = format!("HTTP/1.1 200 O\x01K\r\n{expected}\r\nbo\x01dy: \x02\r\n");
            assert_eq!(
                bytes.escape_ascii().to_string(),
                expected.as_bytes().escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn a_transfer_encoding_beside_a_content_length_is_overwritten() {
        let filtered = |fields: &str| {
            let mut bytes = format!("HTTP/1.1 200 OK\r\n{fields}\r\n").into_bytes();
            assert_eq!(filter(&mut bytes), HeadsRead::Final);
            String::from_utf8(bytes).expect("UTF-8")
        };
        for (fields, expected) in [
            ("Transfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\n"),
            (
                "transfer-encoding:chunked\r\nContent-Length: 2\r\n",
                "transfer-encoding:!!!!!!!\r\nContent-Length: 2\r\n",
            ),
            (
                "Transfer-Encoding : chunked\r\nContent-Length\t: 2\r\n",
                "Transfer-Encoding :!!!!!!!!\r\nContent-Length\t: 2\r\n",
            ),
            (
                "Content-Length: 2\r\nTransfer-Encoding:\r\n chunked\r\nX:\r\n y\r\n",
                "Content-Length: 2\r\nTransfer-Encoding:\r\n!!!!!!!!\r\nX:\r\n y\r\n",
            ),
            (
                "CONTENT-LENGTH: 2\r\nTRANSFER-ENCODING:x\r\nTransfer-Encoding:y\n",
                "CONTENT-LENGTH: 2\r\nTRANSFER-ENCODING:!\r\nTransfer-Encoding:!\n",
            ),
        ] {
            assert_eq!(filtered(fields), format!("HTTP/1.1 200 OK\r\n{expected}\r\n"));
        }
        for (value, expected) in [(&b"!!!"[..], true), (b"", false), (b"chunked", false), (b"!a", false)] {
            assert_eq!(is_doubled(value), expected);
        }
    }

    #[test]
    fn complete_interim_heads_are_told_from_an_incomplete_one() {
        let early = "HTTP/1.1 103 Early Hints\r\nLink: a\x01\r\n\r\n";
        for (bytes, expected) in [
            (String::new(), HeadsRead::Interim(0)),
            ("HTT".to_owned(), HeadsRead::Interim(0)),
            ("\r\nHTT".to_owned(), HeadsRead::Interim(2)),
            (format!("\r\n{early}\r\n\n"), HeadsRead::Interim(early.len() + 5)),
            ("HTTP/1.1 200 OK\r\nX: a\r\n\r".to_owned(), HeadsRead::Interim(0)),
            (early.to_owned(), HeadsRead::Interim(early.len())),
            (format!("{early}HTTP/1.1 2"), HeadsRead::Interim(early.len())),
            (format!("{early}{early}"), HeadsRead::Interim(2 * early.len())),
            (format!("{early}HTTP/1.1 200 OK\r\n\r\n"), HeadsRead::Final),
            (
                "HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 1".to_owned(),
                HeadsRead::Final,
            ),
            ("SSH-2.0".to_owned(), HeadsRead::Final),
            (
                format!("HTTP/1.1 200 OK\r\nX: {}", "a".repeat(MAX_HELD)),
                HeadsRead::Final,
            ),
            (
                format!("HTTP/1.1 200 OK\r\n{}", "X: a\r\n".repeat(MAX_LINES)),
                HeadsRead::Final,
            ),
        ] {
            let mut filtered = bytes.clone().into_bytes();
            assert_eq!(filter(&mut filtered), expected, "{bytes:?}");
            assert!(
                !filtered.contains(&1) || !bytes.starts_with("HTTP/1.1 103"),
                "{bytes:?}"
            );
        }
    }
}
