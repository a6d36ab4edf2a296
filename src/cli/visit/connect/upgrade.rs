//! Changes a connection from HTTP/1.1 to HTTP/2 (RFC 7540 section 3.2).
//!
//! The request that asks for the change becomes stream 1. The h2 crate knows no such stream, so it is let send a request
//! of its own on stream 1, without fields that would enter its HPACK table, and [`Upgraded`] keeps that request back.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use data_encoding::BASE64URL_NOPAD;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Instant, timeout_at};

use crate::cli::visit::error::{Stage, VisitError};
use crate::cli::visit::itinerary::{Itinerary, Purpose};
use crate::cli::visit::message::{read_head, request_head};
use crate::cli::visit::transport::Transport;
use crate::cli::visit::visited::PushSetting;

/// Asks for the page and for h2c. Returns the connection once the server has answered 101.
///
/// # Errors
///
/// The server goes on with HTTP/1.1, or broke the connection.
pub(in crate::cli::visit) async fn upgrade(
    mut transport: Box<dyn Transport>,
    itinerary: &Itinerary,
    window: u32,
    deadline: Instant,
) -> Result<Box<dyn Transport>, VisitError> {
    let settings = BASE64URL_NOPAD.encode(&settings(itinerary.push, window));
    let fields = itinerary.request_fields(Purpose::Page);
    let change = [
        ("connection", "Upgrade, HTTP2-Settings"),
        ("upgrade", "h2c"),
        ("http2-settings", settings.as_str()),
    ];
    let request = request_head(&itinerary.page, itinerary.authority(), &fields, &change);
    let mut buffer = BytesMut::new();
    let answered = async {
        transport.write_all(&request).await.map_err(|error| error.to_string())?;
        loop {
            let head = read_head(&mut transport, &mut buffer).await?;
            if !matches!(head.status.as_u16(), 100 | 102 | 103) {
                return Ok::<_, String>(head.status);
            }
        }
    };
    let answered = timeout_at(deadline, answered).await;
    let status = answered
        .map_err(|_| VisitError::late(itinerary, Stage::Upgrade))?
        .map_err(|reason| VisitError::Broken {
            address: itinerary.server.clone(),
            reason,
        })?;
    if status != http::StatusCode::SWITCHING_PROTOCOLS {
        return Err(VisitError::NoUpgrade {
            address: itinerary.server.clone(),
            status: status.as_u16(),
        });
    }
    Ok(Box::new(Upgraded {
        inner: transport,
        received: buffer,
        sent: BytesMut::new(),
        outgoing: Outgoing::Preface(PREFACE_LENGTH),
    }))
}

/// Writes the settings of `HTTP2-Settings`: pushes, and the window of a stream.
fn settings(push: PushSetting, window: u32) -> [u8; 12] {
    let mut payload = [0, 2, 0, 0, 0, u8::from(push == PushSetting::Accepted), 0, 4, 0, 0, 0, 0];
    if let Some(value) = payload.last_chunk_mut::<4>() {
        *value = window.to_be_bytes();
    }
    payload
}

/// A connection on which stream 1 was begun by HTTP/1.1.
struct Upgraded {
    inner: Box<dyn Transport>,
    /// Bytes that arrived behind the 101.
    received: BytesMut,
    /// Bytes that were let through, and are not written yet; at most those of one write.
    sent: BytesMut,
    outgoing: Outgoing,
}

