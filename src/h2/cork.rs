//! Frames of one turn of the connection's task leave in one write.
//!
//! The h2 crate writes each DATA frame of more than 255 bytes by a system call of its own, which is a
//! third of what a small response costs. Under it, [`Corked`] gathers what the crate writes; the task
//! of the connection, which knows when a turn is over, flushes by its [`Cork`].

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::chunk::{Rope, Shown};

/// Bytes that are gathered; what is larger goes to the transport as it is. Four default frames: a
/// response of 64 KB is one system call instead of four.
const MAX_HELD: usize = 72 * 1024;

/// Slices of what is gathered that leave in one write: twice for each frame.
const MOST_SLICES: usize = 32;

/// A transport that gathers small writes.
#[derive(Debug)]
pub(super) struct Corked<T>(Arc<Mutex<Gathering<T>>>);

/// Flushes a [`Corked`] transport from outside the h2 crate, which owns it.
#[derive(Debug)]
pub(super) struct Cork<T>(Arc<Mutex<Gathering<T>>>);

#[derive(Debug)]
struct Gathering<T> {
    io: T,
    held: Rope,
    /// A turn is under way: flushes of the h2 crate wait for its end.
    is_corked: bool,
    /// The transport failed between two turns; the next call is told.
    failed: Option<io::Error>,
}

impl<T> Corked<T> {
    /// A transport, and what flushes it.
    pub(super) fn new(io: T) -> (Self, Cork<T>) {
        let gathering = Arc::new(Mutex::new(Gathering {
            io,
            held: Rope::default(),
            is_corked: false,
            failed: None,
        }));
        (Self(Arc::clone(&gathering)), Cork(gathering))
    }

    fn lock(&self) -> MutexGuard<'_, Gathering<T>> {
        lock(&self.0)
    }
}

/// Only the connection's task takes the lock, so nobody waits for it.
fn lock<T>(gathering: &Mutex<Gathering<T>>) -> MutexGuard<'_, Gathering<T>> {
    gathering.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: AsyncWrite + Unpin> Cork<T> {
    /// Begins a turn: until its end nothing leaves but what is too large to be gathered.
    pub(super) fn begin(&self) {
        lock(&self.0).is_corked = true;
    }

    /// Ends a turn: what was gathered leaves. Pending while the transport takes no more.
    pub(super) fn poll_end(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut gathering = lock(&self.0);
        gathering.is_corked = false;
        if gathering.failed.is_some() {
            return Poll::Ready(());
        }
        let flushed = ready!(gathering.poll_flush(cx));
        if let Err(e) = flushed {
            gathering.failed = Some(e);
            cx.waker().wake_by_ref();
        }
        Poll::Ready(())
    }
}

