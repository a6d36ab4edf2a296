//! Reads a response while the origin takes no more of the request: [`Duplex`].
//!
//! Pingora 0.9.1 does not read a response while it writes a piece of the request's content. Then the refusal (413, 401)
//! of an origin that leaves the upload unread arrives only when the origin closes, and an origin that responds while it
//! reads waits for ever for its own bytes to be read. So `Duplex` accepts a write that would wait as soon as the origin
//! has sent something, and writes it when the origin reads on. Once the response has [ended](OriginExchange::end), the
//! rest of the content is dropped, as by a server that closes (RFC 9112 section 9.6), and the connection is not used
//! again.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf, BytesMut};
use memchr::memchr;
use pingora::protocols::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::head::{HeadsRead, filter};
use crate::backpressure::Valve;

/// Bytes of a response that are read ahead at a time: a header of usual length.
const AHEAD: usize = 8 * 1024;

/// Bytes of a request that may wait here once Pingora has read all that the origin has sent. After each accepted write
/// Pingora handles the response or the next piece of content, at random, so within 16 pieces of 64 KiB it has almost
/// surely handled the response. While bytes read ahead are left, every write is accepted, as the origin may wait for them to be read.
const MAX_WAITING: usize = 1024 * 1024;

/// State that the proxy's request shares with its connection to the origin.
#[derive(Debug, Default)]
pub struct OriginExchange {
    /// The response was read to its end.
    has_ended: AtomicBool,
    /// The head of the final response is still to come.
    awaits_head: AtomicBool,
    /// The connection must not be used again.
    is_last: AtomicBool,
    /// Stops the reading of a response that is stored as it arrives.
    valve: Arc<Valve>,
    /// The response may be stored: Pingora waits for it even when its client has left.
    may_be_stored: AtomicBool,
    /// The task that waits for the origin to take a write.
    writer: Mutex<Option<Waker>>,
}

impl OriginExchange {
    /// Resets the state for another request on the connection. `may_be_stored`: the cache may store its response.
    pub fn begin(&self, may_be_stored: bool) {
        self.has_ended.store(false, Relaxed);
        self.awaits_head.store(true, Relaxed);
        self.may_be_stored.store(may_be_stored, Relaxed);
        self.valve.reset();
    }

    /// Returns the valve that stops the reading of the response.
    pub fn valve(&self) -> &Arc<Valve> {
        &self.valve
    }

    /// Notes that the response has ended: a write that still waits for the origin is dropped.
    pub fn end(&self) {
        self.has_ended.store(true, Relaxed);
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    /// Notes that the connection is closed after its response: the origin may never read the request's bytes still
    /// under way.
    pub fn retire(&self) {
        self.is_last.store(true, Relaxed);
    }

    fn has_ended(&self) -> bool {
        self.has_ended.load(Relaxed)
    }

    /// Returns whether Pingora waits for the head of a storable response though the client has left. If not, the task
    /// is woken when the client leaves.
    pub(in crate::upstream) fn waits_for_nobody(&self, cx: &Context<'_>) -> bool {
        if !self.awaits_head.load(Relaxed) || !self.may_be_stored.load(Relaxed) {
            return false;
        }
        self.valve.watch(cx);
        self.valve.has_client_left()
    }

    fn wait(&self, cx: &Context<'_>) {
        *self.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
    }
}

/// A connection that is read while a write waits.
#[derive(Debug)]
pub(in crate::upstream) struct Duplex {
    io: Stream,
    exchange: Arc<OriginExchange>,
    /// Bytes read ahead, for the next read.
    ahead: BytesMut,
    /// The beginning of an incomplete head.
    held: BytesMut,
    /// The origin has closed its sending side behind `ahead`.
    has_eof: bool,
    /// Accepted writes that the origin has not taken yet.
    waiting: BytesMut,
    /// The origin has sent something since `waiting` began to fill.
    has_responded: bool,
    /// Content was dropped: the origin would take a further request for the missing content.
    is_spent: bool,
}

impl Duplex {
    pub(in crate::upstream) fn new(io: Stream) -> Self {
        Self {
            io,
            exchange: Arc::default(),
            ahead: BytesMut::new(),
            held: BytesMut::new(),
            has_eof: false,
            waiting: BytesMut::new(),
            has_responded: false,
            is_spent: false,
        }
    }

    pub(in crate::upstream) fn io(&self) -> &Stream {
        &self.io
    }

    pub(in crate::upstream) fn io_mut(&mut self) -> &mut Stream {
        &mut self.io
    }

    pub(in crate::upstream) fn exchange(&self) -> &Arc<OriginExchange> {
        &self.exchange
    }