/// The place in the bytes that are to be sent.
enum Outgoing {
    /// Bytes of the preface that are still to come.
    Preface(usize),
    /// The bytes of a frame's header so far.
    Header(Vec<u8>),
    /// Bytes of a frame's payload that are still to come, and whether they are let through.
    Payload(usize, Passage),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Passage {
    Through,
    KeptBack,
}

impl Upgraded {
    /// Takes bytes of the h2 crate: all of them, but the frames that ask for stream 1.
    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (left, passage) = match &mut self.outgoing {
                Outgoing::Preface(left) => (*left, Passage::Through),
                Outgoing::Payload(left, passage) => (*left, *passage),
                Outgoing::Header(header) => {
                    let missing = FRAME_HEADER.saturating_sub(header.len()).min(bytes.len());
                    let (now, rest) = bytes.split_at(missing);
                    header.extend_from_slice(now);
                    bytes = rest;
                    if let &[a, b, c, kind, _, w, x, y, z] = header.as_slice() {
                        let length = u32::from_be_bytes([0, a, b, c]);
                        let is_request = matches!(kind, HEADERS | CONTINUATION) && [w & 0x7f, x, y, z] == [0, 0, 0, 1];
                        let passage = if is_request {
                            Passage::KeptBack
                        } else {
                            Passage::Through
                        };
                        if passage == Passage::Through {
                            self.sent.extend_from_slice(header);
                        }
                        self.outgoing = Outgoing::of_payload(usize::try_from(length).unwrap_or(usize::MAX), passage);
                    }
                    continue;
                }
            };
            let (now, rest) = bytes.split_at(left.min(bytes.len()));
            if passage == Passage::Through {
                self.sent.extend_from_slice(now);
            }
            bytes = rest;
            let left = left - now.len();
            self.outgoing = match self.outgoing {
                Outgoing::Preface(_) if left > 0 => Outgoing::Preface(left),
                _ => Outgoing::of_payload(left, passage),
            };
        }
    }

    /// Writes the bytes that were let through.
    fn write_sent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.sent.is_empty() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(context, &self.sent))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl Outgoing {
    fn of_payload(left: usize, passage: Passage) -> Self {
        if left == 0 {
            Self::Header(Vec::with_capacity(FRAME_HEADER))
        } else {
            Self::Payload(left, passage)
        }
    }
}

impl AsyncRead for Upgraded {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.received.is_empty() {
            return Pin::new(&mut self.inner).poll_read(context, into);
        }
        let length = self.received.len().min(into.remaining());
        into.put_slice(&self.received.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.write_sent(context))?;
        self.take(bytes);
        // Bytes that do not leave now leave before the next write, or by the flush.
        if let Poll::Ready(Err(error)) = self.write_sent(context) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.write_sent(context))?;
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.write_sent(context))?;
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// Bytes of `PRI * HTTP/2.0 … SM` (RFC 9113 section 3.4).
const PREFACE_LENGTH: usize = 24;
/// Bytes of a frame's header.
const FRAME_HEADER: usize = 9;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).expect("short");
        [&[0, 0, length, kind, 4, 0, 0, 0, stream], payload].concat()
    }

    #[test]
    fn the_request_for_stream_1_is_kept_back_however_it_is_cut() {
        let preface = [b'P'; PREFACE_LENGTH].to_vec();
        let kept = [frame(HEADERS, 1, b"request"), frame(CONTINUATION, 1, b"")].concat();
        let others = [frame(4, 0, b""), frame(HEADERS, 3, b"next"), frame(8, 1, b"more")];
        let [first, second, third] = &others;
        let bytes = [&preface, first, &kept, second, third].map(Vec::as_slice).concat();
        let expected = [&preface, first, second, third].map(Vec::as_slice).concat();
        for size in 1..bytes.len() {
            let mut upgraded = Upgraded {
                inner: Box::new(tokio::io::empty()),
                received: BytesMut::new(),
                sent: BytesMut::new(),
                outgoing: Outgoing::Preface(PREFACE_LENGTH),
            };
            for piece in bytes.chunks(size) {
                upgraded.take(piece);
            }
            assert_eq!(upgraded.sent, expected, "{size}");
        }
    }

    #[test]
    fn settings_say_whether_pushes_are_taken() {
        let accepted = settings(PushSetting::Accepted, 0x0060_0000);
        assert_eq!(accepted, [0, 2, 0, 0, 0, 1, 0, 4, 0, 0x60, 0, 0]);
        assert_eq!(settings(PushSetting::Refused, 1)[5], 0);
    }
}
