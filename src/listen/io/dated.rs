//! Replaces Pingora's `Date` by the origin's in a response head on its way to an HTTP/1.x client.
//!
//! Pingora's session writes the current time into every head, without a setting against that; RFC 9110 section 6.6.1
//! lets a proxy add `Date` only where the origin sent none. Pingora writes each head as one piece, which is recognized
//! by its first bytes.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::AsyncWrite;

/// Returns whether bytes that are written are the head of a final response.
pub(super) fn is_final_head(bytes: &[u8]) -> bool {
    // An interim head gets no date: the date that was set belongs to the final response after it.
    bytes.starts_with(b"HTTP/1.") && bytes.get(b"HTTP/1.1 ".len()).is_some_and(|digit| *digit != b'1')
}

/// A head with the origin's date, which may take several writes.
#[derive(Debug)]
pub(super) struct Dated {
    bytes: Vec<u8>,
    written: usize,
}

impl Dated {
    /// Returns the head with this date; `None` if the head has this date already, or no date to replace.
    pub(super) fn new(head: &[u8], date: &[u8]) -> Option<Self> {
        let end = head.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
        let line = head
            .get(..end)?
            .windows(NAME.len())
            .position(|bytes| bytes.eq_ignore_ascii_case(NAME))?;
        let (before, after) = head.split_at_checked(line + NAME.len())?;
        let value = after.windows(2).position(|bytes| bytes == b"\r\n")?;
        let (value, after) = after.split_at_checked(value)?;
        (value.trim_ascii() != date).then(|| Self {
            bytes: [before, b" ", date, after].concat(),
            written: 0,
        })
    }

    /// Writes the rest; ready when all is written.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        mut io: Pin<&mut (impl AsyncWrite + ?Sized)>,
    ) -> Poll<io::Result<()>> {
        while let Some(rest) = self.bytes.get(self.written..).filter(|rest| !rest.is_empty()) {
            let written = ready!(io.as_mut().poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
        }
        Poll::Ready(Ok(()))
    }
}

const NAME: &[u8] = b"\r\ndate:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_replaced_and_the_rest_is_unchanged() {
        let dated = |head: &str| {
            let dated = Dated::new(head.as_bytes(), b"yesterday")?;
            Some(String::from_utf8(dated.bytes).expect("text"))
        };
        let of = |date: &str| {
            format!("HTTP/1.1 200 OK\r\nLast-Date: a\r\n{date}: b\r\nUpdate: c\r\n\r\nbody\r\nDate: d\r\n\r\n")
        };
        for name in ["Date", "date", "DATE"] {
            let expected = of(name).replace(&format!("\r\n{name}: b"), &format!("\r\n{name}: yesterday"));
            assert_eq!(dated(&of(name)), Some(expected));
        }
        assert_eq!(dated("HTTP/1.1 200 OK\r\nDate: yesterday\r\n\r\n"), None);
        assert_eq!(dated("HTTP/1.1 200 OK\r\nServer: a\r\n\r\nDate: b\r\n\r\n"), None);
        assert_eq!(dated("HTTP/1.1 200 OK\r\nDate: b\r\n"), None, "it is no whole head");
    }

    #[test]
    fn interim_heads_and_content_are_no_final_heads() {
        for (bytes, expected) in [
            ("HTTP/1.1 200 OK\r\n", true),
            ("HTTP/1.0 404 Not Found\r\n", true),
            ("HTTP/1.1 100 Continue\r\n", false),
            ("HTTP/1.1 101 Switching Protocols\r\n", false),
            ("HTTP/1.1 ", false),
            ("<!doctype html>", false),
            ("", false),
        ] {
            assert_eq!(is_final_head(bytes.as_bytes()), expected, "{bytes}");
        }
    }
}
