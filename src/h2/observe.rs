//! Reads along with what the client sends, frame by frame.
//!
//! The h2 crate obeys the client's SETTINGS but does not tell them, nor which promises were reset
//! after they were sent in full. Both decide what is planned, so the bytes are looked at on their
//! way in: nine per frame header, SETTINGS payloads, nothing else, and nothing is copied or held up.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::opening::Transport;
use crate::push::Client;

/// A connection whose incoming frames are noted in a [`Client`].
#[derive(Debug)]
pub(super) struct Observed<T> {
    io: T,
    frames: Frames,
    client: Arc<Client>,
    transport: Arc<Transport>,
}

impl<T> Observed<T> {
    pub(super) fn new(io: T, client: Arc<Client>, transport: Arc<Transport>) -> Self {
        Self { io, frames: Frames::default(), client, transport }
    }

    /// Notes whether a write went through.
    fn written<R>(&self, poll: Poll<R>) -> Poll<R> {
        self.transport.set_write_blocked(poll.is_pending());
        poll
    }
}

/// The client preface is followed by frames (RFC 9113 section 3.4).
const PREFACE_LEN: usize = 24;
const HEADER_LEN: usize = 9;
const SETTING_LEN: usize = 6;

const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const GOAWAY: u8 = 0x7;
const ACK: u8 = 0x1;

const ENABLE_PUSH: u16 = 0x2;
const MAX_CONCURRENT_STREAMS: u16 = 0x3;

/// Where in the byte stream the next byte stands.
#[derive(Debug)]
enum Position {
    /// This many bytes of the preface are still to come.
    Preface(usize),
    /// In a frame header, of which the buffer holds this many bytes.
    Header(usize),
    /// In a SETTINGS payload: bytes left, bytes of the current setting in the buffer.
    Settings { left: usize, have: usize },
    /// In a payload that does not matter, with this many bytes left.
    Skip(usize),
}

#[derive(Debug)]
struct Frames {
    position: Position,
    buffer: [u8; HEADER_LEN],
}

impl Default for Frames {
    fn default() -> Self {
        Self { position: Position::Preface(PREFACE_LEN), buffer: [0; HEADER_LEN] }
    }
}

impl Frames {
    fn read(&mut self, mut bytes: &[u8], client: &Client) {
        while !bytes.is_empty() {
            bytes = match self.position {
                Position::Preface(left) => {
                    let (taken, rest) = take(bytes, left);
                    self.position = match left - taken.len() {
                        0 => Position::Header(0),
                        left => Position::Preface(left),
                    };
                    rest
                }
                Position::Header(have) => {
                    let (taken, rest) = take(bytes, HEADER_LEN - have);
                    self.fill(have, taken);
                    self.position = match have + taken.len() {
                        HEADER_LEN => self.frame(client),
                        have => Position::Header(have),
                    };
                    rest
                }
                Position::Settings { left, have } => {
                    let (taken, rest) = take(bytes, left.min(SETTING_LEN - have));
                    self.fill(have, taken);
                    let (left, mut have) = (left - taken.len(), have + taken.len());
                    if have == SETTING_LEN {
                        self.setting(client);
                        have = 0;
                    }
                    self.position = if left == 0 { Position::Header(0) } else { Position::Settings { left, have } };
                    rest
                }
                Position::Skip(left) => {
                    let (taken, rest) = take(bytes, left);
                    self.position = match left - taken.len() {
                        0 => Position::Header(0),
                        left => Position::Skip(left),
                    };
                    rest
                }
            };
        }
    }

    fn fill(&mut self, have: usize, taken: &[u8]) {
        for (slot, byte) in self.buffer.iter_mut().skip(have).zip(taken) {
            *slot = *byte;
        }
    }

