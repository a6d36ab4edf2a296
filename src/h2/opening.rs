//! How a promised stream sends its response HEADERS: by the task of the connection, when it is safe.
//!
//! Three states of a promised stream in h2 0.4.20 would cost more than the push:
//!
//! - Between the call that queues its HEADERS and the moment they are written, the stream is taken
//!   for idle, and a RST_STREAM or WINDOW_UPDATE for it is answered with a connection error
//!   (`proto/streams/streams.rs`, `is_pending_open`), though the client knows the stream from its
//!   promise and may send both.
//! - The same holds for as long as the client's stream limit keeps the HEADERS from being written.
//! - If the document is reset before the promise is written, the promise is dropped in silence; the
//!   stream then takes connection window that it can never use.
//!
//! So streams hand their HEADERS over as an [`Opening`]. The connection's task queues it once the
//! promise was seen on its way out, the limit has room and nothing can be read, and reads again when
//! it is written.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use h2::{Reason, SendStream, server::SendPushedResponse};
use http::Response;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Sleep, sleep},
};

use super::{chunk::Chunk, unwritten::Unwritten};
use crate::push::Client;

/// The most that reading is held up for a client that does not read itself: it may be a simple one
/// that is still sending, and must not be left hanging for the sake of its own resets.
const MAX_HOLD: Duration = Duration::from_millis(200);

/// What the transport tells the task of the connection, and is told.
#[derive(Debug, Default)]
pub(super) struct Transport {
    write_blocked: AtomicBool,
    reads_held: AtomicBool,
    is_goaway_held: AtomicBool,
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

    /// Whether the transport takes no more bytes for now.
    pub(super) fn is_write_blocked(&self) -> bool {
        self.write_blocked.load(Ordering::Relaxed)
    }

    /// The client's GOAWAY was seen, and h2 is not to read it yet; or it may again.
    pub(super) fn hold_goaway(&self, held: bool) {
        self.is_goaway_held.store(held, Ordering::Relaxed);
    }

    fn hold_reads(&self, held: bool) {
        self.reads_held.store(held, Ordering::Relaxed);
    }
}

/// The promised streams of a connection, as their frames tell.
#[derive(Debug, Default)]
pub(super) struct Promises {
    states: Mutex<PromiseStates>,
    pub(super) unwritten: Unwritten,
}

#[derive(Debug, Default)]
struct PromiseStates {
    /// Their PUSH_PROMISE was written, their HEADERS not handed over.
    written: Vec<u32>,
    /// Their HEADERS were handed over, and their end was not seen.
    open: Vec<u32>,
}

/// Promises whose streams never came to an answer are forgotten past this many.
const MAX_WRITTEN: usize = 2048;

impl Promises {
    /// A PUSH_PROMISE was written.
    pub(super) fn written(&self, stream: u32) {
        let mut states = self.states();
        if states.written.len() >= MAX_WRITTEN {
            states.written.remove(0);
        }
        states.written.push(stream);
        drop(states);
        self.unwritten.written(stream);
    }

    /// The end of a promised stream was written, or the client reset it.
    pub(super) fn ended(&self, stream: u32) {
        let mut states = self.states();
        states.open.retain(|&other| other != stream);
        states.written.retain(|&other| other != stream);
    }

    fn is_written(&self, stream: u32) -> bool {
        self.states().written.contains(&stream)
    }

    fn open_count(&self) -> usize {
        self.states().open.len()
    }

    fn open(&self, stream: u32) {
        let mut states = self.states();
        states.written.retain(|&other| other != stream);
        states.open.push(stream);
    }

