//! The driver of a connection: moves bytes between its transport and the state machine, wakes streams, and hands
//! requests to what answers them.
//!
//! It runs when the transport has bytes or room, when a stream has something to send, and when a time limit may have
//! passed. One poll reads, starts what came, and writes all that there is, so that the frames of a turn leave in one
//! write. Before, it lets all other tasks that can run go first: what they send joins the same write.

use std::{
    future::{Future, pending, poll_fn},
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http::{HeaderMap, StatusCode, request::Parts};
use log::{debug, warn};
use pingora::{
    apps::HttpServerApp,
    http::ResponseHeader,
    protocols::{Digest, Stream as Io, raw_connect::ProxyDigest},
    server::ShutdownWatch,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep_until},
};

use super::{
    Answers,
    h2c::Beginning,
    pending::Pending,
    scheduler::{RequestScheduler, RunPermit},
    validate::{Answer, validate},
};
use crate::{
    client,
    h2::{
        Limits,
        core::{Config, Core, Event, Fault, Key, Reason, Response},
        priority::path::PathEstimate,
        respond::{Connection, stored},
        stream::{
            Stream,
            mux::{Mux, Output, Promised, Side},
        },
        wire::rope::Rope,
    },
    push::{Client, Priority},
};

/// How long a connection that is being closed waits for its last bytes to be written, and for the client to hear of
/// it: bytes that nobody reads would have the system drop the GOAWAY.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Bytes of one read: a default frame and its header.
const READ: usize = 16 * 1024 + 9;

/// Reads of one poll; then others have their turn.
const READS: usize = 8;

/// The shortest time that a timer is set for: as fine as timers are.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// Slices of one write: two for each frame.
const SLICES: usize = 32;

/// Serves a connection until it is closed: by the client, by idleness, or by a shutdown once its streams have finished.
/// An upgraded one begins with a request, and the client's preface is still to come.
pub async fn serve<A>(
    io: Io,
    beginning: Option<Beginning>,
    answers: Answers<A>,
    limits: Limits,
    mut shutdown: ShutdownWatch,
) where
    A: HttpServerApp + Send + Sync + 'static,
{
    let Some(mut driver) = Driver::new(io, beginning, answers, limits, &shutdown) else {
        return;
    };
    let mut is_shutting_down = false;
    loop {
        tokio::select! {
            // The signal first, so that it is seen on a busy connection too.
            biased;
            () = shutdown_begins(&mut shutdown), if !is_shutting_down => {
                is_shutting_down = true;
                driver.shut_down();
            }
            () = poll_fn(|cx| driver.poll(cx)) => return,
        }
    }
}

/// Resolves when the server begins to shut down; never if its signal is gone.
async fn shutdown_begins(shutdown: &mut ShutdownWatch) {
    if shutdown.wait_for(|&begun| begun).await.is_err() {
        pending::<()>().await;
    }
}

type Turn = Pin<Box<dyn Future<Output = RunPermit> + Send>>;

/// The driver.
struct Driver<A> {
    io: Io,
    connection: Arc<Connection<A>>,
    scheduler: Arc<RequestScheduler>,
    /// Bytes that are being written.
    out: Rope,
    output: Output,
    path: PathEstimate,
    pending: Pending,
    /// Awaited while requests are pending.
    turn: Option<Turn>,
    timer: Option<Pin<Box<Sleep>>>,
    /// When the machine wants to be asked again.
    again: Option<Instant>,
    started: Instant,
    /// When there was a stream, or the transport took bytes, last.
    active: Instant,
    /// The next poll lets others go first.
    yields: bool,
    closing: Option<Closing>,
}

/// The end of a connection.
#[derive(Debug, Clone, Copy)]
struct Closing {
    until: Instant,
    is_shut: bool,
}

