//! One stream as the h2 crate sees it: a client's request, or our own promise.
//!
//! Here is what may have to wait; `at_once` is what never does.

mod at_once;

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use h2::{
    Reason, RecvStream, SendStream,
    server::{SendPushedResponse, SendResponse},
};
use http::{HeaderMap, HeaderName, Request, Response};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

use super::{
    bottleneck::{Bottleneck, Room},
    chunk::Chunk,
    connection::Reserved,
    opening::{NotOpened, Opening},
    order::{Lane, PromisedStream, Rank, SendOrder},
    queue::{Place, Queue},
};
use crate::{
    push::{Slot, Urgency},
    upstream::trickled,
};

/// The sending half before the response HEADERS.
enum Respond {
    Requested(SendResponse<Chunk>),
    Promised(Option<SendPushedResponse<Chunk>>, Promised),
}

/// What a promised stream keeps of its promise.
struct Promised {
    stream: u32,
    rank: Rank,
    openings: mpsc::UnboundedSender<Box<Opening>>,
    /// Until its HEADERS are sent.
    reserved: Option<Reserved>,
    _ordered: PromisedStream,
    /// Gives the promise's place back when the stream is done.
    slot: Option<Arc<Slot>>,
    /// Whether its document still has bytes to send.
    parent: Arc<AtomicBool>,
    bottleneck: Arc<Bottleneck>,
}

/// A stream, in whatever state.
pub(super) struct Stream {
    respond: Respond,
    body: Option<RecvStream>,
    sender: Option<SendStream<Chunk>>,
    lane: Option<Lane>,
    /// It has waited long enough for others.
    is_impatient: bool,
    ended: bool,
    /// Told to the streams that this one promised; made with the first.
    is_open: Option<Arc<AtomicBool>>,
}

