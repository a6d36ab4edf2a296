//! Hands pushed text to html5gum's tokenizer, which pulls.
//!
//! The tokenizer owns its reader, so the bytes pass through a shared mailbox, whose lock is taken once per push and
//! once per refill. A read without bytes fails with [`Starved`], and the tokenizer later goes on in the same state.
//! Three states read more than one byte: after `&` a character reference, after `<!` a keyword, in a doctype another
//! keyword. A failure within these would lose bytes, so they alone may read the last [`LOOKAHEAD`] bytes, until more
//! text or the end arrives.

use std::sync::{Arc, Mutex, PoisonError};

use html5gum::Reader;
use memchr::memchr_iter;
use thiserror::Error;

/// The tokenizer needs bytes that were not pushed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no more bytes yet")]
pub(in crate::html) struct Starved;

#[derive(Debug, Default)]
struct Mail {
    bytes: Vec<u8>,
    is_last: bool,
}

/// The writing end.
#[derive(Debug)]
pub(in crate::html) struct Feed {
    mail: Arc<Mutex<Mail>>,
    after_return: bool,
}

/// The reading end, for the tokenizer.
#[derive(Debug)]
pub(in crate::html) struct TextSource {
    mail: Arc<Mutex<Mail>>,
    bytes: Vec<u8>,
    at: usize,
    is_last: bool,
    in_lookahead: bool,
}

/// Makes both ends of a mailbox.
pub(in crate::html) fn pair() -> (Feed, TextSource) {
    let mail = Arc::new(Mutex::new(Mail::default()));
    let feed = Feed {
        mail: Arc::clone(&mail),
        after_return: false,
    };
    let source = TextSource {
        mail,
        bytes: Vec::new(),
        at: 0,
        is_last: false,
        in_lookahead: false,
    };
    (feed, source)
}

impl Feed {
    /// Adds UTF-8 text. Each CR LF and each lone CR becomes LF here, since the tokenizer would read a CR and a LF of
    /// different pushes as two line breaks.
    pub(in crate::html) fn push(&mut self, mut text: &[u8]) {
        let mut mail = self.mail.lock().unwrap_or_else(PoisonError::into_inner);
        if self.after_return && !text.is_empty() {
            text = text.strip_prefix(b"\n").unwrap_or(text);
            self.after_return = false;
        }
        let mut start = 0;
        for at in memchr_iter(b'\r', text) {
            mail.bytes.extend_from_slice(text.get(start..at).unwrap_or_default());
            mail.bytes.push(b'\n');
            start = at + 1;
            match text.get(start) {
                Some(b'\n') => start += 1,
                Some(_) => {}
                None => self.after_return = true,
            }
        }
        mail.bytes.extend_from_slice(text.get(start..).unwrap_or_default());
    }

    /// Marks the end of the text.
    pub(in crate::html) fn end(&self) {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner).is_last = true;
    }
}

impl TextSource {
    /// Returns the bytes that a read of one byte or a run may take: all but the last [`LOOKAHEAD`] before the end.
    fn readable(&mut self) -> Result<&[u8], Starved> {
        let reserve = if self.is_last || self.in_lookahead {
            0
        } else {
            LOOKAHEAD
        };
        if self.bytes.len() <= self.at + reserve && !self.is_last {
            self.refill();
        }
        let reserve = if self.is_last || self.in_lookahead {
            0
        } else {
            LOOKAHEAD
        };
        let end = self.bytes.len().saturating_sub(reserve);
        match self.bytes.get(self.at..end) {
            Some(bytes) if !bytes.is_empty() => Ok(bytes),
            _ if self.is_last => Ok(&[]),
            _ => Err(Starved),
        }
    }

    /// Appends the mailbox to the unread bytes, of which there are at most [`LOOKAHEAD`].
    fn refill(&mut self) {
        let mut mail = self.mail.lock().unwrap_or_else(PoisonError::into_inner);
        if !mail.bytes.is_empty() {
            self.bytes.drain(..self.at);
            self.at = 0;
            self.bytes.append(&mut mail.bytes);
        }
        self.is_last = mail.is_last;
    }
}

impl Reader for TextSource {
    type Error = Starved;

    fn read_byte(&mut self) -> Result<Option<u8>, Starved> {
        let byte = self.readable()?.first().copied();
        self.in_lookahead = false;
        self.at += usize::from(byte.is_some());
        Ok(byte)
    }

    fn try_read_string(&mut self, expected: &[u8], case_sensitive: bool) -> Result<bool, Starved> {
        let found = self.bytes.get(self.at..self.at + expected.len());
        let is_there =
            found.is_some_and(|found| found == expected || !case_sensitive && found.eq_ignore_ascii_case(expected));
        if is_there {
            self.at += expected.len();
            // The step that reads a character reference also reads the byte behind it.
            self.in_lookahead = true;
        }
        Ok(is_there)
    }

    fn read_until<'b>(&'b mut self, needle: &[u8], _: &'b mut [u8; 4]) -> Result<Option<&'b [u8]>, Starved> {
        let most = if self.in_lookahead { 1 } else { usize::MAX };
        let bytes = self.readable()?;
        let length = bytes
            .iter()
            .position(|byte| needle.contains(byte))
            .unwrap_or(bytes.len());
        // A needle at the start is returned alone.
        let length = length.max(1).min(bytes.len()).min(most);
        let start = self.at;
        self.in_lookahead = false;
        self.at += length;
        Ok(self.bytes.get(start..self.at).filter(|read| !read.is_empty()))
    }
}

/// At least the bytes that one step of the tokenizer may read: the longest name of a character reference,
/// `CounterClockwiseContourIntegral;`, has 32, the byte behind it makes 33; keywords are shorter.
const LOOKAHEAD: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &mut TextSource) -> String {
        let mut text = Vec::new();
        while let Ok(Some(byte)) = source.read_byte() {
            text.push(byte);
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    #[test]
    fn line_ends_are_one_however_they_come() {
        for cut in 0..=10 {
            let (mut feed, mut source) = pair();
            let (head, tail) = b"a\r\nb\rc\n\r\nd".split_at(cut);
            feed.push(head);
            feed.push(b"");
            feed.push(tail);
            feed.end();
            assert_eq!(read(&mut source), "a\nb\nc\n\nd", "{cut}");
        }
    }

    #[test]
    fn the_last_bytes_wait_for_more() {
        let (mut feed, mut source) = pair();
        feed.push(&[b'a'; LOOKAHEAD]);
        assert_eq!(source.read_byte(), Err(Starved));
        assert_eq!(source.try_read_string(b"aa", true), Ok(true), "but for a lookahead");
        assert_eq!(source.read_byte(), Ok(Some(b'a')), "and the byte behind it");
        assert_eq!(source.read_byte(), Err(Starved));
        feed.push(b"bcd");
        assert_eq!(source.read_until(b"b", &mut [0; 4]), Err(Starved));
        feed.end();
        assert_eq!(
            source.read_until(b"b", &mut [0; 4]),
            Ok(Some(&[b'a'; LOOKAHEAD - 3][..]))
        );
        assert_eq!(read(&mut source), "bcd");
        assert_eq!(source.read_byte(), Ok(None));
    }
}
