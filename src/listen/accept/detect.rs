//! HTTP/2 by prior knowledge, or HTTP/1.x: told from the first bytes (RFC 9113 section 3.4).
//!
//! The bytes are read until they tell, never more than the preface has: a short HTTP/1.0 request
//! must not wait for a 24th byte.

use std::io;

use tokio::io::AsyncReadExt;

use crate::peer::PREFACE;

/// What a connection speaks.
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
    /// The bytes.
    pub(super) fn read(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    fn may_be_http2(&self) -> bool {
        PREFACE.starts_with(self.read())
    }

    pub(super) fn protocol(&self) -> Protocol {
        if self.read() == PREFACE {
            Protocol::Http2
        } else {
            Protocol::Http1
        }
    }
}

/// Reads until the bytes tell the protocol.
///
/// # Errors
///
/// The connection ended or failed before that.
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
    use tokio_test_stream::pieces;

    /// A reader that yields given pieces, then ends.
    mod tokio_test_stream {
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

    async fn told(input: &[&[u8]]) -> io::Result<(Protocol, usize)> {
        read(&mut pieces(input))
            .await
            .map(|first| (first.protocol(), first.length))
    }

    #[tokio::test]
    async fn the_preface_is_told_however_it_is_cut() {
        for cut in 1..PREFACE.len() {
            let (a, b) = PREFACE.split_at(cut);
            assert_eq!(told(&[a, b, b"more"]).await.expect("told"), (Protocol::Http2, 24));
        }
    }

    #[tokio::test]
    async fn http1_is_told_by_its_first_other_byte() {
        assert_eq!(
            told(&[b"GET / HTTP/1.0\r\n\r\n"]).await.expect("told"),
            (Protocol::Http1, 18)
        );
        assert_eq!(
            told(&[b"P", b"OST / HTTP/1.1\r\n"]).await.expect("told").0,
            Protocol::Http1
        );
        assert_eq!(
            told(&[b"PRI", b" * HTTP/1.1\r\n"]).await.expect("told").0,
            Protocol::Http1
        );
        assert_eq!(told(&[b"PRI"]).await.expect("told").0, Protocol::Http1);
    }

    #[tokio::test]
    async fn nothing_is_an_error() {
        assert_eq!(told(&[]).await.expect_err("ended").kind(), io::ErrorKind::UnexpectedEof);
    }
}