    fn states(&self) -> MutexGuard<'_, PromiseStates> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The response header of a promised stream, on its way to the connection's task.
pub(super) struct Opening {
    respond: SendPushedResponse<Chunk>,
    response: Response<()>,
    end: bool,
    reply: Reply,
}

/// Who hears of the outcome.
enum Reply {
    /// A task that waits for it.
    Task(oneshot::Sender<Result<SendStream<Chunk>, NotOpened>>),
    /// Nobody else: this is done with it at once.
    Call(Call),
}

/// Done by the task of the connection, so it may not wait.
type Call = Box<dyn FnOnce(Result<SendStream<Chunk>, NotOpened>) + Send>;

/// A call with its outcome.
type Begun = (Call, Result<SendStream<Chunk>, NotOpened>);

impl Reply {
    fn is_closed(&self) -> bool {
        matches!(self, Self::Task(task) if task.is_closed())
    }

    fn tell(self, outcome: Result<SendStream<Chunk>, NotOpened>) {
        match self {
            // Whoever asked may be gone by now.
            Self::Task(task) => drop(task.send(outcome)),
            Self::Call(call) => call(outcome),
        }
    }
}

/// Why a promised stream cannot answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotOpened {
    /// Its document was reset before the promise was written: the client never heard of it.
    #[error("never promised")]
    NeverPromised,
    /// The client takes no pushed stream any more.
    #[error("the client's stream limit is 0")]
    NoRoom,
    /// The h2 crate refuses.
    #[error(transparent)]
    H2(h2::Error),
}

/// What became of an [`Opening`]; an error of the channel if the connection is gone.
pub(super) type Opened = oneshot::Receiver<Result<SendStream<Chunk>, NotOpened>>;

impl Opening {
    pub(super) fn new(respond: SendPushedResponse<Chunk>, response: Response<()>, end: bool) -> (Box<Self>, Opened) {
        let (reply, opened) = oneshot::channel();
        let opening = Self {
            respond,
            response,
            end,
            reply: Reply::Task(reply),
        };
        (Box::new(opening), opened)
    }

    /// One that goes on by `call` in the connection's task; it is dropped if the connection ends before.
    pub(super) fn then(
        respond: SendPushedResponse<Chunk>,
        response: Response<()>,
        end: bool,
        call: impl FnOnce(Result<SendStream<Chunk>, NotOpened>) + Send + 'static,
    ) -> Box<Self> {
        Box::new(Self {
            respond,
            response,
            end,
            reply: Reply::Call(Box::new(call)),
        })
    }

    fn stream(&self) -> u32 {
        self.respond.stream_id().as_u32()
    }

    /// Queues the HEADERS. What is to be called then is returned: it can send only when they are written.
    fn carry_out(mut self) -> Option<Begun> {
        if self.reply.is_closed() {
            self.give_up(NotOpened::NeverPromised);
            return None;
        }
        let sent = self.respond.send_response(self.response, self.end);
        let outcome = sent.map_err(NotOpened::H2);
        match self.reply {
            Reply::Call(call) => Some((call, outcome)),
            task @ Reply::Task(_) => {
                task.tell(outcome);
                None
            }
        }
    }

    /// Resets explicitly: h2 0.4.20 panics on a promised stream that is dropped at a bad moment.
    fn give_up(mut self, reason: NotOpened) {
        self.respond.send_reset(Reason::CANCEL);
        self.reply.tell(Err(reason));
    }
}

/// Carries openings out around the polls of a connection.
pub(super) struct Openings {
    /// Boxed, since the channel sets room for 32 of them aside for every connection.
    queue: mpsc::UnboundedReceiver<Box<Opening>>,
    /// Taken from the queue, and not safe yet; at most one a promised stream.
    waiting: Vec<Opening>,
    /// Their HEADERS are queued.
    begun: Vec<Begun>,
    transport: Arc<Transport>,
    promises: Arc<Promises>,
    client: Arc<Client>,
    hold_ends: Option<Pin<Box<Sleep>>>,
}

impl Openings {
    /// The queue holds at most one opening a promised stream, and those are limited.
    pub(super) fn new(
        transport: Arc<Transport>,
        promises: Arc<Promises>,
        client: Arc<Client>,
    ) -> (mpsc::UnboundedSender<Box<Opening>>, Self) {
        let (sender, queue) = mpsc::unbounded_channel();
        let openings = Self {
            queue,
            waiting: Vec::new(),
            begun: Vec::new(),
            transport,
            promises,
            client,
            hold_ends: None,
        };
        (sender, openings)
    }

