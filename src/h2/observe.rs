//! Reads along with both directions of a connection, and notes what the h2 crate does not tell:
//! the client's settings and refusals in a [`Client`], ended responses in the [`SendOrder`].
//!
//! Two frames of the client it does not pass on as they come, since the h2 crate panics on them (see `unwritten`): a
//! GOAWAY while promises are not written waits until they are; a RST_STREAM of a stream that was never promised fails
//! the connection.

use std::{
    cell::Cell,
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::{
    frames::{self, Frames, Note},
    opening::{Promises, Transport},
    order::SendOrder,
};
use crate::push::{Client, Urgency};

/// How long the client's GOAWAY waits for promises to be written. A client that takes nothing in this time loses its
/// connection.
const GOAWAY_PATIENCE: Duration = Duration::from_secs(5);

/// A connection whose frames are noted.
#[derive(Debug)]
pub(super) struct Observed<T> {
    io: T,
    incoming: Frames,
    outgoing: Frames,
    noted: Noted,
    transport: Arc<Transport>,
    /// Set while a GOAWAY waits, of which h2 has the header.
    goaway_fails: Option<Pin<Box<Sleep>>>,
    /// Bytes behind that header.
    held: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Noted {
    pub(super) client: Arc<Client>,
    pub(super) order: Arc<SendOrder>,
    pub(super) promises: Arc<Promises>,
}

/// What the client sends.
struct FromClient<'n>(&'n Noted, Cell<Verdict>);

/// Whether h2 may read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Read,
    /// Not behind this GOAWAY before all promises are written.
    Wait,
    /// Never.
    Fail,
}

/// What is sent to the client.
struct ToClient<'n>(&'n Noted);

impl<T> Observed<T> {
    pub(super) fn new(io: T, noted: Noted, transport: Arc<Transport>) -> Self {
        Self {
            io,
            incoming: Frames::of_client(),
            outgoing: Frames::of_server(),
            noted,
            transport,
            goaway_fails: None,
            held: Vec::new(),
        }
    }

    /// Notes whether a write went through.
    fn written<R>(&self, cx: &Context<'_>, poll: Poll<R>) -> Poll<R> {
        self.transport.set_write_blocked(poll.is_pending());
        if poll.is_ready() {
            self.transport.count_written();
            if self.goaway_fails.is_some() {
                // It may have been the last promise that a GOAWAY waits for.
                cx.waker().wake_by_ref();
            }
        }
        poll
    }

    /// Ready when nothing that was read before hinders h2 to read on.
    fn poll_may_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let unwritten = &self.noted.promises.unwritten;
        unwritten.read_on();
        if let Some(fails) = &mut self.goaway_fails
            && unwritten.any()
        {
            ready!(fails.as_mut().poll(cx));
            return Poll::Ready(Err(io::Error::other(
                "promises before the client's GOAWAY cannot be written",
            )));
        }
        self.goaway_fails = None;
        self.transport.hold_goaway(false);
        Poll::Ready(Ok(()))
    }
}

impl Note for FromClient<'_> {
    fn frame(&self, kind: u8, _flags: u8, stream: u32, _length: usize) {
        match kind {
            frames::RST_STREAM => {
                let unwritten = &self.0.promises.unwritten;
                self.0.order.ended(stream);
                if is_promised(stream) {
                    self.0.promises.ended(stream);
                    self.0.client.count_refusal();
                    if !unwritten.may_be_known(stream) {
                        self.1.set(Verdict::Fail);
                    }
                } else {
                    unwritten.reset(stream);
                }
            }
            frames::GOAWAY => {
                // First, so that nothing is promised after the look at what is unwritten.
                self.0.client.set_going_away();
                if self.0.promises.unwritten.any() {
                    self.1.set(Verdict::Wait);
                }
            }
            _ => {}
        }
    }

    fn stops(&self) -> bool {
        self.1.get() != Verdict::Read
    }

    fn priority(&self, stream: u32, value: &[u8]) {
        if let Some(urgency) = Urgency::asked(value) {
            self.0.order.ask(stream, urgency);
        }
    }

    fn setting(&self, identifier: u16, value: u32) {
        match identifier {
            frames::ENABLE_PUSH => self.0.client.set_enable_push(value == 1),
            frames::MAX_CONCURRENT_STREAMS => self.0.client.set_max_concurrent_streams(value),
            _ => {}
        }
    }
}

