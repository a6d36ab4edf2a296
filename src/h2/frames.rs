//! Frame boundaries in a byte stream, either direction (RFC 9113 section 4.1).
//!
//! The h2 crate obeys the client's SETTINGS but does not tell them, nor which promises were reset
//! after they were sent in full, nor when the end of a response has left its queues. All three
//! decide what is planned and sent, as do the PRIORITY_UPDATE frames that the h2 crate passes over. So the
//! bytes are looked at on their way: nine per frame header, SETTINGS payloads, promised identifiers,
//! priorities, nothing else, and nothing is copied or held up.

/// What is told of a byte stream.
pub(super) trait Note {
    /// A frame header; `length` is that of the payload.
    fn frame(&self, kind: u8, flags: u8, stream: u32, length: usize);

    /// Whether nothing behind the frame header that was told last may be read now.
    fn stops(&self) -> bool {
        false
    }

    /// A PUSH_PROMISE for this stream.
    fn promise(&self, _stream: u32) {}

    /// A PRIORITY_UPDATE for this stream, with the beginning of its field value.
    fn priority(&self, _stream: u32, _value: &[u8]) {}

    /// One parameter of a SETTINGS frame that is not an acknowledgement.
    fn setting(&self, _identifier: u16, _value: u32) {}
}

pub(super) const DATA: u8 = 0x0;
pub(super) const HEADERS: u8 = 0x1;
pub(super) const RST_STREAM: u8 = 0x3;
pub(super) const SETTINGS: u8 = 0x4;
const PUSH_PROMISE: u8 = 0x5;
pub(super) const GOAWAY: u8 = 0x7;
pub(super) const CONTINUATION: u8 = 0x9;
/// RFC 9218 section 7.1.
const PRIORITY_UPDATE: u8 = 0x10;

pub(super) const END_STREAM: u8 = 0x1;
pub(super) const ACK: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;

pub(super) const ENABLE_PUSH: u16 = 0x2;
pub(super) const MAX_CONCURRENT_STREAMS: u16 = 0x3;
pub(super) const INITIAL_WINDOW_SIZE: u16 = 0x4;
pub(super) const MAX_FRAME_SIZE: u16 = 0x5;
pub(super) const ENABLE_CONNECT_PROTOCOL: u16 = 0x8;

/// The client preface, which frames follow (RFC 9113 section 3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADER_LEN: usize = 9;
const SETTING_LEN: usize = 6;
const PROMISED_ID_LEN: usize = 4;
/// A frame header; of a PRIORITY_UPDATE the stream and what is looked at, twice as long as `u=0, i` or more.
const BUFFER_LEN: usize = 20;

/// Where in the byte stream the next byte stands.
#[derive(Debug, Clone, Copy)]
enum Position {
    /// In a frame header, of which the buffer holds this many bytes.
    Header(usize),
    /// In a SETTINGS payload: bytes left, bytes of the current setting in the buffer.
    Settings { left: usize, have: usize },
    /// At the identifier that a PUSH_PROMISE begins with (h2 never pads): payload left, bytes in the buffer.
    Promise { left: usize, have: usize },
    /// In a PRIORITY_UPDATE: payload left, bytes in the buffer.
    Priority { left: usize, have: usize },
    /// In bytes that do not matter, with this many left.
    Skip(usize),
}

/// A byte stream, read piece by piece.
#[derive(Debug)]
pub(super) struct Frames {
    position: Position,
    buffer: [u8; BUFFER_LEN],
}

impl Frames {
    /// What a client sends: the preface, then frames.
    pub(super) const fn of_client() -> Self {
        Self {
            position: Position::Skip(PREFACE.len()),
            buffer: [0; BUFFER_LEN],
        }
    }

    /// What a server sends: frames.
    pub(super) const fn of_server() -> Self {
        Self {
            position: Position::Header(0),
            buffer: [0; BUFFER_LEN],
        }
    }

    /// Reads the next piece, and returns how much of it is left where the note stops it.
    pub(super) fn read(&mut self, mut bytes: &[u8], note: &impl Note) -> usize {
        while !bytes.is_empty() && !note.stops() {
            let wanted = match self.position {
                Position::Header(have) => HEADER_LEN - have,
                Position::Settings { left, have } => left.min(SETTING_LEN - have),
                Position::Promise { left, have } => left.min(PROMISED_ID_LEN - have),
                Position::Priority { left, have } => left.min(BUFFER_LEN - have),
                Position::Skip(left) => left,
            };
            let (taken, rest) = bytes.split_at(wanted.min(bytes.len()));
            bytes = rest;
            self.position = match self.position {
                Position::Header(have) => {
                    self.fill(have, taken);
                    match have + taken.len() {
                        HEADER_LEN => self.frame(note),
                        have => Position::Header(have),
                    }
                }
                Position::Settings { left, have } => {
                    self.fill(have, taken);
                    let (left, mut have) = (left - taken.len(), have + taken.len());
                    if have == SETTING_LEN {
                        self.setting(note);
                        have = 0;
                    }
                    if left == 0 {
                        Position::Header(0)
                    } else {
                        Position::Settings { left, have }
                    }
                }
                Position::Promise { left, have } => {
                    self.fill(have, taken);
                    match (left - taken.len(), have + taken.len()) {
                        (left, PROMISED_ID_LEN) => {
                            let [s3, s2, s1, s0, ..] = self.buffer;
                            note.promise(u32::from_be_bytes([s3 & 0x7f, s2, s1, s0]));
                            Self::skip(left)
                        }
                        (0, _) => Position::Header(0),
                        (left, have) => Position::Promise { left, have },
                    }
                }
                Position::Priority { left, have } => {
                    self.fill(have, taken);
                    match (left - taken.len(), have + taken.len()) {
                        (0, have) => {
                            self.priority(have, note);
                            Position::Header(0)
                        }
                        (left, BUFFER_LEN) => {
                            self.priority(BUFFER_LEN, note);
                            Self::skip(left)
                        }
                        (left, have) => Position::Priority { left, have },
                    }
                }
                Position::Skip(left) if left == taken.len() => Position::Header(0),
                Position::Skip(left) => Position::Skip(left - taken.len()),
            };
        }
        bytes.len()
    }

