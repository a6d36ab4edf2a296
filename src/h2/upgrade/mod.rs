//! A connection that was upgraded from HTTP/1.1 (RFC 7540 section 3.2).
//!
//! The h2 crate cannot begin with a request that was not sent on HTTP/2. So it is told one: what it
//! reads first is a preface, a SETTINGS frame with the payload of HTTP2-Settings, and the request as
//! the HEADERS of stream 1, without a body. Then the client's own preface is awaited and taken out,
//! and all that follows passes.
//!
//! The 101 acknowledges HTTP2-Settings. The acknowledgement that the crate writes for them is taken
//! out too: to clients it would be one for settings that they have not sent.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::request::Parts;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::{
    Limits, frames,
    validate::{Rejection, validate},
};

/// What the h2 crate is told of a request that asked for an upgrade.
#[derive(Debug)]
pub struct Beginning {
    told: Vec<u8>,
    handshake_timeout: Duration,
}

/// Why a request is not upgraded; it can still be answered as HTTP/1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotUpgradable {
    /// HTTP2-Settings is not the payload of a SETTINGS frame.
    #[error("HTTP2-Settings are no settings")]
    Settings,
    /// The fields are larger than an HTTP/2 request may be.
    #[error("the header is larger than {0} bytes")]
    TooLarge(u32),
    /// HTTP/2 would refuse the request.
    #[error(transparent)]
    Rejected(#[from] Rejection),
}

impl Beginning {
    /// The beginning of a connection with these settings of its client and this request, which has
    /// no body and no connection-specific field.
    ///
    /// # Errors
    ///
    /// Why the request stays HTTP/1.1.
    pub fn new(request: &Parts, settings: &[u8], limits: &Limits) -> Result<Self, NotUpgradable> {
        if !are_settings(settings) {
            return Err(NotUpgradable::Settings);
        }
        validate(request)?;
        let fields = fields(request);
        if list_size(&fields) > usize::try_from(limits.max_header_bytes).unwrap_or(usize::MAX) {
            return Err(NotUpgradable::TooLarge(limits.max_header_bytes));
        }
        let mut told = frames::PREFACE.to_vec();
        put_frame(&mut told, (frames::SETTINGS, 0), 0, settings);
        put_request(&mut told, &block(&fields));
        Ok(Self {
            told,
            handshake_timeout: limits.handshake_timeout,
        })
    }
}

/// A transport that may begin with an upgrade. Without one, and after it, it only passes bytes on.
#[derive(Debug)]
pub(super) struct Upgraded<T> {
    io: T,
    reading: Option<Reading>,
    writing: Option<Writing>,
}

/// What is read before the client's own frames.
#[derive(Debug)]
struct Reading {
    told: Vec<u8>,
    /// How much of `told` was read.
    position: usize,
    /// How much of the client's preface was taken out.
    preface: usize,
    preface_due: Pin<Box<Sleep>>,
}

/// What is written before the acknowledgement has been taken out.
#[derive(Debug)]
struct Writing {
    /// Of the frame that is being written.
    left: usize,
}

impl<T> Upgraded<T> {
    /// A transport; the client was told already of the upgrade that it begins with.
    pub(super) fn new(io: T, beginning: Option<Beginning>) -> Self {
        let (reading, writing) = beginning
            .map(|beginning| {
                let reading = Reading {
                    told: beginning.told,
                    position: 0,
                    preface: 0,
                    preface_due: Box::pin(sleep(beginning.handshake_timeout)),
                };
                (reading, Writing { left: 0 })
            })
            .unzip();
        Self { io, reading, writing }
    }
}