impl Note for ToClient<'_> {
    fn frame(&self, kind: u8, flags: u8, stream: u32, length: usize) {
        if kind == frames::DATA && is_promised(stream) {
            self.0.order.pushed(stream, length);
        }
        let ends = match kind {
            frames::DATA | frames::HEADERS => flags & frames::END_STREAM != 0,
            frames::RST_STREAM => true,
            _ => false,
        };
        if ends {
            self.0.order.ended(stream);
            if is_promised(stream) {
                self.0.promises.ended(stream);
            } else if kind == frames::RST_STREAM {
                self.0.promises.unwritten.dropped(stream);
            }
        }
    }

    fn promise(&self, stream: u32) {
        self.0.promises.written(stream);
    }
}

const fn is_promised(stream: u32) -> bool {
    stream != 0 && stream.is_multiple_of(2)
}

impl<T: AsyncRead + Unpin> AsyncRead for Observed<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.transport.are_reads_held() {
            // Whoever holds them wakes the task.
            return Poll::Pending;
        }
        ready!(this.poll_may_read(cx))?;
        let before = buf.filled().len();
        if this.held.is_empty() {
            ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        } else {
            let held = this.held.drain(..this.held.len().min(buf.remaining()));
            buf.put_slice(held.as_slice());
        }
        let note = FromClient(&this.noted, Cell::new(Verdict::Read));
        let left = this
            .incoming
            .read(buf.filled().get(before..).unwrap_or_default(), &note);
        match note.1.get() {
            Verdict::Read => {}
            Verdict::Wait => {
                let end = buf.filled().len() - left;
                let behind = buf.filled().get(end..).unwrap_or_default();
                this.held.splice(0..0, behind.iter().copied());
                buf.set_filled(end);
                this.goaway_fails = Some(Box::pin(sleep(GOAWAY_PATIENCE)));
                this.transport.hold_goaway(true);
            }
            Verdict::Fail => {
                let error = "RST_STREAM of a stream that was never promised";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Observed<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let poll = Pin::new(&mut this.io).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = poll {
            this.outgoing
                .read(buf.get(..written).unwrap_or_default(), &ToClient(&this.noted));
        }
        this.written(cx, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.io).poll_flush(cx);
        self.transport.set_write_blocked(poll.is_pending());
        poll
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let poll = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        if let Poll::Ready(Ok(written)) = poll {
            let mut left = written;
            for buf in bufs {
                let part = buf.get(..left.min(buf.len())).unwrap_or_default();
                this.outgoing.read(part, &ToClient(&this.noted));
                left -= part.len();
            }
        }
        this.written(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        time::timeout,
    };

    use super::{
        frames::{
            PREFACE,
            tests::{frame, setting},
        },
        *,
    };
    use crate::{h2::order::Patience, push::Http2Facts};

    fn of_client(client: &Arc<Client>) -> Noted {
        Noted {
            client: Arc::clone(client),
            order: SendOrder::new(Patience::default()),
            promises: Arc::default(),
        }
    }

    /// What is noted of a byte stream of a client that has the promises 2 and 4.
    fn noted(stream: &[u8]) -> (bool, usize, u32) {
        let client = Arc::new(Client::new(16));
        let noted = of_client(&client);
        noted.promises.written(2);
        noted.promises.written(4);
        Frames::of_client().read(stream, &FromClient(&noted, Cell::new(Verdict::Read)));
        let mut facts = (false, 0, 0);
        client.plan(|http2: &Http2Facts<'_>| {
            facts = (http2.accepts_push, http2.max_concurrent_streams, http2.refusals);
            crate::push::Plan::default()
        });
        facts
    }

    #[test]
    fn push_can_be_switched_off_and_on_again() {
        let off = frame(
            frames::SETTINGS,
            0,
            0,
            &[setting(3, 7), setting(2, 0), setting(4, 65535)].concat(),
        );
        let on = frame(frames::SETTINGS, 0, 0, &setting(2, 1));
        assert_eq!(noted(&[PREFACE.as_slice(), &off].concat()), (false, 7, 0));
        assert_eq!(noted(&[PREFACE.as_slice(), &off, &on].concat()), (true, 7, 0));
    }

    #[test]
    fn only_promised_streams_count_as_refused() {
        let reset = |stream| frame(frames::RST_STREAM, 0, stream, &[0, 0, 0, 8]);
        assert_eq!(noted(&[PREFACE.to_vec(), reset(2), reset(1), reset(4)].concat()).2, 2);
    }

    /// A connection with a promise on stream 2 that is not written, after the client has sent these frames; and what
    /// could be read of them at once.
    async fn with_unwritten(sent: &[Vec<u8>]) -> (DuplexStream, Observed<DuplexStream>, Vec<u8>) {
        let (mut client, server) = duplex(1 << 16);
        client
            .write_all(&[PREFACE.to_vec(), sent.concat()].concat())
            .await
            .expect("sent");
        let noted = of_client(&Arc::new(Client::new(16)));
        let turn = noted.promises.unwritten.turn(1).await.expect("nobody else");
        turn.ask(|| Some((2, ()))).expect("asked");
        drop(turn);
        let mut observed = Observed::new(server, noted, Arc::default());
        let mut read = vec![0; 1 << 16];
        let length = observed.read(&mut read).await.expect("the beginning");
        read.truncate(length);
        (client, observed, read)
    }

    #[tokio::test(start_paused = true)]
    async fn a_goaway_waits_until_promises_are_written() {
        let goaway = frame(frames::GOAWAY, 0, 0, &[0; 8]);
        let ping = frame(6, 0, 0, &[7; 8]);
        let (_client, mut observed, mut read) = with_unwritten(&[goaway.clone(), ping.clone()]).await;
        assert_eq!(read.len(), PREFACE.len() + 9, "up to its payload");
        let mut piece = [0; 100];
        assert!(timeout(GOAWAY_PATIENCE / 2, observed.read(&mut piece)).await.is_err());
        let promise = frame(5, 4, 1, &[0, 0, 0, 2]);
        observed.write_all(&promise).await.expect("written");
        let length = observed.read(&mut piece).await.expect("the rest");
        read.extend(piece.iter().take(length));
        assert_eq!(read, [PREFACE.to_vec(), goaway, ping].concat());
    }

    #[tokio::test(start_paused = true)]
    async fn a_goaway_that_waits_too_long_ends_the_connection() {
        let (_client, mut observed, _) = with_unwritten(&[frame(frames::GOAWAY, 0, 0, &[0; 8])]).await;
        assert!(observed.read(&mut [0; 100]).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_goaway_behind_the_reset_of_the_document_need_not_wait() {
        let reset = frame(frames::RST_STREAM, 0, 1, &[0, 0, 0, 8]);
        let (_client, mut observed, _) = with_unwritten(&[reset, frame(frames::GOAWAY, 0, 0, &[0; 8])]).await;
        assert_eq!(observed.read(&mut [0; 100]).await.expect("its payload"), 8);
    }

    #[tokio::test]
    async fn the_reset_of_a_promise_that_is_not_written_ends_the_connection() {
        let (mut client, server) = duplex(1 << 16);
        let reset = frame(frames::RST_STREAM, 0, 2, &[0, 0, 0, 8]);
        client
            .write_all(&[PREFACE.to_vec(), reset].concat())
            .await
            .expect("sent");
        let mut observed = Observed::new(server, of_client(&Arc::new(Client::new(16))), Arc::default());
        assert!(observed.read(&mut [0; 100]).await.is_err());
    }

    #[test]
    fn after_goaway_nothing_is_promised() {
        assert!(!noted(&[PREFACE.to_vec(), frame(frames::GOAWAY, 0, 0, &[0; 8])].concat()).0);
    }
}
