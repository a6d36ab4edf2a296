//! Reads along with both directions of a connection, and notes what the h2 crate does not tell:
//! the client's settings and refusals in a [`Client`], ended responses in the [`SendOrder`].

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    frames::{self, Frames, Note},
    opening::{Promises, Transport},
    order::SendOrder,
};
use crate::push::{Client, Urgency};

/// A connection whose frames are noted.
#[derive(Debug)]
pub(super) struct Observed<T> {
    io: T,
    incoming: Frames,
    outgoing: Frames,
    noted: Noted,
    transport: Arc<Transport>,
}

#[derive(Debug)]
pub(super) struct Noted {
    pub(super) client: Arc<Client>,
    pub(super) order: Arc<SendOrder>,
    pub(super) promises: Arc<Promises>,
}

/// What the client sends.
struct FromClient<'n>(&'n Noted);

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
        }
    }

    /// Notes whether a write went through.
    fn written<R>(&self, poll: Poll<R>) -> Poll<R> {
        self.transport.set_write_blocked(poll.is_pending());
        if poll.is_ready() {
            self.transport.count_written();
        }
        poll
    }
}

impl Note for FromClient<'_> {
    fn frame(&self, kind: u8, _flags: u8, stream: u32, _length: usize) {
        match kind {
            frames::RST_STREAM => {
                self.0.order.ended(stream);
                if is_promised(stream) {
                    self.0.promises.ended(stream);
                    self.0.client.count_refusal();
                }
            }
            frames::GOAWAY => self.0.client.set_going_away(),
            _ => {}
        }
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
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        this.incoming
            .read(buf.filled().get(before..).unwrap_or_default(), &FromClient(&this.noted));
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
        this.written(poll)
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
        this.written(poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        frames::{
            PREFACE,
            tests::{frame, setting},
        },
        *,
    };
    use crate::{h2::order::Patience, push::Http2Facts};

    /// What is noted of a byte stream.
    fn noted(stream: &[u8]) -> (bool, usize, u32) {
        let client = Arc::new(Client::new(16));
        let noted = Noted {
            client: Arc::clone(&client),
            order: SendOrder::new(Patience::default()),
            promises: Arc::default(),
        };
        Frames::of_client().read(stream, &FromClient(&noted));
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

    #[test]
    fn after_goaway_nothing_is_promised() {
        assert!(!noted(&[PREFACE.to_vec(), frame(frames::GOAWAY, 0, 0, &[0; 8])].concat()).0);
    }
}