impl Reading {
    /// Ready when the client's preface was taken out, or something can be read before.
    fn poll<T: AsyncRead + Unpin>(
        &mut self,
        io: &mut T,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let told = self.told.get(self.position..).unwrap_or_default();
        if !told.is_empty() {
            let told = told.get(..told.len().min(buf.remaining())).unwrap_or_default();
            buf.put_slice(told);
            self.position += told.len();
            return Poll::Ready(Ok(()));
        }
        while let Some(awaited) = frames::PREFACE.get(self.preface..).filter(|rest| !rest.is_empty()) {
            if self.preface_due.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "no preface after the upgrade",
                )));
            }
            let mut bytes = [0; frames::PREFACE.len()];
            let mut read = ReadBuf::new(bytes.get_mut(..awaited.len()).unwrap_or_default());
            ready!(Pin::new(&mut *io).poll_read(cx, &mut read))?;
            let read = read.filled();
            if read.is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            if !awaited.starts_with(read) {
                // The GOAWAY may be omitted (RFC 9113 section 3.4).
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "no preface but other bytes after the upgrade",
                )));
            }
            self.preface += read.len();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Upgraded<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(reading) = &mut this.reading {
            let before = buf.filled().len();
            ready!(reading.poll(&mut this.io, cx, buf))?;
            if buf.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
            this.reading = None;
        }
        Pin::new(&mut this.io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> Upgraded<T> {
    /// Writes no further than the frame goes, so that the next write begins with a frame; the h2
    /// crate never splits a frame's header between two writes of its own.
    fn poll_write_frame(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let Some(writing) = &mut self.writing else {
            return Pin::new(&mut self.io).poll_write(cx, buf);
        };
        if writing.left == 0 {
            if buf.starts_with(&SETTINGS_ACK) {
                self.writing = None;
                return Poll::Ready(Ok(SETTINGS_ACK.len()));
            }
            let Some(&[l2, l1, l0]) = buf.first_chunk() else {
                return Poll::Ready(Err(io::Error::other("a frame header in pieces")));
            };
            writing.left = SETTINGS_ACK.len() + u32::from_be_bytes([0, l2, l1, l0]) as usize;
        }
        let frame = buf.get(..writing.left.min(buf.len())).unwrap_or_default();
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, frame))?;
        writing.left = writing.left.saturating_sub(written);
        Poll::Ready(Ok(written))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Upgraded<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_frame(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.writing.is_none() {
            return Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        }
        let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
        self.poll_write_frame(cx, first)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

/// The header of an empty SETTINGS frame with ACK.
const SETTINGS_ACK: [u8; 9] = [0, 0, 0, frames::SETTINGS, frames::ACK, 0, 0, 0, 0];

/// The most that a frame may have before a larger size is agreed on (RFC 9113 section 4.2).
const MAX_FRAME: usize = 16 * 1024;

/// Whether the h2 crate takes this payload of a SETTINGS frame (RFC 9113 section 6.5).
fn are_settings(payload: &[u8]) -> bool {
    let (settings, rest) = payload.as_chunks::<6>();
    let all = settings.iter().all(|&[i1, i0, v3, v2, v1, v0]| {
        let value = u32::from_be_bytes([v3, v2, v1, v0]);
        match u16::from_be_bytes([i1, i0]) {
            frames::ENABLE_PUSH | frames::ENABLE_CONNECT_PROTOCOL => value <= 1,
            frames::INITIAL_WINDOW_SIZE => value <= 0x7fff_ffff,
            frames::MAX_FRAME_SIZE => (0x4000..=0xff_ffff).contains(&value),
            _ => true,
        }
    });
    all && rest.is_empty() && payload.len() <= MAX_FRAME
}

/// The field lines of a request, pseudo-header fields first (RFC 9113 section 8.3.1).
fn fields(request: &Parts) -> Vec<(&[u8], &[u8])> {
    let uri = &request.uri;
    let pseudo = [
        (":method", request.method.as_str()),
        (":scheme", uri.scheme_str().unwrap_or("http")),
        (":authority", uri.authority().map_or("", |authority| authority.as_str())),
        (":path", uri.path_and_query().map_or("/", |path| path.as_str())),
    ];
    let regular = request
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    pseudo
        .into_iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .chain(regular)
        .collect()
}

/// As SETTINGS_MAX_HEADER_LIST_SIZE counts (RFC 9113 section 6.5.2).
fn list_size(fields: &[(&[u8], &[u8])]) -> usize {
    fields.iter().map(|(name, value)| name.len() + value.len() + 32).sum()
}

/// Literal fields without indexing and without Huffman coding (RFC 7541 section 6.2.2): the client's
/// dynamic table is left alone.
fn block(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut block = Vec::with_capacity(list_size(fields));
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            put_length(&mut block, text.len());
            block.extend_from_slice(text);
        }
    }
    block
}

/// An integer with a 7-bit prefix (RFC 7541 section 5.1).
fn put_length(block: &mut Vec<u8>, length: usize) {
    const PREFIX: u8 = 0x7f;
    match u8::try_from(length) {
        Ok(short) if short < PREFIX => block.push(short),
        _ => {
            block.push(PREFIX);
            let mut rest = length - usize::from(PREFIX);
            while rest >= 0x80 {
                block.push(u8::try_from(rest & 0x7f).unwrap_or(0) | 0x80);
                rest >>= 7;
            }
            block.push(u8::try_from(rest).unwrap_or(0));
        }
    }
}

/// HEADERS of stream 1, with END_STREAM, and as many CONTINUATION as it takes.
fn put_request(told: &mut Vec<u8>, block: &[u8]) {
    let last = block.len().div_ceil(MAX_FRAME).saturating_sub(1);
    for (n, part) in block.chunks(MAX_FRAME).enumerate() {
        let (kind, first_flags) = if n == 0 {
            (frames::HEADERS, frames::END_STREAM)
        } else {
            (frames::CONTINUATION, 0)
        };
        let last_flags = if n == last { frames::END_HEADERS } else { 0 };
        put_frame(told, (kind, first_flags | last_flags), 1, part);
    }
}

fn put_frame(told: &mut Vec<u8>, (kind, flags): (u8, u8), stream: u32, payload: &[u8]) {
    // No payload here is larger than MAX_FRAME.
    let [_, l2, l1, l0] = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    told.extend_from_slice(&[l2, l1, l0, kind, flags]);
    told.extend_from_slice(&stream.to_be_bytes());
    told.extend_from_slice(payload);
}

#[cfg(test)]
mod tests;
