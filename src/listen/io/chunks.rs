//! Parses the chunked content of an HTTP/1.1 request strictly (RFC 9112 section 7.1), and rewrites it for Pingora.
//! Pure.
//!
//! Pingora parses chunks loosely: it takes a bare line feed for part of an extension where other servers take it for
//! the end of the line. So Pingora gets chunks in one form only, without extensions and trailers, and no bytes behind
//! the last chunk. In place of malformed chunks it gets [`POISON`], which it refuses.

use bytes::{Buf, BytesMut};

/// Most bytes of a line with a chunk's size and extensions.
const MAX_SIZE_LINE: usize = 1024;

/// Most bytes of all trailers.
const MAX_TRAILERS: usize = 16 * 1024;

/// Most hexadecimal digits of a size: a chunk is shorter than 16^15 = 2^60 bytes.
const MAX_DIGITS: usize = 15;

/// Bytes that Pingora refuses, both as the size line of a chunk and as the line end after its data.
const POISON: &[u8] = b"x\r\n";

/// A parser of chunks that arrive in pieces.
#[derive(Debug)]
pub(in crate::listen) struct Chunks {
    state: ChunkState,
    /// The beginning of a line whose end has not arrived.
    line: Vec<u8>,
    /// Bytes of the trailers so far.
    trailers: usize,
    /// Rewritten chunks that were not taken yet.
    out: BytesMut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChunkState {
    /// Before the content: this many bytes, such as the request head, pass unchanged.
    Before(u64),
    /// In the line with a chunk's size.
    Size,
    /// In a chunk's data, of which this many bytes are to come.
    Data(u64),
    /// In the line end after a chunk's data.
    DataEnd,
    Trailers,
    Done,
    /// After malformed bytes; everything further is dropped.
    Broken,
}

impl Chunks {
    /// Returns a parser of chunks behind this many other bytes, which pass unchanged.
    pub(in crate::listen) fn after(bytes: u64) -> Self {
        Self {
            state: if bytes == 0 {
                ChunkState::Size
            } else {
                ChunkState::Before(bytes)
            },
            line: Vec::new(),
            trailers: 0,
            out: BytesMut::new(),
        }
    }

    /// Parses the client's next bytes; returns how many of them belong to the content.
    pub(in crate::listen) fn read(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while !rest.is_empty() && self.state != ChunkState::Done {
            match self.state {
                ChunkState::Done => {}
                ChunkState::Broken => rest = &[],
                ChunkState::Before(left) => {
                    let left = self.pass(left, &mut rest);
                    self.state = if left == 0 {
                        ChunkState::Size
                    } else {
                        ChunkState::Before(left)
                    };
                }
                ChunkState::Data(left) => {
                    let left = self.pass(left, &mut rest);
                    self.state = if left == 0 {
                        ChunkState::DataEnd
                    } else {
                        ChunkState::Data(left)
                    };
                }
                ChunkState::Size | ChunkState::DataEnd | ChunkState::Trailers => self.read_line(&mut rest),
            }
        }
        bytes.len() - rest.len()
    }

    /// Passes at most `left` bytes unchanged; returns how many of them are still to come.
    fn pass(&mut self, left: u64, rest: &mut &[u8]) -> u64 {
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
        let (passed, after) = rest.split_at(length);
        self.out.extend_from_slice(passed);
        *rest = after;
        left.saturating_sub(u64::try_from(length).unwrap_or(u64::MAX))
    }

    /// Parses a line, or the beginning of one whose end has not arrived.
    fn read_line(&mut self, rest: &mut &[u8]) {
        let limit = match self.state {
            ChunkState::Trailers => MAX_TRAILERS - self.trailers,
            _ => MAX_SIZE_LINE,
        };
        let end = rest.iter().position(|&byte| byte == b'\n');
        let (come, after) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
        *rest = after;
        self.line.extend_from_slice(come);
        let line = std::mem::take(&mut self.line);
        let next = match line.strip_suffix(b"\r\n") {
            _ if line.len() > limit => None,
            Some(text) => self.line(text),
            // The line ends with a bare line feed.
            None if end.is_some() => None,
            None if self.may_go_on(&line) => {
                self.line = line;
                return;
            }
            // The client may never send the end of a malformed line, so it is refused now.
            None => None,
        };
        self.state = next.unwrap_or_else(|| {
            self.out.extend_from_slice(POISON);
            ChunkState::Broken
        });
    }

    /// Returns whether the beginning of a line may become a valid line in this state.
    fn may_go_on(&self, part: &[u8]) -> bool {
        let line = part.strip_suffix(b"\r").unwrap_or(part);
        match self.state {
            ChunkState::DataEnd => line.is_empty(),
            ChunkState::Size if line.is_empty() => line.len() == part.len(),
            ChunkState::Size => is_clean(line) && digits(line).is_some(),
            _ => is_clean(line),
        }
    }

    /// Parses a whole line; returns the next state, or `None` if the line is malformed or not allowed in this state.
    fn line(&mut self, line: &[u8]) -> Option<ChunkState> {
        if !is_clean(line) {
            return None;
        }
        match self.state {
            ChunkState::Size => {
                let (digits, size) = size(line)?;
                if size == 0 {
                    return Some(ChunkState::Trailers);
                }
                self.out.extend_from_slice(digits);
                self.out.extend_from_slice(b"\r\n");
                Some(ChunkState::Data(size))
            }
            ChunkState::DataEnd if line.is_empty() => {
                self.out.extend_from_slice(b"\r\n");
                Some(ChunkState::Size)
            }
            ChunkState::Trailers if line.is_empty() => {
                self.out.extend_from_slice(b"0\r\n\r\n");
                Some(ChunkState::Done)
            }
            ChunkState::Trailers => {
                self.trailers += line.len() + 2;
                let colon = line.iter().position(|&byte| byte == b':')?;
                http::HeaderName::from_bytes(line.get(..colon)?).ok()?;
                Some(ChunkState::Trailers)
            }
            _ => None,
        }
    }