/// Why a stream cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    /// The h2 crate refuses, or the connection is gone.
    #[error("HTTP/2 stream failed")]
    H2(#[from] h2::Error),
    /// A promised stream cannot answer.
    #[error("the pushed answer cannot begin")]
    NotOpened(#[from] NotOpened),
    /// The client reset the stream.
    #[error("reset by the client: {0}")]
    Reset(Reason),
    /// The client did not open its window in time, or a push did not get its turn.
    #[error("nothing could be sent for {0:?}")]
    WriteTimeout(Duration),
    /// The client sent no body in time.
    #[error("no request body for {0:?}")]
    ReadTimeout(Duration),
    /// The connection has ended.
    #[error("the connection has ended")]
    Gone,
    /// The body before the header: our own fault.
    #[error("body before header")]
    NoHeader,
}

/// The most of a push that is handed over at once: one default frame, so that it can give way.
const PUSH_CHUNK: usize = 16 * 1024;

/// The most that ends a response and goes without a place in the queue.
const SMALL: usize = 4 * 1024;

/// How long a stream waits for those before it; a push for its own document longer.
const FOREIGN_PATIENCE: Duration = Duration::from_secs(2);

/// How often a stream that waits for the client lets a byte come from the origin: Pingora limits how
/// long it reads, and has as many as its pipe holds in this time a few times over.
const TRICKLE: Duration = Duration::from_millis(250);

impl Stream {
    pub(super) fn requested(respond: SendResponse<Chunk>, body: RecvStream) -> Self {
        Self::new(Respond::Requested(respond), Some(body))
    }

    pub(super) fn promised(
        respond: SendPushedResponse<Chunk>,
        urgency: Urgency,
        slot: Option<Arc<Slot>>,
        openings: mpsc::UnboundedSender<Box<Opening>>,
        (reserved, ordered): (Reserved, PromisedStream),
        bottleneck: Arc<Bottleneck>,
        parent: Arc<AtomicBool>,
    ) -> Self {
        let stream = respond.stream_id().as_u32();
        let rank = Rank::new(urgency, stream);
        let promised = Promised {
            stream,
            rank,
            openings,
            reserved: Some(reserved),
            _ordered: ordered,
            slot,
            parent,
            bottleneck,
        };
        Self::new(Respond::Promised(Some(respond), promised), None)
    }

    fn new(respond: Respond, body: Option<RecvStream>) -> Self {
        Self {
            respond,
            body,
            sender: None,
            lane: None,
            is_impatient: false,
            ended: false,
            is_open: None,
        }
    }

    /// Whether this stream has bytes to send, for those that it promises.
    pub(super) fn open_flag(&mut self) -> Arc<AtomicBool> {
        let flag = self.is_open.get_or_insert_with(|| Arc::new(AtomicBool::new(true)));
        Arc::clone(flag)
    }

    fn close_flag(&self) {
        if let Some(flag) = &self.is_open {
            flag.store(false, Ordering::Relaxed);
        }
    }

    /// Its identifier.
    pub(super) fn id(&self) -> u32 {
        match &self.respond {
            Respond::Requested(respond) => respond.stream_id().as_u32(),
            Respond::Promised(_, promised) => promised.stream,
        }
    }

    /// Whether END_STREAM was sent.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether the client has sent all of its request.
    pub(super) fn is_request_done(&self) -> bool {
        self.body.as_ref().is_none_or(RecvStream::is_end_stream)
    }

    /// The next bytes of the request body; `None` at its end.
    pub(super) async fn read(&mut self, limit: Duration) -> Result<Option<Bytes>, StreamError> {
        let Some(body) = &mut self.body else { return Ok(None) };
        let data = match timeout(limit, body.data()).await {
            Err(_) => return Err(StreamError::ReadTimeout(limit)),
            Ok(None) => return Ok(None),
            Ok(Some(data)) => data?,
        };
        body.flow_control().release_capacity(data.len())?;
        Ok(Some(data))
    }

    /// Promises a request in the name of this stream's client.
    pub(super) fn push(&mut self, request: Request<()>) -> Result<SendPushedResponse<Chunk>, StreamError> {
        match &mut self.respond {
            Respond::Requested(respond) => Ok(respond.push_request(request)?),
            Respond::Promised(..) => Err(StreamError::NoHeader),
        }
    }

    /// Sends a 1xx response; nothing on a promised stream.
    pub(super) fn send_informational(&mut self, response: Response<()>) -> Result<(), StreamError> {
        match &mut self.respond {
            Respond::Requested(respond) => Ok(respond.send_informational(response)?),
            Respond::Promised(..) => Ok(()),
        }
    }

    /// From now on this stream's body counts in the order of the connection. The origin's word on its
    /// urgency goes before the client's (RFC 9218 section 8), the client's last word before its first.
    pub(super) fn open_lane(&mut self, order: &Arc<SendOrder>, origin: Option<Urgency>, client: Option<Urgency>) {
        let asked = order.asked_of(self.id());
        let urgency = origin.or(asked).or(client);
        self.lane = Some(match &mut self.respond {
            Respond::Requested(_) => order.open_document(urgency.unwrap_or_default()),
            Respond::Promised(_, promised) => {
                if let Some(urgency) = urgency {
                    promised.rank = Rank::new(urgency, promised.stream);
                }
                order.open_push(promised.rank)
            }
        });
    }

    /// Sends the final HEADERS.
    pub(super) async fn send_header(
        &mut self,
        response: Response<()>,
        end: bool,
        limit: Duration,
    ) -> Result<(), StreamError> {
        match &mut self.respond {
            Respond::Requested(respond) => {
                self.sender = Some(respond.send_response(response, end)?);
                self.end_if(end);
                Ok(())
            }
            Respond::Promised(respond, promised) => {
                let respond = respond.take().ok_or(StreamError::NoHeader)?;
                let (opening, opened) = Opening::new(respond, response, end);
                promised.openings.send(opening).map_err(|_| StreamError::Gone)?;
                let opened = timeout(limit, opened)
                    .await
                    .map_err(|_| StreamError::WriteTimeout(limit))?;
                promised.reserved = None;
                self.opened(opened.map_err(|_| StreamError::Gone)?, end)
            }
        }
    }

    fn opened(&mut self, opened: Result<SendStream<Chunk>, NotOpened>, end: bool) -> Result<(), StreamError> {
        if let Respond::Promised(_, promised) = &mut self.respond {
            promised.reserved = None;
            if let (Err(NotOpened::NeverPromised), Some(slot)) = (&opened, &promised.slot) {
                slot.mark_lost();
            }
        }
        self.sender = Some(opened?);
        self.end_if(end);
        Ok(())
    }

    /// Sends body bytes, as fast as the client's windows, the queue and the order of the connection
    /// allow.
    pub(super) async fn send_body(
        &mut self,
        mut data: Bytes,
        end: bool,
        queue: &Queue,
        limit: Duration,
    ) -> Result<(), StreamError> {
        if data.is_empty() {
            return if end { self.finish() } else { Ok(()) };
        }
        while !data.is_empty() {
            let most = self.await_turn(limit).await?;
            let granted = self.await_capacity(data.len().min(most), limit).await?;
            if granted == 0 {
                continue;
            }
            // The end of a small response needs no place: there is no more than one a stream.
            let place = if end && data.len() <= granted.min(SMALL) {
                None
            } else {
                Some(self.await_place(granted.min(data.len()), queue, limit).await?)
            };
            let (Some(sender), Some(lane)) = (&mut self.sender, &mut self.lane) else {
                return Err(StreamError::NoHeader);
            };
            if !self.is_impatient && !lane.may_send() {
                // Something more urgent came while the window was awaited: what was granted is given back.
                sender.reserve_capacity(0);
                continue;
            }
            let length = place
                .as_ref()
                .map_or(granted, Place::bytes)
                .min(granted)
                .min(data.len());
            let mut chunk = data.split_to(length);
            if let Some(place) = place {
                chunk = place.hold(chunk);
            }
            if let Respond::Promised(_, promised) = &self.respond {
                promised.bottleneck.count(length);
            }
            lane.queue(length);
            if end && data.is_empty() {
                return self.end_with(|sender| sender.send_data(chunk.into(), true));
            }
            sender.send_data(chunk.into(), false)?;
        }
        Ok(())
    }

    /// Sends trailers, which end the stream.
    pub(super) fn send_trailers(&mut self, trailers: HeaderMap) -> Result<(), StreamError> {
        self.end_with(|sender| sender.send_trailers(trailers))
    }

    /// Ends a response that is complete. Without a header there is nothing to end.
    pub(super) fn finish(&mut self) -> Result<(), StreamError> {
        if self.ended || self.sender.is_none() {
            return Ok(());
        }
        self.end_with(|sender| sender.send_data(Bytes::new().into(), true))
    }

    /// Hands over what ends the stream.
    fn end_with(
        &mut self,
        send: impl FnOnce(&mut SendStream<Chunk>) -> Result<(), h2::Error>,
    ) -> Result<(), StreamError> {
        let stream = self.id();
        let order = self.lane.as_ref().map(Lane::order);
        if let Some(lane) = self.lane.take() {
            lane.end(stream);
        }
        self.ended = true;
        self.close_flag();
        let sent = send(self.sender.as_mut().ok_or(StreamError::NoHeader)?);
        if let (Err(_), Some(order)) = (&sent, order) {
            order.ended(stream);
        }
        Ok(sent?)
    }

    /// Resets a stream that is not complete.
    pub(super) fn reset(&mut self, reason: Reason) {
        if self.ended {
            return;
        }
        match (&mut self.sender, &mut self.respond) {
            (Some(sender), _) => sender.send_reset(reason),
            (None, Respond::Requested(respond)) => respond.send_reset(reason),
            (None, Respond::Promised(Some(respond), _)) => respond.send_reset(reason),
            (None, Respond::Promised(None, _)) => {}
        }
        self.end_if(true);
    }

    /// The client has left: what it gave this stream is its own again, though the answer may still be
    /// awaited for others.
    pub(super) fn let_go(&mut self) {
        self.close_flag();
        self.lane = None;
        if let Respond::Promised(_, promised) = &mut self.respond {
            promised.reserved = None;
            promised.slot = None;
        }
    }

    /// The reason to reset a stream with, when nothing more precise is known.
    pub(super) fn failure_reason(&self) -> Reason {
        match self.respond {
            Respond::Requested(_) => Reason::INTERNAL_ERROR,
            Respond::Promised(..) => Reason::CANCEL,
        }
    }

    /// Resolves when the client resets the stream.
    pub(super) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<StreamError> {
        let polled = match (&mut self.sender, &mut self.respond) {
            (Some(sender), _) => sender.poll_reset(cx),
            (None, Respond::Requested(respond)) => respond.poll_reset(cx),
            (None, Respond::Promised(Some(respond), _)) => respond.poll_reset(cx),
            (None, Respond::Promised(None, _)) => return Poll::Ready(StreamError::Gone),
        };
        polled.map(|outcome| match outcome {
            Ok(reason) => StreamError::Reset(reason),
            Err(e) => StreamError::H2(e),
        })
    }

    /// How many bytes may be sent next, once it is this stream's turn.
    ///
    /// A push waits for its own document as long as that goes on. For other streams each waits a bounded
    /// time: a client that holds a promise does not ask for the asset itself, so it must not be left
    /// waiting behind a long download, nor an image behind a stream of data.
    async fn await_turn(&mut self, limit: Duration) -> Result<usize, StreamError> {
        let stream = self.id();
        let (Some(sender), Some(lane)) = (&mut self.sender, &mut self.lane) else {
            return Err(StreamError::NoHeader);
        };
        let promised = match &self.respond {
            Respond::Requested(_) => None,
            Respond::Promised(_, promised) => Some(promised),
        };
        let room = || promised.map_or(Room::Bytes(usize::MAX), |promised| promised.bottleneck.room());
        let most = promised.map_or(usize::MAX, |_| PUSH_CHUNK);
        if let Some(urgency) = lane.asked_of(stream) {
            lane.ask(urgency);
        }
        if (self.is_impatient || lane.may_send())
            && let Room::Bytes(room) = room()
        {
            return Ok(room.min(most));
        }
        let since = Instant::now();
        loop {
            let is_impatient = self.is_impatient;
            let turn = async {
                if !is_impatient {
                    lane.turn().await;
                }
                match room() {
                    Room::Bytes(room) => Some(room),
                    // Then it is asked again whose turn it is.
                    Room::After(time) => {
                        sleep(time).await;
                        None
                    }
                }
            };
            tokio::select! {
                room = turn => if let Some(room) = room {
                    return Ok(room.min(most));
                },
                reset = poll_fn(|cx| sender.poll_reset(cx)) => {
                    return Err(reset.map_or_else(StreamError::H2, StreamError::Reset));
                }
                () = sleep(TRICKLE) => trickled(),
            }
            let waited = since.elapsed();
            if waited >= limit {
                return Err(StreamError::WriteTimeout(limit));
            }
            let is_document_open = promised.is_some_and(|promised| promised.parent.load(Ordering::Relaxed));
            if waited >= FOREIGN_PATIENCE && !is_document_open {
                self.is_impatient = true;
            }
        }
    }

    /// Waits for window and buffer to take some of `wanted` bytes.
    async fn await_capacity(&mut self, wanted: usize, limit: Duration) -> Result<usize, StreamError> {
        let (Some(sender), Some(lane)) = (&mut self.sender, &mut self.lane) else {
            return Err(StreamError::NoHeader);
        };
        sender.reserve_capacity(wanted);
        let at_once = sender.capacity();
        if at_once > 0 {
            return Ok(at_once);
        }
        lane.set_stalled(true);
        let granted = patiently(limit, poll_fn(|cx| sender.poll_capacity(cx))).await;
        lane.set_stalled(false);
        match granted {
            None => Err(StreamError::WriteTimeout(limit)),
            Some(Some(granted)) => Ok(granted?),
            Some(None) => Err(StreamError::Reset(Reason::CANCEL)),
        }
    }

    /// Waits for room in the queue for some of `wanted` bytes. The stream has bytes and could send them, so those
    /// that are less urgent wait with it.
    async fn await_place(&mut self, wanted: usize, queue: &Queue, limit: Duration) -> Result<Place, StreamError> {
        if let Some(place) = queue.try_place(wanted) {
            return Ok(place);
        }
        let (Some(sender), Some(lane)) = (&mut self.sender, &mut self.lane) else {
            return Err(StreamError::NoHeader);
        };
        let since = Instant::now();
        let mut placing = pin!(queue.place(wanted));
        lane.set_stalled(true);
        let placed = loop {
            tokio::select! {
                place = placing.as_mut() => break place.ok_or(StreamError::Gone),
                reset = poll_fn(|cx| sender.poll_reset(cx)) => {
                    break Err(reset.map_or_else(StreamError::H2, StreamError::Reset));
                }
                () = sleep(TRICKLE) => {
                    trickled();
                    lane.queue(0);
                }
            }
            if since.elapsed() >= limit {
                break Err(StreamError::WriteTimeout(limit));
            }
        };
        lane.set_stalled(false);
        placed
    }

    fn end_if(&mut self, end: bool) {
        if end {
            self.ended = true;
            self.lane = None;
            self.close_flag();
        }
    }
}

/// The urgency that fields ask for, if they do.
pub(super) fn urgency(fields: &HeaderMap) -> Option<Urgency> {
    fields.get(PRIORITY).and_then(|value| Urgency::asked(value.as_bytes()))
}

/// RFC 9218 section 5.
const PRIORITY: HeaderName = HeaderName::from_static("priority");

/// Waits for the client, at most this long; meanwhile the origin's limits must not pass for it.
async fn patiently<T>(limit: Duration, client: impl Future<Output = T>) -> Option<T> {
    let mut client = pin!(client);
    let mut left = limit;
    while !left.is_zero() {
        let step = left.min(TRICKLE);
        if let Ok(outcome) = timeout(step, client.as_mut()).await {
            return Some(outcome);
        }
        left -= step;
        trickled();
    }
    None
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.close_flag();
        let body = self.body.take();
        if std::thread::panicking() {
            // Where h2 has panicked its lock is poisoned, and h2 panics once more when a body is dropped: two panics at
            // once abort the process. The other handles look for themselves.
            return std::mem::forget(body);
        }
        // The lock may be poisoned by another thread's panic; then the first panic is to end here.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            drop(body);
            if matches!(self.respond, Respond::Promised(..)) {
                // Explicitly: h2 0.4.20 panics on a promised stream that is dropped at a bad moment.
                self.reset(Reason::CANCEL);
            }
        }));
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream")
            .field("id", &self.id())
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncWriteExt, duplex},
        task::spawn,
    };

    use super::*;
    use crate::h2::frames::{GOAWAY, HEADERS, PREFACE, SETTINGS, tests::frame};

    /// Requests of a connection of which the h2 crate has panicked: it read a GOAWAY below a promise that it had not
    /// written.
    async fn of_a_broken_connection() -> Vec<Stream> {
        let (mut client, server) = duplex(1 << 16);
        let get = b"\x82\x86\x84\x41\x01h";
        let sent = [
            PREFACE.as_slice(),
            &frame(SETTINGS, 0, 0, b""),
            // Their content is still to come.
            &frame(HEADERS, 4, 1, get),
            &frame(HEADERS, 4, 3, get),
        ];
        client.write_all(&sent.concat()).await.expect("sent");
        let handshake = h2::server::Builder::new().handshake::<_, Chunk>(server);
        let mut connection = handshake.await.expect("a handshake");
        let mut streams = Vec::new();
        for _ in 0..2 {
            let (request, respond) = connection.accept().await.expect("a request").expect("well-formed");
            streams.push(Stream::requested(respond, request.into_body()));
        }
        let promised = Request::get("http://h/a.css").body(()).expect("a request");
        let promise = streams.first_mut().expect("two").push(promised).expect("a promise");
        client.write_all(&frame(GOAWAY, 0, 0, &[0; 8])).await.expect("sent");
        let accepting = spawn(async move { connection.accept().await.is_some() });
        assert!(accepting.await.is_err_and(|e| e.is_panic()), "h2 is to panic here");
        std::mem::forget(promise);
        streams
    }

    /// If one panicked in the middle of another, the process would abort.
    #[tokio::test]
    async fn streams_of_a_broken_connection_end_with_one_panic_at_most() {
        let mut streams = of_a_broken_connection().await;
        let (one, other) = (streams.pop(), streams.pop());
        let dropped = spawn(async move { drop(one) }).await;
        let unwound = spawn(async move {
            let _other = other;
            unreachable!("a panic while it holds a stream");
        })
        .await;
        assert!(dropped.is_err_and(|e| e.is_panic()) && unwound.is_err());
    }
}