    /// Polls a connection with `poll`, which reads, then writes; and then with `leave`, which lets go what was
    /// written. What was promised in this turn is answered in it.
    pub(super) fn around<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
        leave: impl FnOnce(&mut Context<'_>),
    ) -> Poll<T> {
        // While the transport is blocked, frames may wait unread in the h2 crate.
        let was_blocked = self.transport.is_write_blocked();
        if !was_blocked && !self.transport.are_reads_held() {
            while let Poll::Ready(Some(opening)) = self.queue.poll_recv(cx) {
                self.waiting.push(*opening);
            }
            self.carry_out();
        }
        let mut polled = poll(cx);
        let mut has_more = self.go_on();
        while polled.is_pending() && !was_blocked && !self.transport.is_write_blocked() {
            // Those that were taken from the queue before: the promise of one that comes now may not be written.
            if !self.carry_out() && !has_more {
                break;
            }
            polled = poll(cx);
            has_more = self.go_on();
        }
        if polled.is_pending() {
            leave(cx);
        }
        if was_blocked && !self.transport.is_write_blocked() {
            // The queue was not looked at.
            cx.waker().wake_by_ref();
        }
        if !self.waiting.is_empty() && !self.transport.is_write_blocked() {
            self.settle_waiting(cx);
        }
        if self.transport.are_reads_held() && (!self.transport.is_write_blocked() || self.has_held_too_long(cx)) {
            self.transport.hold_reads(false);
            self.hold_ends = None;
            cx.waker().wake_by_ref();
        }
        polled
    }

    /// Returns whether there is something to be written.
    fn carry_out(&mut self) -> bool {
        // Of a stream above the identifier of a GOAWAY the client hears nothing.
        if self.waiting.is_empty() || self.transport.is_goaway_held.load(Ordering::Relaxed) {
            return false;
        }
        let before = self.waiting.len();
        let limit = self.client.max_concurrent_streams();
        for opening in std::mem::take(&mut self.waiting) {
            let stream = opening.stream();
            if limit == 0 {
                opening.give_up(NotOpened::NoRoom);
            } else if self.promises.is_written(stream) && self.promises.open_count() < limit {
                self.promises.open(stream);
                self.begun.extend(opening.carry_out());
                self.transport.hold_reads(true);
            } else {
                self.waiting.push(opening);
            }
        }
        self.waiting.len() < before
    }

    /// After a poll: those that have begun go on. Returns whether there are any.
    fn go_on(&mut self) -> bool {
        let has_begun = !self.begun.is_empty();
        for (call, outcome) in self.begun.drain(..) {
            call(outcome);
        }
        has_begun
    }

    /// After a poll that wrote all there was: a promise that was queued before it is written, or
    /// never will be.
    fn settle_waiting(&mut self, cx: &Context<'_>) {
        let has_room = self.promises.open_count() < self.client.max_concurrent_streams()
            && !self.transport.is_goaway_held.load(Ordering::Relaxed);
        for opening in std::mem::take(&mut self.waiting) {
            if !self.promises.is_written(opening.stream()) {
                opening.give_up(NotOpened::NeverPromised);
            } else {
                if has_room {
                    cx.waker().wake_by_ref();
                }
                self.waiting.push(opening);
            }
        }
    }