    /// Writes `waiting`.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.waiting.is_empty() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.waiting))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.waiting.advance(written);
        }
        if self.waiting.capacity() > 0 {
            (self.waiting, self.has_responded) = (BytesMut::new(), false);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads ahead, and returns whether the origin has sent bytes that are unread, or has closed its sending side.
    fn has_response(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        if !self.ahead.is_empty() || self.has_eof {
            return Ok(true);
        }
        let mut buffer = [0; AHEAD];
        let mut read = ReadBuf::new(&mut buffer);
        if self.poll_io(cx, &mut read)?.is_pending() {
            return Ok(false);
        }
        let filled = read.filled();
        self.has_eof = filled.is_empty() && self.ahead.is_empty();
        self.ahead.extend_from_slice(filled);
        Ok(true)
    }

    /// Reads from the transport, and changes heads by [`filter`]. If no byte was read, the caller takes `ahead`; if
    /// that is empty, too, the origin has closed.
    fn poll_io(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.exchange.awaits_head.load(Relaxed) {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        loop {
            let before = buf.filled().len();
            ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
            let read = buf.filled_mut().get_mut(before..).unwrap_or_default();
            if read.is_empty() {
                // The origin closed within a head: Pingora gets the incomplete head.
                self.ahead = std::mem::take(&mut self.held);
                return Poll::Ready(Ok(()));
            }
            if self.held.is_empty() {
                match filter(read) {
                    HeadsRead::Final => self.exchange.awaits_head.store(false, Relaxed),
                    HeadsRead::Interim(length) => {
                        self.held.extend_from_slice(read.get(length..).unwrap_or_default());
                        buf.set_filled(before + length);
                    }
                }
            } else {
                let has_line = memchr(b'\n', read).is_some();
                self.held.extend_from_slice(read);
                buf.set_filled(before);
                if !has_line {
                    continue;
                }
                let mut bytes = std::mem::take(&mut self.held);
                match filter(&mut bytes) {
                    HeadsRead::Final => self.exchange.awaits_head.store(false, Relaxed),
                    HeadsRead::Interim(length) => self.held = bytes.split_off(length),
                }
                self.ahead = bytes;
            }
            if buf.filled().len() > before || !self.ahead.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn read_ahead(&mut self, buf: &mut ReadBuf<'_>) {
        let taken = self.ahead.split_to(self.ahead.len().min(buf.remaining()));
        buf.put_slice(&taken);
    }

    /// Drops a write that would wait if the response has ended, accepts it if the origin has sent something, else
    /// waits.
    fn take(&mut self, cx: &mut Context<'_>, content: &[u8]) -> Poll<io::Result<usize>> {
        if self.exchange.has_ended() {
            self.is_spent = true;
            self.waiting = BytesMut::new();
            return Poll::Ready(Ok(content.len()));
        }
        let is_unread = self.has_response(cx)?;
        self.has_responded |= is_unread;
        if is_unread || (self.has_responded && self.waiting.len() < MAX_WAITING) {
            self.waiting.extend_from_slice(content);
            return Poll::Ready(Ok(content.len()));
        }
        self.exchange.wait(cx);
        Poll::Pending
    }
}

impl AsyncRead for Duplex {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.ahead.is_empty() {
            this.read_ahead(buf);
            return Poll::Ready(Ok(()));
        }
        // Pingora polls a pooled connection before its next use: this end makes Pingora drop the connection.
        let is_behind = this.exchange.has_ended() && (!this.waiting.is_empty() || this.exchange.is_last.load(Relaxed));
        if this.has_eof || this.is_spent || is_behind {
            return Poll::Ready(Ok(()));
        }
        if !this.waiting.is_empty() {
            // The next write meets the same error.
            let _ = this.poll_waiting(cx);
        }
        let before = buf.filled().len();
        ready!(this.poll_io(cx, buf))?;
        if buf.filled().len() == before {
            this.read_ahead(buf);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.is_spent {
            return Poll::Ready(Ok(buf.len()));
        }
        if this.poll_waiting(cx)?.is_pending() {
            return this.take(cx, buf);
        }
        match Pin::new(&mut this.io).poll_write(cx, buf) {
            Poll::Pending => this.take(cx, buf),
            written => written,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.is_spent {
            return Poll::Ready(Ok(()));
        }
        if this.poll_waiting(cx)?.is_ready() {
            return Pin::new(&mut this.io).poll_flush(cx);
        }
        this.take(cx, &[]).map_ok(|_| ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.waiting.is_empty() && !self.is_spent {
            let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
            if written.is_ready() {
                return written;
            }
        }
        let first = bufs.iter().find(|buf| !buf.is_empty());
        self.poll_write(cx, first.map_or(&[], |first| &**first))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    /// Returns an origin whose connection holds 8 bytes in each direction, and the connection.
    fn connected() -> (DuplexStream, Duplex) {
        let (origin, io) = duplex(8);
        (origin, Duplex::new(Box::new(io)))
    }

    async fn is_pending(write: impl Future<Output = io::Result<()>>) -> bool {
        let mut write = std::pin::pin!(write);
        std::future::poll_fn(|cx| Poll::Ready(write.as_mut().poll(cx).is_pending())).await
    }

    #[tokio::test]
    async fn a_write_waits_only_while_the_origin_is_silent() {
        let (mut origin, mut io) = connected();
        assert!(is_pending(io.write_all(b"123456789")).await, "8 of 9");
        origin.write_all(b"413").await.expect("room");
        io.write_all(b"9abc").await.expect("taken");
        let mut response = [0; 3];
        io.read_exact(&mut response).await.expect("read");
        assert_eq!(&response, b"413");
        io.write_all(b"def")
            .await
            .expect("Pingora may be busy with the response");
        // An origin that reads on gets all content, in order, while the rest of its response is awaited.
        let mut content = [0; 15];
        let mut more = [0; 1];
        tokio::select! {
            read = origin.read_exact(&mut content) => assert_eq!(read.expect("read"), 15),
            _ = io.read(&mut more) => unreachable!("it says no more"),
        }
        assert_eq!(&content, b"123456789abcdef");
    }

    #[tokio::test]
    async fn content_left_after_the_response_is_dropped_and_the_connection_closed() {
        let (mut origin, mut io) = connected();
        let exchange = Arc::clone(io.exchange());
        exchange.begin(false);
        assert!(is_pending(io.write_all(b"123456789")).await);
        exchange.end();
        io.write_all(&[0; 100_000]).await.expect("dropped");
        io.flush().await.expect("nothing is left");
        assert_eq!(io.read(&mut [0; 1]).await.expect("an end"), 0, "not to be used again");
        let mut content = [0; 8];
        origin.read_exact(&mut content).await.expect("what was sent before");
        drop(io);
        assert_eq!(origin.read(&mut content).await.expect("an end"), 0);
    }

    #[tokio::test]
    async fn a_connection_whose_request_was_read_serves_on_unless_it_is_retired() {
        let (mut origin, mut io) = connected();
        let exchange = Arc::clone(io.exchange());
        for is_last in [false, true] {
            exchange.begin(false);
            io.write_all(b"GET").await.expect("room");
            origin.read_exact(&mut [0; 3]).await.expect("read");
            if is_last {
                exchange.retire();
            }
            exchange.end();
            let mut byte = [0; 1];
            let mut read = std::pin::pin!(io.read(&mut byte));
            let has_ended = std::future::poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx).is_ready())).await;
            assert_eq!(has_ended, is_last);
        }
    }

    /// Returns the bytes read from an origin that writes these pieces one after another.
    async fn read_of(pieces: &[&str]) -> String {
        let (mut origin, io) = duplex(1024);
        let mut io = Duplex::new(Box::new(io));
        io.exchange().begin(false);
        let mut all = Vec::new();
        for piece in pieces {
            origin.write_all(piece.as_bytes()).await.expect("room");
            // A small buffer, as Pingora's may be nearly full.
            let mut buffer = [0; 16];
            loop {
                let mut read = std::pin::pin!(io.read(&mut buffer));
                match std::future::poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx))).await {
                    Poll::Ready(read) => all.extend(buffer.iter().take(read.expect("read"))),
                    Poll::Pending => break,
                }
            }
        }
        drop(origin);
        io.read_to_end(&mut all).await.expect("read");
        String::from_utf8(all).expect("UTF-8")
    }

    #[tokio::test]
    async fn heads_are_filtered_wherever_they_are_cut() {
        let early = "HTTP/1.1 103 Early Hints\r\nLink: a\x01\r\n\r\n";
        let last = "HTTP/1.1 200 OK\r\nX: \x02\r\nContent-Length: 9\r\n\r\n";
        let content = "content\x01\n\n";
        let whole = [early, last, content].concat();
        let expected = [&early.replace('\x01', " "), &last.replace('\x02', " "), content].concat();
        for cut in 0..whole.len() {
            let (one, two) = whole.split_at(cut);
            assert_eq!(read_of(&[one, two]).await, expected, "{cut}");
        }
        let bytes: Vec<String> = whole.chars().map(String::from).collect();
        let bytes: Vec<&str> = bytes.iter().map(String::as_str).collect();
        assert_eq!(read_of(&bytes).await, expected);
        assert_eq!(
            read_of(&["HTTP/1.1 200 OK\r\nX: \x01"]).await,
            "HTTP/1.1 200 OK\r\nX: \x01",
            "half"
        );
    }
}