impl<A: HttpServerApp + Send + Sync + 'static> Driver<A> {
    fn new(
        io: Io,
        beginning: Option<Beginning>,
        answers: Answers<A>,
        limits: Limits,
        shutdown: &ShutdownWatch,
    ) -> Option<Box<Self>> {
        let now = Instant::now();
        let mut core = Core::new(Config {
            max_streams: limits.max_streams,
            max_header_bytes: limits.max_header_bytes,
            max_malformed: limits.max_malformed,
        });
        if let Some(Beginning { settings, head }) = beginning
            && let Err(fault) = core.begin_upgraded(&settings, head, now)
        {
            debug!("an upgraded connection does not begin: {fault}");
            return None;
        }
        let client = Arc::new(Client::new(limits.diary_entries));
        let facts = facts(&io, &client);
        let digest = Arc::new(digest(&io, facts.as_ref()));
        let path = PathEstimate::new(digest.socket_digest.clone());
        let connection = Arc::new(Connection {
            app: answers.app,
            stored: answers.stored,
            client,
            facts,
            limits,
            digest,
            shutdown: shutdown.clone(),
            mux: Arc::new(Mux::new(core)),
        });
        Some(Box::new(Self {
            io,
            connection,
            scheduler: answers.scheduler,
            out: Rope::default(),
            output: Output::Open,
            path,
            pending: Pending::default(),
            turn: None,
            timer: None,
            again: None,
            started: now,
            active: now,
            yields: false,
            closing: None,
        }))
    }

    fn shut_down(&mut self) {
        self.connection.client.set_going_away();
        self.connection.mux.lock().core.shut_down(Instant::now());
    }

    /// Resolves when the connection is closed.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.yields, false) {
            // To the end of the run queue.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.yields = true;
        let now = Instant::now();
        if self.closing.is_some() {
            return self.poll_close(cx, now);
        }
        let outcome = self.poll_serve(cx, now);
        match outcome {
            Ok(Served::Waits) => self.poll_timer(cx, now),
            Ok(Served::Done) => {
                self.closing = Some(Closing {
                    until: now + CLOSE_TIMEOUT,
                    is_shut: false,
                });
                self.poll_close(cx, now)
            }
            Err(e) => {
                debug!("HTTP/2 connection ended: {e}");
                Poll::Ready(())
            }
        }
    }

    /// Reads and writes as far as the transport goes.
    fn poll_serve(&mut self, cx: &mut Context<'_>, now: Instant) -> io::Result<Served> {
        let mut reads = 0;
        loop {
            let has_read = reads < READS && self.poll_read(cx, now)?;
            reads += usize::from(has_read);
            self.handle(now);
            self.poll_turn(cx);
            self.poll_write(cx, now)?;
            self.handle(now);
            let mut state = self.connection.mux.lock();
            let is_written = self.out.is_empty() && self.output != Output::Blocked;
            if state.core.is_done() && is_written && !state.core.has_output(true) {
                return Ok(Served::Done);
            }
            if has_read {
                continue;
            }
            if state.wait(self.output, cx) {
                if reads >= READS {
                    cx.waker().wake_by_ref();
                }
                return Ok(Served::Waits);
            }
        }
    }

    /// Reads once; `false` if nothing is there.
    fn poll_read(&mut self, cx: &mut Context<'_>, now: Instant) -> io::Result<bool> {
        if !self.connection.mux.lock().core.reads() {
            // Room for output has to be made first.
            return Ok(false);
        }
        let mut buffer = [const { std::mem::MaybeUninit::uninit() }; READ];
        let mut read = ReadBuf::uninit(&mut buffer);
        match Pin::new(&mut self.io).poll_read(cx, &mut read) {
            Poll::Pending => Ok(false),
            Poll::Ready(Err(e)) => Err(e),
            Poll::Ready(Ok(())) if read.filled().is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            Poll::Ready(Ok(())) => {
                self.connection.mux.lock().core.receive(read.filled(), now);
                Ok(true)
            }
        }
    }

    /// Writes until the transport takes no more, or there is nothing more.
    fn poll_write(&mut self, cx: &mut Context<'_>, now: Instant) -> io::Result<()> {
        if self.output == Output::Blocked && !self.poll_drain(cx, now)? {
            return Ok(());
        }
        loop {
            let are_pushes_held = {
                let core = &mut self.connection.mux.lock().core;
                self.again = core.transmit(&mut self.out, now, &mut self.path);
                core.has_output(false)
            };
            if self.out.is_empty() {
                self.output = if are_pushes_held {
                    Output::PushesHeld
                } else {
                    Output::Open
                };
                return Ok(());
            }
            if !self.poll_drain(cx, now)? {
                self.output = Output::Blocked;
                return Ok(());
            }
        }
    }

    /// Writes what was chosen; `false` if the transport does not take all of it now.
    fn poll_drain(&mut self, cx: &mut Context<'_>, now: Instant) -> io::Result<bool> {
        while !self.out.is_empty() {
            let mut slices = [io::IoSlice::new(&[]); SLICES];
            let number = self.out.slices(&mut slices);
            let slices = slices.get(..number).unwrap_or_default();
            match Pin::new(&mut self.io).poll_write_vectored(cx, slices) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => {
                    self.out.advance(written);
                    self.active = now;
                }
                Poll::Ready(Err(e)) => return Err(e),
                Poll::Pending => return Ok(false),
            }
        }
        match Pin::new(&mut self.io).poll_flush(cx) {
            Poll::Ready(Ok(())) => Ok(true),
            Poll::Ready(Err(e)) => Err(e),
            Poll::Pending => Ok(false),
        }
    }

    /// Looks after events and promises.
    fn handle(&mut self, now: Instant) {
        while let Some(event) = self.next_event() {
            match event {
                Event::Request { key, head, is_end } => self.request(key, head, is_end, now),
                Event::Closed {
                    key,
                    side,
                    sent,
                    reason,
                } => {
                    if !self.pending.is_empty() {
                        self.pending.remove(key);
                    }
                    end(side, sent, reason);
                }
                Event::Settings {
                    enable_push,
                    max_streams,
                } => {
                    self.connection.client.set_enable_push(enable_push);
                    self.connection.client.set_max_concurrent_streams(max_streams);
                }
                Event::PromiseRefused => self.connection.client.count_refusal(),
                Event::GoingAway => self.connection.client.set_going_away(),
                Event::Fault { fault, stream } => self.tell(fault, stream),
                Event::Readable(_) | Event::Writable(_) => {}
            }
        }
        let promised = std::mem::take(&mut self.connection.mux.lock().promised);
        for Promised {
            stream,
            head,
            pushed_by,
            urgency,
        } in promised
        {
            match self.connection.find_stored(&head, Some(pushed_by)) {
                Some(found) => {
                    let key = stream.release();
                    stored::respond(&mut self.connection.mux.lock().core, key, found, now);
                }
                None => self
                    .pending
                    .add(&self.connection, &self.scheduler, (head, stream, urgency), now),
            }
        }
    }

    /// Returns the next event that is more than a task to be woken.
    fn next_event(&self) -> Option<Event<Side>> {
        let core = &mut self.connection.mux.lock().core;
        loop {
            let waker = match core.poll_event()? {
                Event::Readable(key) => core.side(key).and_then(|side| side.reader.take()),
                Event::Writable(key) => core.side(key).and_then(|side| side.writer.take()),
                other => return Some(other),
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    fn tell(&self, fault: Fault, stream: Option<u32>) {
        let address = self.connection.facts.as_ref().map(|facts| facts.peer.address);
        let of = || address.map(|address| format!(" of {address}")).unwrap_or_default();
        match stream {
            Some(stream) => debug!("stream {stream}{}: {fault}", of()),
            None if fault.is_flood() => warn!("closing an HTTP/2 connection{}: {fault}", of()),
            None => debug!("closing an HTTP/2 connection{}: {fault}", of()),
        }
    }

    /// Answers a request from the store, starts it, queues it, or refuses it.
    fn request(&mut self, key: Key, head: Parts, is_end: bool, now: Instant) {
        if let Err(rejection) = validate(&head) {
            debug!("refusing a malformed HTTP/2 request: {rejection}");
            let core = &mut self.connection.mux.lock().core;
            match rejection.answer() {
                Answer::Reset => core.reset(key, Reason::PROTOCOL_ERROR),
                Answer::BadRequest => {
                    let response = Response {
                        status: StatusCode::BAD_REQUEST,
                        headers: HeaderMap::new(),
                        is_end: true,
                    };
                    // A client that has reset the stream meanwhile needs no answer.
                    let _ = core.respond(key, response);
                }
            }
            core.detach(key, Reason::PROTOCOL_ERROR);
            core.count_malformed();
            return;
        }
        // A request with content is nobody else's.
        let found = if is_end {
            self.connection.find_stored(&head, None)
        } else {
            None
        };
        if let Some(found) = found {
            return stored::respond(&mut self.connection.mux.lock().core, key, found, now);
        }
        let stream = Stream::new(Arc::clone(&self.connection.mux), key, is_end);
        let urgency = Priority::of(&head.headers).urgency();
        self.pending
            .add(&self.connection, &self.scheduler, (head, stream, urgency), now);
    }

    /// Starts pending requests when it is this connection's turn.
    fn poll_turn(&mut self, cx: &mut Context<'_>) {
        while !self.pending.is_empty() {
            let turn = self
                .turn
                .get_or_insert_with(|| Box::pin(Arc::clone(&self.scheduler).turn()));
            match turn.as_mut().poll(cx) {
                Poll::Pending => return,
                Poll::Ready(permit) => {
                    self.turn = None;
                    self.pending.start(&self.connection, &self.scheduler, permit);
                }
            }
        }
        self.turn = None;
    }

    /// Looks after time limits. A request does not touch the timer: when it fires, the driver sees what is due.
    fn poll_timer(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        let due = self.due(now).into();
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() > due {
            timer.as_mut().reset(due);
        }
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        let now = Instant::now();
        if self.expire(now) {
            return Poll::Ready(());
        }
        let due = self.due(now).max(now + SHORTEST_WAIT);
        if let Some(timer) = &mut self.timer {
            timer.as_mut().reset(due.into());
        }
        // There may be something to write now.
        self.yields = false;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Returns when something is due.
    fn due(&mut self, now: Instant) -> Instant {
        let limits = &self.connection.limits;
        let mut state = self.connection.mux.lock();
        let tick = state.core.tick(now);
        let base = if !state.core.has_begun() {
            self.started + limits.handshake_timeout
        } else if state.core.stream_count() == 0 {
            self.active + limits.idle_timeout
        } else {
            self.active = now;
            now + limits.write_timeout.min(limits.idle_timeout) / 2
        };
        [tick, self.again].into_iter().flatten().fold(base, Instant::min)
    }

    /// Carries out what is due; `true` if the connection is over.
    fn expire(&mut self, now: Instant) -> bool {
        let limits = &self.connection.limits;
        let mut state = self.connection.mux.lock();
        let core = &mut state.core;
        core.tick(now);
        if !core.has_begun() && now >= self.started + limits.handshake_timeout {
            debug!("HTTP/2 handshake took longer than {:?}", limits.handshake_timeout);
            return true;
        }
        core.reset_stalled(limits.write_timeout, now);
        if core.has_begun() && core.stream_count() == 0 && now >= self.active + limits.idle_timeout {
            if !self.out.is_empty() {
                // It has taken nothing in all that time.
                return true;
            }
            core.go_away();
        }
        false
    }

    /// Writes what is left, says the end, and waits a little for the client's.
    fn poll_close(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        let Some(closing) = &mut self.closing else {
            return Poll::Ready(());
        };
        if now >= closing.until {
            return Poll::Ready(());
        }
        if !closing.is_shut {
            match Pin::new(&mut self.io).poll_shutdown(cx) {
                Poll::Ready(Ok(())) => closing.is_shut = true,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {}
            }
        }
        let mut buffer = [const { std::mem::MaybeUninit::uninit() }; READ];
        for _ in 0..READS {
            let mut read = ReadBuf::uninit(&mut buffer);
            match Pin::new(&mut self.io).poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {
                    let until = closing.until.into();
                    let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
                    if timer.deadline() != until {
                        timer.as_mut().reset(until);
                    }
                    self.yields = false;
                    return timer.as_mut().poll(cx);
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// What came of reading and writing.
enum Served {
    /// There is nothing to do for now.
    Waits,
    /// The connection is to be closed.
    Done,
}

impl<A> Drop for Driver<A> {
    fn drop(&mut self) {
        self.pending.clear();
        let mut events = Vec::new();
        {
            let mut state = self.connection.mux.lock();
            state.core.disconnect();
            while let Some(event) = state.core.poll_event() {
                events.push(event);
            }
        }
        let promised = std::mem::take(&mut self.connection.mux.lock().promised);
        drop(promised);
        for event in events {
            if let Event::Closed { side, sent, reason, .. } = event {
                end(side, sent, reason);
            }
        }
    }
}

/// A stream has ended: all that wait for it hear of it.
fn end(mut side: Side, sent: usize, reason: Option<Reason>) {
    side.wake();
    if let Some(on_sent) = side.on_sent.take() {
        let failure = reason.map(|reason| format!("reset by the client: {reason}"));
        on_sent.sent(sent, failure.as_deref());
    }
}

/// Returns what is known of the client, with what becomes known of it here.
fn facts(io: &Io, client: &Arc<Client>) -> Option<Arc<client::Connection>> {
    let arrived = io.get_proxy_digest()?;
    let connection = arrived.user_data.as_ref()?.downcast_ref::<Arc<client::Connection>>()?;
    Some(Arc::new(client::Connection {
        peer: connection.peer.clone(),
        http2: Some(Arc::clone(client)),
    }))
}

/// Returns what is known of the connection. The client rides along: in the extensions of each request it would cost
/// three allocations a request.
fn digest(io: &Io, facts: Option<&Arc<client::Connection>>) -> Digest {
    let facts = facts.and_then(|facts| {
        let unused = ResponseHeader::build_no_case(StatusCode::OK, Some(0)).ok()?;
        Some(ProxyDigest::new(Box::new(unused), Some(Box::new(Arc::clone(facts)))))
    });
    Digest {
        ssl_digest: io.get_ssl_digest(),
        timing_digest: io.get_timing_digest(),
        proxy_digest: facts.map(Arc::new),
        socket_digest: io.get_socket_digest(),
    }
}