    fn has_held_too_long(&mut self, cx: &mut Context<'_>) -> bool {
        let hold_ends = self.hold_ends.get_or_insert_with(|| Box::pin(sleep(MAX_HOLD)));
        hold_ends.as_mut().poll(cx).is_ready()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    use super::*;
    use crate::h2::{
        frames::{
            self, PREFACE,
            tests::{frame, setting},
        },
        observe::{Noted, Observed},
        order::{Patience, SendOrder},
    };

    type Connection = h2::server::Connection<Observed<DuplexStream>, Chunk>;

    /// A connection with one request accepted, and a promise for it queued in the h2 crate.
    async fn with_queued_promise() -> (DuplexStream, Connection, Openings, Opened) {
        let (mut client, server) = duplex(1 << 20);
        let get = b"\x82\x86\x84\x41\x01h";
        for bytes in [
            PREFACE.as_slice(),
            &frame(frames::SETTINGS, 0, 0, b""),
            &frame(frames::HEADERS, 5, 1, get),
        ] {
            client.write_all(bytes).await.expect("sent");
        }
        let (transport, promises) = (Arc::<Transport>::default(), Arc::<Promises>::default());
        let known = Arc::new(Client::new(16));
        let noted = Noted {
            client: Arc::clone(&known),
            order: SendOrder::new(Patience::default()),
            promises: Arc::clone(&promises),
        };
        let io = Observed::new(server, noted, Arc::clone(&transport));
        let mut conn: Connection = h2::server::Builder::new().handshake(io).await.expect("a handshake");
        let (_, mut respond) = conn.accept().await.expect("a request").expect("well-formed");
        let request = http::Request::get("http://h/a.css").body(()).expect("a request");
        let pushed = respond.push_request(request).expect("push is enabled");
        // The document's handle stays, as in a session that is at work.
        std::mem::forget(respond);
        let (sender, openings) = Openings::new(transport, promises, known);
        let (opening, opened) = Opening::new(pushed, Response::new(()), false);
        assert!(sender.send(opening).is_ok());
        std::mem::forget(sender);
        (client, conn, openings, opened)
    }

    async fn outcome(conn: &mut Connection, openings: &mut Openings, mut opened: Opened) -> Result<(), NotOpened> {
        poll_fn(|cx| {
            let mut accept = std::pin::pin!(conn.accept());
            let accepted = openings.around(cx, |cx| accept.as_mut().poll(cx), |_| ());
            assert!(accepted.is_pending(), "no other request");
            Pin::new(&mut opened).poll(cx)
        })
        .await
        .expect("an outcome")
        .map(|_| ())
    }

    #[tokio::test]
    async fn a_stream_answers_once_its_promise_is_written() {
        let (_client, mut conn, mut openings, opened) = with_queued_promise().await;
        assert!(outcome(&mut conn, &mut openings, opened).await.is_ok());
    }

    #[tokio::test]
    async fn a_promise_is_answered_in_the_turn_that_writes_it() {
        let (_client, mut conn, mut openings, mut opened) = with_queued_promise().await;
        poll_fn(|cx| {
            let mut accept = std::pin::pin!(conn.accept());
            let accepted = openings.around(cx, |cx| accept.as_mut().poll(cx), |_| ());
            assert!(accepted.is_pending(), "no other request");
            Poll::Ready(())
        })
        .await;
        assert!(opened.try_recv().is_ok_and(|outcome| outcome.is_ok()));
    }

    #[tokio::test]
    async fn a_promise_that_was_dropped_with_its_document_never_answers() {
        let (mut client, mut conn, mut openings, opened) = with_queued_promise().await;
        // The h2 crate reads this before it writes the promise.
        let reset = frame(frames::RST_STREAM, 0, 1, &[0, 0, 0, 8]);
        client.write_all(&reset).await.expect("sent");
        let outcome = outcome(&mut conn, &mut openings, opened).await;
        assert!(matches!(outcome, Err(NotOpened::NeverPromised)), "{outcome:?}");
    }

    #[tokio::test]
    async fn a_client_that_takes_no_stream_any_more_gets_a_reset() {
        let (mut client, mut conn, mut openings, opened) = with_queued_promise().await;
        let settings = frame(frames::SETTINGS, 0, 0, &setting(frames::MAX_CONCURRENT_STREAMS, 0));
        client.write_all(&settings).await.expect("sent");
        let outcome = outcome(&mut conn, &mut openings, opened).await;
        assert!(matches!(outcome, Err(NotOpened::NoRoom)), "{outcome:?}");
    }
}
