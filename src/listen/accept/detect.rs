//! Tells HTTP/2 by prior knowledge from HTTP/1.x by the first bytes of a connection (RFC 9113 section 3.4).
//!
//! Reading stops at the first byte that differs from the preface: an HTTP/1.0 request may be shorter than the preface's
//! 24 bytes, and would wait for ever.

use std::io;

use tokio::io::AsyncReadExt;

use crate::peer::PREFACE;

/// The protocol of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// The first bytes of a connection.
#[derive(Debug)]
pub(super) struct FirstBytes {
    bytes: [u8; PREFACE.len()],
    length: usize,
}

impl FirstBytes {
    /// Returns the bytes that were read.
    pub(super) fn read(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    fn may_be_http2(&self) -> bool {
        PREFACE.starts_with(self.read())
    }

    /// Returns HTTP/2 if the bytes are the whole preface.
    pub(super) fn protocol(&self) -> Protocol {
        if self.read() == PREFACE {
            Protocol::Http2
        } else {
            Protocol::Http1
        }
    }
}

/// Reads until the bytes show the protocol.
///
/// # Errors
///
/// The connection failed, or ended before its first byte.
pub(super) async fn read(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> io::Result<FirstBytes> {
    let mut first = FirstBytes {
        bytes: [0; PREFACE.len()],
        length: 0,
    };
    while first.length < PREFACE.len() && first.may_be_http2() {
        let room = first.bytes.get_mut(first.length..).unwrap_or_default();
        match stream.read(room).await? {
            0 if first.length == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            0 => break,
            read => first.length += read,
        }
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use piecewise::pieces;

    /// A reader that yields given pieces, then ends.
    mod piecewise {
        use std::{
            collections::VecDeque,
            io,
            pin::Pin,
            task::{Context, Poll},
        };
        use tokio::io::{AsyncRead, ReadBuf};

        pub(super) struct Pieces(VecDeque<Vec<u8>>);

        pub(super) fn pieces(pieces: &[&[u8]]) -> Pieces {
            Pieces(pieces.iter().map(|piece| piece.to_vec()).collect())
        }

        impl AsyncRead for Pieces {
            fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
                if let Some(mut piece) = self.0.pop_front() {
                    let rest = piece.split_off(piece.len().min(buf.remaining()));
                    buf.put_slice(&piece);
                    if !rest.is_empty() {
                        self.0.push_front(rest);
                    }
                }
                Poll::Ready(Ok(()))
            }
        }
    }

    async fn detected(input: &[&[u8]]) -> io::Result<(Protocol, usize)> {
        read(&mut pieces(input))
            .await
            .map(|first| (first.protocol(), first.length))
    }

    #[tokio::test]
    async fn the_preface_is_detected_however_it_is_cut() {
        for cut in 1..PREFACE.len() {
            let (a, b) = PREFACE.split_at(cut);
            assert_eq!(
                detected(&[a, b, b"more"]).await.expect("detected"),
                (Protocol::Http2, 24)
            );
        }
    }

    #[tokio::test]
    async fn a_byte_that_differs_from_the_preface_is_http1() {
        assert_eq!(
            detected(&[b"GET / HTTP/1.0\r\n\r\n"]).await.expect("detected"),
            (Protocol::Http1, 18)
        );
        assert_eq!(
            detected(&[b"P", b"OST / HTTP/1.1\r\n"]).await.expect("detected").0,
            Protocol::Http1
        );
        assert_eq!(
            detected(&[b"PRI", b" * HTTP/1.1\r\n"]).await.expect("detected").0,
            Protocol::Http1
        );
        assert_eq!(detected(&[b"PRI"]).await.expect("detected").0, Protocol::Http1);
    }

    #[tokio::test]
    async fn an_end_before_the_first_byte_is_an_error() {
        assert_eq!(
            detected(&[]).await.expect_err("ended").kind(),
            io::ErrorKind::UnexpectedEof
        );
    }
}