    /// Returns whether the content has ended, by its last chunk or as malformed, and all output was taken.
    pub(in crate::listen) fn is_over(&self) -> bool {
        matches!(self.state, ChunkState::Done | ChunkState::Broken) && self.out.is_empty()
    }

    /// Takes at most `room` bytes of output.
    pub(in crate::listen) fn take(&mut self, room: usize) -> BytesMut {
        let taken = self.out.split_to(room.min(self.out.remaining()));
        if self.out.is_empty() {
            self.out = BytesMut::new();
        }
        taken
    }
}

/// Returns whether a line is free of control bytes other than tab. Some servers take a bare CR or NUL for a line end.
fn is_clean(line: &[u8]) -> bool {
    !line.iter().any(|&byte| (byte < b' ' && byte != b'\t') || byte == 0x7f)
}

/// Splits the size line of a chunk into its digits and the rest: extensions, which spaces may precede.
fn digits(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, extension) = line.split_at(length);
    let is_good = matches!(extension.trim_ascii_start().first(), None | Some(b';'));
    (is_good && (1..=MAX_DIGITS).contains(&length)).then_some((digits, extension))
}

/// Parses the size line of a chunk; returns its digits and the size.
fn size(line: &[u8]) -> Option<(&[u8], u64)> {
    let (digits, extension) = digits(line)?;
    // Spaces alone are no extension.
    if !extension.is_empty() && extension.trim_ascii().is_empty() {
        return None;
    }
    let size = u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    Some((digits, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses these bytes in pieces of this length; returns the output, and the bytes behind the content.
    fn read(bytes: &[u8], piece: usize) -> (Vec<u8>, Vec<u8>) {
        let mut chunks = Chunks::after(0);
        let mut shown = Vec::new();
        let mut taken = 0;
        for piece in bytes.chunks(piece) {
            let length = chunks.read(piece);
            shown.extend_from_slice(&chunks.take(usize::MAX));
            taken += length;
            if length < piece.len() {
                break;
            }
        }
        (shown, bytes.get(taken..).expect("a rest").to_vec())
    }

    #[test]
    fn valid_chunks_are_rewritten_to_one_form_without_the_bytes_behind_them() {
        let table: &[(&[u8], &[u8])] = &[
            (b"0\r\n\r\n", b"0\r\n\r\n"),
            (b"5\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
            (b"5;a=b\r\nhello\r\n000\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
            (b"5 ; a=\"b\"\r\nhello\r\n0;x\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
            (
                b"00a\r\n0\r\n\r\n0\r\n\r\n\r\n0\r\nX-Sum: 1\r\ny:\r\n\r\n",
                b"00a\r\n0\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n",
            ),
        ];
        for (bytes, shown) in table {
            for piece in 1..=bytes.len() + 4 {
                let all = [bytes, &b"GET"[..]].concat();
                let outcome = read(&all, piece);
                assert_eq!(
                    outcome,
                    (shown.to_vec(), b"GET".to_vec()),
                    "{:?}",
                    String::from_utf8_lossy(bytes)
                );
            }
        }
    }

    #[test]
    fn malformed_chunks_become_bytes_that_pingora_refuses() {
        let table: &[&[u8]] = &[
            b"\r\n",
            b"\n",
            b"x\r\n",
            b"-1\r\n",
            b"+5\r\nhello\r\n",
            b"0x5\r\nhello\r\n",
            b" 5\r\nhello\r\n",
            b"5 \r\nhello\r\n",
            b"5\nhello\r\n",
            b"5;\nAAAAA\r\n0\r\n\r\n",
            b"5;a=\"\n\"\r\nhello\r\n",
            b"5;a\rb\r\nhello\r\n",
            b"5;a\0\r\nhello\r\n",
            b"5\r\nhello0\r\n\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhello\r0\r\n\r\n",
            b"5\r\nhello\r\n\r\n",
            b"0\r\nno colon\r\n\r\n",
            b"0\r\n: x\r\n\r\n",
            b"0\r\na b: x\r\n\r\n",
            b"0\r\n a: x\r\n\r\n",
            b"0\r\na: x\n\r\n",
            b"0\r\na: x\ry\r\n\r\n",
            b"0\r\n\n",
            b"1000000000000000\r\n",
            b"ffffffffffffffff\r\n",
            // Unfinished lines that no further bytes can make valid.
            b"x",
            b" ",
            b"\r",
            b"5g",
            b"5\rx",
            b"5;a\0",
            b"1000000000000000",
            b"5\r\nhelloX",
            b"5\r\nhello\rX",
            b"0\r\n\rX",
            b"0\r\na: \x01",
        ];
        for bytes in table {
            for piece in [1, 2, bytes.len()] {
                let (shown, _) = read(bytes, piece);
                assert!(shown.ends_with(POISON), "{:?}", String::from_utf8_lossy(bytes));
                assert!(!shown.ends_with(b"0\r\n\r\n"));
            }
        }
    }

    #[test]
    fn size_lines_and_trailers_have_a_limit() {
        for bytes in [vec![b'0'; 2000], [&b"5;"[..], &[b'a'; 2000]].concat()] {
            assert!(read(&bytes, 100).0.ends_with(POISON));
        }
        let trailers = [&b"0\r\n"[..], &b"a: b\r\n".repeat(10_000)].concat();
        assert!(read(&trailers, 1000).0.ends_with(POISON));
    }
}
