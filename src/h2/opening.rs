//! How a promised stream sends its response HEADERS: by the task of the connection, writes before reads.
//!
//! Between the call that queues the HEADERS of a promised stream and the moment they are written,
//! h2 0.4.20 takes the stream for idle and answers a RST_STREAM or WINDOW_UPDATE for it with a
//! connection error (`proto/streams/streams.rs`, `is_pending_open`), though the client knows the
//! stream from its promise and may send both. A client that cancels a push at a bad moment would
//! lose its document. So streams hand their HEADERS over as an [`Opening`]; the connection's task
//! queues it while nothing can be read, and reads again when it is written.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use h2::{SendStream, server::SendPushedResponse};
use http::Response;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Sleep, sleep},
};

/// The most that reading is held up for a client that does not read itself: it may be a simple one
/// that is still sending, and must not be left hanging for the sake of its own resets.
const MAX_HOLD: Duration = Duration::from_millis(200);

/// What the transport tells the task of the connection, and is told.
#[derive(Debug, Default)]
pub(super) struct Transport {
    write_blocked: AtomicBool,
    reads_held: AtomicBool,
    progress: AtomicU64,
}

impl Transport {
    /// The transport takes no more bytes for now, or does again.
    pub(super) fn set_write_blocked(&self, blocked: bool) {
        self.write_blocked.store(blocked, Ordering::Relaxed);
    }

    /// The transport took bytes.
    pub(super) fn count_written(&self) {
        self.progress.fetch_add(1, Ordering::Relaxed);
    }

    /// Changes whenever the transport takes bytes.
    pub(super) fn progress(&self) -> u64 {
        self.progress.load(Ordering::Relaxed)
    }

    /// Whether nothing may be read now.
    pub(super) fn are_reads_held(&self) -> bool {
        self.reads_held.load(Ordering::Relaxed)
    }

    fn is_write_blocked(&self) -> bool {
        self.write_blocked.load(Ordering::Relaxed)
    }

    fn hold_reads(&self, held: bool) {
        self.reads_held.store(held, Ordering::Relaxed);
    }
}

/// The response header of a promised stream, on its way to the connection's task.
pub(super) struct Opening {
    respond: SendPushedResponse<Bytes>,
    response: Response<()>,
    end: bool,
    reply: oneshot::Sender<Result<SendStream<Bytes>, h2::Error>>,
}

/// What became of an [`Opening`]; an error of the channel if the connection is gone.
pub(super) type Opened = oneshot::Receiver<Result<SendStream<Bytes>, h2::Error>>;

impl Opening {
    pub(super) fn new(respond: SendPushedResponse<Bytes>, response: Response<()>, end: bool) -> (Self, Opened) {
        let (reply, opened) = oneshot::channel();
        (
            Self {
                respond,
                response,
                end,
                reply,
            },
            opened,
        )
    }

    fn carry_out(mut self) {
        if !self.reply.is_closed() {
            // Whoever asked may be gone by now; then dropping the stream resets it.
            let _ = self.reply.send(self.respond.send_response(self.response, self.end));
        }
    }
}

/// Carries openings out around the polls of a connection.
pub(super) struct Openings {
    queue: mpsc::UnboundedReceiver<Opening>,
    transport: Arc<Transport>,
    hold_ends: Option<Pin<Box<Sleep>>>,
}

impl Openings {
    /// The queue holds at most one opening a promised stream, and those are limited.
    pub(super) fn new(transport: Arc<Transport>) -> (mpsc::UnboundedSender<Opening>, Self) {
        let (sender, queue) = mpsc::unbounded_channel();
        (
            sender,
            Self {
                queue,
                transport,
                hold_ends: None,
            },
        )
    }

    /// Polls a connection with `poll`, which reads, then writes.
    pub(super) fn around<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        // While the transport is blocked, frames may wait unread in the h2 crate.
        let was_blocked = self.transport.is_write_blocked();
        if !was_blocked && !self.transport.are_reads_held() {
            while let Poll::Ready(Some(opening)) = self.queue.poll_recv(cx) {
                opening.carry_out();
                self.transport.hold_reads(true);
            }
        }
        let polled = poll(cx);
        if was_blocked && !self.transport.is_write_blocked() {
            // The queue was not looked at.
            cx.waker().wake_by_ref();
        }
        if self.transport.are_reads_held() && (!self.transport.is_write_blocked() || self.has_held_too_long(cx)) {
            self.transport.hold_reads(false);
            self.hold_ends = None;
            cx.waker().wake_by_ref();
        }
        polled
    }

    fn has_held_too_long(&mut self, cx: &mut Context<'_>) -> bool {
        let hold_ends = self.hold_ends.get_or_insert_with(|| Box::pin(sleep(MAX_HOLD)));
        hold_ends.as_mut().poll(cx).is_ready()
    }
}
