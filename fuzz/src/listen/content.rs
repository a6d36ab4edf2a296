//! Chunked content: what is passed on has one form, and says what came.

use super::chunks::Chunks;
use crate::input::Input;

/// Reads chunks at once and in pieces, and compares both with simple readers.
pub fn chunked(bytes: &[u8]) {
    let mut input = Input(bytes);
    let (before, piece, room) = (input.number() % 8, input.number() + 1, input.number() + 1);
    let bytes = input.rest();
    let all = shown(bytes, before, bytes.len() + 1, usize::MAX);
    assert_eq!(all, shown(bytes, before, piece, room), "cut otherwise");
    let before = before.min(bytes.len());
    assert_eq!(
        all.out.get(..before),
        bytes.get(..before),
        "what comes before stays as it is"
    );
    let (passed, content) = (&all.out[before..], &bytes[before..]);
    match strict(passed) {
        Read::Whole { content: read, length } => {
            assert!(
                all.is_over && length == passed.len(),
                "nothing stands behind the last chunk"
            );
            for line_end in LINE_ENDS {
                let came = loose(content, line_end).expect("a loose reader reads it, too");
                assert_eq!(came, (read.clone(), all.taken - before));
            }
            let again = shown(passed, 0, passed.len(), usize::MAX);
            assert_eq!((&again.out[..], again.taken), (passed, passed.len()), "one form");
        }
        Read::Part => assert!(!all.is_over && all.taken == bytes.len(), "all that came is good so far"),
        Read::Bad => assert!(all.is_over && all.taken == bytes.len() && passed.ends_with(b"x\r\n")),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Shown {
    out: Vec<u8>,
    taken: usize,
    is_over: bool,
}

/// What is shown of the bytes in such pieces, to a reader with so much room.
fn shown(bytes: &[u8], before: usize, piece: usize, room: usize) -> Shown {
    let mut chunks = Chunks::after(before as u64);
    let (mut out, mut taken) = (Vec::new(), 0);
    for piece in bytes.chunks(piece) {
        let length = chunks.read(piece);
        taken += length;
        loop {
            let part = chunks.take(room);
            assert!(part.len() <= room);
            if part.is_empty() {
                break;
            }
            out.extend_from_slice(&part);
        }
        if length < piece.len() {
            assert_eq!(chunks.read(&piece[length..]), 0, "the end stays the end");
            break;
        }
    }
    let is_over = chunks.is_over();
    Shown { out, taken, is_over }
}

enum Read {
    Whole {
        content: Vec<u8>,
        length: usize,
    },
    /// The beginning of chunks.
    Part,
    Bad,
}

/// Reads chunks in the one form: sizes without extensions, and nothing behind the last.
fn strict(bytes: &[u8]) -> Read {
    let (mut rest, mut content) = (bytes, Vec::new());
    let starts = |rest: &[u8], with: &[u8]| rest.iter().zip(with).all(|(a, b)| a == b);
    loop {
        let digits = rest.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let (size, after) = rest.split_at(digits);
        if digits > 15 || (digits == 0 && !after.is_empty()) || !starts(after, b"\r\n") {
            return Read::Bad;
        }
        if after.len() < 2 {
            return Read::Part;
        }
        let size = usize::from_str_radix(std::str::from_utf8(size).expect("digits"), 16).expect("a number");
        rest = &after[2..];
        if size == 0 {
            return match starts(rest, b"\r\n") && digits == 1 {
                true if rest.len() >= 2 => Read::Whole {
                    content,
                    length: bytes.len() - rest.len() + 2,
                },
                true => Read::Part,
                false => Read::Bad,
            };
        }
        let (data, end) = rest.split_at(size.min(rest.len()));
        content.extend_from_slice(data);
        if !starts(end, b"\r\n") {
            return Read::Bad;
        }
        if end.len() < 2 {
            return Read::Part;
        }
        rest = &end[2..];
    }
}

/// Where a line ends, and how long its end is.
type LineEnd = fn(&[u8]) -> Option<(usize, usize)>;

/// As the RFC has it; as servers that take a line feed alone have it; as those that take a carriage return alone, too.
const LINE_ENDS: [LineEnd; 3] = [
    |bytes| Some((bytes.windows(2).position(|pair| pair == b"\r\n")?, 2)),
    |bytes| match bytes.iter().position(|&byte| byte == b'\n')? {
        at if at > 0 && bytes[at - 1] == b'\r' => Some((at - 1, 2)),
        at => Some((at, 1)),
    },
    |bytes| {
        let at = bytes.iter().position(|byte| b"\r\n".contains(byte))?;
        Some((at, if bytes[at..].starts_with(b"\r\n") { 2 } else { 1 }))
    },
];

/// Reads chunks whose lines end so, whatever else they say; returns the content, and how long it was on the way.
fn loose(bytes: &[u8], line_end: LineEnd) -> Option<(Vec<u8>, usize)> {
    let (mut rest, mut content) = (bytes, Vec::new());
    let line = |rest: &mut &[u8]| {
        let (at, length) = line_end(rest)?;
        let line = rest[..at].to_vec();
        *rest = &rest[at + length..];
        Some(line)
    };
    loop {
        let text = String::from_utf8_lossy(&line(&mut rest)?).into_owned();
        let (digits, extension) = text.split_at(text.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(text.len()));
        if !extension.is_empty() && !extension.trim_start().starts_with(';') {
            return None;
        }
        let size = usize::from_str_radix(digits, 16).ok()?;
        if size == 0 {
            break;
        }
        content.extend_from_slice(rest.get(..size)?);
        rest = &rest[size..];
        if !line(&mut rest)?.is_empty() {
            return None;
        }
    }
    while !line(&mut rest)?.is_empty() {}
    Some((content, bytes.len() - rest.len()))
}