impl<T: AsyncWrite + Unpin> Gathering<T> {
    fn poll_write_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let mut slices = [io::IoSlice::new(&[]); MOST_SLICES];
            let number = self.held.slices(&mut slices);
            let slices = slices.get(..number).unwrap_or_default();
            let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, slices))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.advance(written);
        }
        // An idle connection holds no buffer.
        self.held = Rope::default();
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_held(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// Makes room for this many bytes; `false` if they are to go to the transport as they are.
    fn poll_room(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<bool>> {
        if let Some(e) = self.failed.take() {
            return Poll::Ready(Err(e));
        }
        if self.held.len() + wanted > MAX_HELD {
            ready!(self.poll_write_held(cx))?;
        }
        Poll::Ready(Ok(wanted <= MAX_HELD))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Corked<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut gathering = self.lock();
        if let Some(e) = gathering.failed.take() {
            return Poll::Ready(Err(e));
        }
        Pin::new(&mut gathering.io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Corked<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut gathering = self.lock();
        if ready!(gathering.poll_room(cx, buf.len()))? {
            gathering.held.append(&Shown::take(), [buf]);
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut gathering.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let shown = Shown::take();
        let mut gathering = self.lock();
        let all = bufs.iter().map(|buf| buf.len()).sum();
        if ready!(gathering.poll_room(cx, all))? {
            gathering.held.append(&shown, bufs.iter().map(|buf| &**buf));
            return Poll::Ready(Ok(all));
        }
        Pin::new(&mut gathering.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.lock().io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathering = self.lock();
        if let Some(e) = gathering.failed.take() {
            return Poll::Ready(Err(e));
        }
        if gathering.is_corked {
            return Poll::Ready(Ok(()));
        }
        gathering.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathering = self.lock();
        ready!(gathering.poll_flush(cx))?;
        Pin::new(&mut gathering.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// What the transport was given, a write each.
    #[derive(Debug, Default)]
    struct Transport {
        writes: Vec<Vec<u8>>,
        /// Bytes that it still takes.
        room: usize,
        is_broken: bool,
    }

    impl AsyncWrite for Transport {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            if self.is_broken {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            if self.room == 0 {
                return Poll::Pending;
            }
            let taken = buf.len().min(self.room);
            self.room -= taken;
            self.writes.push(buf.iter().take(taken).copied().collect());
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn corked(room: usize) -> (Corked<Transport>, Cork<Transport>) {
        Corked::new(Transport {
            room,
            ..Transport::default()
        })
    }

    /// Writes and flushes as the h2 crate does after each frame; `false` if it would have to wait.
    fn write(corked: &mut Corked<Transport>, bytes: &[u8]) -> bool {
        let cx = &mut Context::from_waker(Waker::noop());
        let written = Pin::new(&mut *corked).poll_write(cx, bytes);
        let flushed = Pin::new(corked).poll_flush(cx);
        matches!(written, Poll::Ready(Ok(n)) if n == bytes.len()) && matches!(flushed, Poll::Ready(Ok(())))
    }

    fn end(cork: &Cork<Transport>) -> bool {
        cork.poll_end(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    fn writes(corked: &Corked<Transport>) -> Vec<Vec<u8>> {
        corked.lock().io.writes.clone()
    }

    #[test]
    fn a_turn_is_one_write() {
        let (mut corked, cork) = corked(1000);
        assert!(write(&mut corked, b"settings"));
        assert_eq!(writes(&corked), [b"settings"], "outside of turns nothing is held");
        cork.begin();
        assert!(write(&mut corked, b"one ") && write(&mut corked, b"two"));
        assert_eq!(writes(&corked).len(), 1);
        assert!(end(&cork));
        assert_eq!(writes(&corked), [&b"settings"[..], b"one two"]);
        assert_eq!(corked.lock().held.reserved(), 0, "no buffer is kept");
    }

    #[test]
    fn what_is_held_is_bounded_and_nothing_is_lost() {
        let (mut corked, cork) = corked(MAX_HELD);
        cork.begin();
        let frame = vec![7; MAX_HELD / 2];
        assert!(write(&mut corked, &frame) && write(&mut corked, &frame) && write(&mut corked, &frame));
        assert_eq!(corked.lock().held.len(), frame.len(), "what was held before has left");
        assert!(write(&mut corked, &frame));
        assert!(!write(&mut corked, &frame), "the transport takes no more");
        assert!(!end(&cork));
        corked.lock().io.room = usize::MAX;
        assert!(end(&cork));
        assert_eq!(writes(&corked).concat().len(), 4 * frame.len());
    }

    #[test]
    fn what_is_large_goes_as_it_is_after_what_is_held() {
        let (mut corked, cork) = corked(usize::MAX);
        cork.begin();
        assert!(write(&mut corked, b"head") && write(&mut corked, &vec![7; MAX_HELD + 1]));
        assert_eq!(
            writes(&corked).iter().map(Vec::len).collect::<Vec<_>>(),
            [4, MAX_HELD + 1]
        );
    }

    #[test]
    fn a_failure_between_two_turns_is_told() {
        let (mut corked, cork) = corked(1000);
        cork.begin();
        assert!(write(&mut corked, b"lost"));
        corked.lock().io.is_broken = true;
        assert!(end(&cork));
        assert!(!write(&mut corked, b"more"));
    }
}
