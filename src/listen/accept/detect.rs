//! Tells HTTP/2 by prior knowledge from HTTP/1.x by the first bytes of a connection (RFC 9113 section 3.4), and both
//! from a connection that is meant for another kind of listener.
//!
//! Reading stops at the first byte that differs from the preface and from PROXY headers: an HTTP/1.0 request may be shorter than the preface's
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

/// The layer that a listener expects below HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BelowHttp {
    Nothing,
    Tls,
}

/// A beginning that no client makes which is meant for this listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum UnexpectedStart {
    /// A PROXY header behind the one that was read, or where none is read.
    #[error(
        "it begins with a PROXY header, which the listener does not expect there; is proxy_protocol: required meant?"
    )]
    ProxyHeader,
    /// A TLS handshake on a cleartext listener.
    #[error("it begins a TLS handshake, and the listener has no certificate")]
    Tls,
    /// HTTP where TLS must come first.
    #[error("it begins with HTTP in cleartext, and the listener expects TLS")]
    Cleartext,
}

impl UnexpectedStart {
    /// Returns the name of this reason.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::ProxyHeader => "unexpected_proxy_header",
            Self::Tls => "tls_on_cleartext",
            Self::Cleartext => "cleartext_on_tls",
        }
    }
}

/// The beginnings of PROXY headers: version 2, and version 1 as far as no request line is like it.
const PROXY_HEADERS: [&[u8]; 4] = [
    b"\r\n\r\n\0\r\nQUIT\n",
    b"PROXY TCP4 ",
    b"PROXY TCP6 ",
    b"PROXY UNKNOWN",
];

/// The first byte of a TLS handshake record (RFC 8446 section 5.1). No HTTP message begins with it.
const TLS_HANDSHAKE: u8 = 22;

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

    /// Returns whether more bytes may show another protocol.
    fn is_unclear(&self) -> bool {
        let may_be = |start: &[u8]| self.length < start.len() && start.starts_with(self.read());
        may_be(PREFACE) || PROXY_HEADERS.into_iter().any(may_be)
    }

    /// Returns HTTP/2 if the bytes are the whole preface.
    pub(super) fn protocol(&self) -> Protocol {
        if self.read() == PREFACE {
            Protocol::Http2
        } else {
            Protocol::Http1
        }
    }

    /// Checks that the bytes begin what a listener expects, as far as its clients can tell.
    ///
    /// # Errors
    ///
    /// The connection is meant for another kind of listener.
    pub(super) fn check(&self, expected: BelowHttp) -> Result<(), UnexpectedStart> {
        let bytes = self.read();
        if PROXY_HEADERS.iter().any(|start| bytes.starts_with(start)) {
            return Err(UnexpectedStart::ProxyHeader);
        }
        match (expected, bytes.first()) {
            (BelowHttp::Nothing, Some(&TLS_HANDSHAKE)) => Err(UnexpectedStart::Tls),
            (BelowHttp::Tls, Some(b'A'..=b'Z')) => Err(UnexpectedStart::Cleartext),
            _ => Ok(()),
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
    while first.is_unclear() {
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
    use tokio::io::AsyncWriteExt as _;

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

    #[tokio::test]
    async fn a_connection_for_another_listener_is_found_byte_by_byte() {
        use UnexpectedStart::{Cleartext, ProxyHeader, Tls};
        for (bytes, on_cleartext, on_tls) in [
            (&b"GET / HTTP/1.1\r\n"[..], None, Some(Cleartext)),
            (PREFACE, None, Some(Cleartext)),
            (b"\r\nGET / HTTP/1.1\r\n", None, None),
            (b"\r\n\r\nGET / HTTP/1.1\r\n", None, None),
            (b"\x16\x03\x01\x02\x00", Some(Tls), None),
            (
                b"PROXY TCP4 192.0.2.7 10.0.0.1 40000 443\r\n",
                Some(ProxyHeader),
                Some(ProxyHeader),
            ),
            (
                b"PROXY TCP6 ::1 ::1 40000 443\r\n",
                Some(ProxyHeader),
                Some(ProxyHeader),
            ),
            (b"PROXY UNKNOWN\r\n", Some(ProxyHeader), Some(ProxyHeader)),
            (b"PROXY /index.html HTTP/1.1\r\n", None, Some(Cleartext)),
            (b"\r\n\r\n\0\r\nQUIT\n\x21\x11", Some(ProxyHeader), Some(ProxyHeader)),
            (b"\r\n\r\n\0\r\nQUIR\n\x21\x11", None, None),
        ] {
            for size in [1, 2, bytes.len()] {
                let (mut client, mut server) = tokio::io::duplex(size);
                let sent = bytes.to_vec();
                let sending = tokio::spawn(async move { client.write_all(&sent).await });
                let first = read(&mut server).await.expect("bytes");
                drop(server);
                let _ = sending.await.expect("no panic");
                let found = |expected| first.check(expected).err();
                let text = bytes.escape_ascii();
                assert_eq!(found(BelowHttp::Nothing), on_cleartext, "{text} by {size}");
                assert_eq!(found(BelowHttp::Tls), on_tls, "{text} by {size}");
            }
        }
    }
}