    /// A frame header is complete: notes what it says by itself, and returns where its payload leaves us.
    fn frame(&self, client: &Client) -> Position {
        let [l2, l1, l0, kind, flags, s3, s2, s1, s0] = self.buffer;
        let length = u32::from_be_bytes([0, l2, l1, l0]) as usize;
        let stream = u32::from_be_bytes([s3 & 0x7f, s2, s1, s0]);
        match kind {
            RST_STREAM if stream != 0 && stream.is_multiple_of(2) => client.count_refusal(),
            GOAWAY => client.set_going_away(),
            SETTINGS if flags & ACK == 0 && length > 0 => return Position::Settings { left: length, have: 0 },
            _ => {}
        }
        if length == 0 { Position::Header(0) } else { Position::Skip(length) }
    }

    fn setting(&self, client: &Client) {
        let [i1, i0, v3, v2, v1, v0, ..] = self.buffer;
        let value = u32::from_be_bytes([v3, v2, v1, v0]);
        match u16::from_be_bytes([i1, i0]) {
            ENABLE_PUSH => client.set_enable_push(value == 1),
            MAX_CONCURRENT_STREAMS => client.set_max_concurrent_streams(value),
            _ => {}
        }
    }
}

fn take(bytes: &[u8], most: usize) -> (&[u8], &[u8]) {
    bytes.split_at(most.min(bytes.len()))
}

impl<T: AsyncRead + Unpin> AsyncRead for Observed<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.transport.are_reads_held() {
            // Whoever holds them wakes the task.
            return Poll::Pending;
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        this.frames.read(buf.filled().get(before..).unwrap_or_default(), &this.client);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Observed<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.io).poll_write(cx, buf);
        self.written(poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.io).poll_flush(cx);
        self.written(poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.written(poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::Http2Facts;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        frame
    }

    fn setting(id: u16, value: u32) -> Vec<u8> {
        [id.to_be_bytes().as_slice(), value.to_be_bytes().as_slice()].concat()
    }

    /// What is noted of a byte stream that arrives in pieces of `step` bytes.
    fn noted(stream: &[u8], step: usize) -> (bool, usize, u32) {
        let client = Arc::new(Client::new(16));
        let mut frames = Frames::default();
        for piece in stream.chunks(step) {
            frames.read(piece, &client);
        }
        let mut facts = (false, 0, 0);
        client.plan(|http2: &Http2Facts<'_>| {
            facts = (http2.accepts_push, http2.max_concurrent_streams, http2.refusals);
            crate::push::Plan::default()
        });
        facts
    }

    #[test]
    fn settings_are_noted_however_they_are_cut() {
        let stream = [
            PREFACE.to_vec(),
            frame(SETTINGS, 0, 0, &[setting(3, 7), setting(2, 0), setting(4, 65535)].concat()),
            frame(0x1, 0x5, 1, b"block"),
        ]
        .concat();
        for step in 1..=stream.len() {
            assert_eq!(noted(&stream, step), (false, 7, 0), "in pieces of {step}");
        }
    }

    #[test]
    fn push_can_be_switched_off_and_on_again() {
        let off = frame(SETTINGS, 0, 0, &setting(2, 0));
        let on = frame(SETTINGS, 0, 0, &setting(2, 1));
        let ack = frame(SETTINGS, ACK, 0, b"");
        assert!(!noted(&[PREFACE, &off, &ack].concat(), 5).0);
        assert!(noted(&[PREFACE, &off, &ack, &on].concat(), 5).0);
    }

    #[test]
    fn only_promised_streams_count_as_refused() {
        let stream = [
            PREFACE.to_vec(),
            frame(RST_STREAM, 0, 2, &[0, 0, 0, 8]),
            frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]),
            frame(0x0, 0, 1, &frame(RST_STREAM, 0, 4, &[0, 0, 0, 8])),
            frame(RST_STREAM, 0, 4, &[0, 0, 0, 7]),
        ]
        .concat();
        assert_eq!(noted(&stream, 3).2, 2);
    }

    #[test]
    fn after_goaway_nothing_is_promised() {
        assert!(!noted(&[PREFACE.to_vec(), frame(GOAWAY, 0, 0, &[0; 8])].concat(), 100).0);
    }
}