    fn fill(&mut self, have: usize, taken: &[u8]) {
        for (slot, byte) in self.buffer.iter_mut().skip(have).zip(taken) {
            *slot = *byte;
        }
    }

    /// A frame header is complete; returns where its payload leaves us.
    fn frame(&self, note: &impl Note) -> Position {
        let [l2, l1, l0, kind, flags, s3, s2, s1, s0, ..] = self.buffer;
        let length = u32::from_be_bytes([0, l2, l1, l0]) as usize;
        note.frame(kind, flags, u32::from_be_bytes([s3 & 0x7f, s2, s1, s0]), length);
        match length {
            0 => Position::Header(0),
            left if kind == SETTINGS && flags & ACK == 0 => Position::Settings { left, have: 0 },
            left if kind == PRIORITY_UPDATE => Position::Priority { left, have: 0 },
            left if kind == PUSH_PROMISE => Position::Promise { left, have: 0 },
            left => Position::Skip(left),
        }
    }

    fn priority(&self, have: usize, note: &impl Note) {
        let [s3, s2, s1, s0, value @ ..] = &self.buffer;
        if let Some(value) = have.checked_sub(4).and_then(|length| value.get(..length)) {
            note.priority(u32::from_be_bytes([s3 & 0x7f, *s2, *s1, *s0]), value);
        }
    }

    const fn skip(left: usize) -> Position {
        if left == 0 {
            Position::Header(0)
        } else {
            Position::Skip(left)
        }
    }

    fn setting(&self, note: &impl Note) {
        let [i1, i0, v3, v2, v1, v0, ..] = self.buffer;
        note.setting(u16::from_be_bytes([i1, i0]), u32::from_be_bytes([v3, v2, v1, v0]));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::cell::RefCell;

    pub(in crate::h2) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        frame
    }

    pub(in crate::h2) fn setting(id: u16, value: u32) -> Vec<u8> {
        [id.to_be_bytes().as_slice(), value.to_be_bytes().as_slice()].concat()
    }

    #[derive(Default)]
    struct Seen(RefCell<Vec<String>>);

    impl Note for Seen {
        fn frame(&self, kind: u8, flags: u8, stream: u32, _length: usize) {
            self.0.borrow_mut().push(format!("{kind}/{flags}/{stream}"));
        }

        fn promise(&self, stream: u32) {
            self.0.borrow_mut().push(format!("promise {stream}"));
        }

        fn priority(&self, stream: u32, value: &[u8]) {
            self.0
                .borrow_mut()
                .push(format!("priority {stream} {}", value.escape_ascii()));
        }

        fn setting(&self, identifier: u16, value: u32) {
            self.0.borrow_mut().push(format!("{identifier}={value}"));
        }
    }

    #[test]
    fn frames_are_found_however_they_are_cut() {
        let inside = frame(RST_STREAM, 0, 4, &[0, 0, 0, 8]);
        let stream = [
            PREFACE.to_vec(),
            frame(SETTINGS, 0, 0, &[setting(3, 7), setting(2, 0)].concat()),
            frame(SETTINGS, ACK, 0, b""),
            frame(DATA, END_STREAM, 1, &inside),
            frame(PUSH_PROMISE, 4, 1, &[0, 0, 0, 6, 1, 2, 3]),
            frame(PUSH_PROMISE, 4, 1, &[0, 0, 0, 8]),
            frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0\x05u=1"),
            frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0\x07u=2, and much that is not looked at"),
            frame(PRIORITY_UPDATE, 0, 0, b"\0\0"),
            frame(RST_STREAM, 0, 2, &[0, 0, 0, 8]),
        ]
        .concat();
        for step in 1..=stream.len() {
            let (mut frames, seen) = (Frames::of_client(), Seen::default());
            for piece in stream.chunks(step) {
                frames.read(piece, &seen);
            }
            assert_eq!(
                *seen.0.borrow(),
                [
                    "4/0/0",
                    "3=7",
                    "2=0",
                    "4/1/0",
                    "0/1/1",
                    "5/4/1",
                    "promise 6",
                    "5/4/1",
                    "promise 8",
                    "16/0/0",
                    "priority 5 u=1",
                    "16/0/0",
                    "priority 7 u=2, and much th",
                    "16/0/0",
                    "3/0/2"
                ],
                "in pieces of {step}"
            );
        }
    }
}
