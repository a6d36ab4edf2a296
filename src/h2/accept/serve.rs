//! Drives a connection: moves bytes between its transport and the core, wakes streams, and passes requests on.
//!
//! The driver runs when the transport can be read or written, when a stream has something to send, and when a time
//! limit may have passed. One poll reads, handles the events, and writes all output, so that many frames leave in one
//! write. Every second poll only yields: tasks that are ready run first, and their frames leave in the same write.

use std::{
    future::{Future, pending, poll_fn},
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http::StatusCode;
use log::debug;
use pingora::{
    apps::HttpServerApp,
    http::ResponseHeader,
    protocols::{Digest, Stream as Io, raw_connect::ProxyDigest},
    server::ShutdownWatch,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

use super::{
    Responder,
    h2c::Beginning,
    pending::Pending,
    scheduler::{RequestScheduler, RunPermit},
    unserved::log_unserved,
};
use crate::{
    h2::{
        Limits,
        core::{Config, Core, Event, HeadBudget},
        priority::path::PathEstimate,
        respond::Http2Connection,
        stream::mux::{Mux, Output},
        wire::rope::Rope,
    },
    peer,
    push::PushState,
    telemetry::Http2Meter,
};

/// How long a connection that is being closed reads on, so that the client gets our GOAWAY: a socket that is closed
/// with unread bytes sends RST, which makes the client's system drop received bytes.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Bytes of one read: a default frame and its header.
pub(super) const READ: usize = 16 * 1024 + 9;

/// Number of reads in one poll, after which the driver lets other tasks run.
pub(super) const READS: usize = 8;

/// The budget for the request heads of all connections: 128 MiB are 100,000 heads of 1.3 KB.
static HEADS: HeadBudget = HeadBudget::new(128 * 1024 * 1024);

/// Number of slices in one write: two for each of 16 frames, header and content.
const SLICES: usize = 32;

/// Serves a connection until it is closed: by the client, by a time limit, or by a shutdown once its streams have
/// finished. An upgraded connection has a `beginning`.
pub(crate) async fn serve<A>(
    io: Io,
    beginning: Option<Beginning>,
    responder: Responder<A>,
    limits: Limits,
    mut shutdown: ShutdownWatch,
) where
    A: HttpServerApp + Send + Sync + 'static,
{
    let Some(mut driver) = Driver::new(io, beginning, responder, limits, &shutdown) else {
        return;
    };
    let mut is_shutting_down = false;
    let mut began = pin!(shutdown_begins(&mut shutdown));
    poll_fn(|cx| {
        if driver.yields(cx) {
            return Poll::Pending;
        }
        // The signal is checked before I/O, so that a busy connection sees it, too.
        if !is_shutting_down && began.as_mut().poll(cx).is_ready() {
            is_shutting_down = true;
            driver.shut_down();
        }
        driver.poll(cx)
    })
    .await;
}

/// Resolves when the server begins to shut down; never if the sender of the signal was dropped.
async fn shutdown_begins(shutdown: &mut ShutdownWatch) {
    if shutdown.wait_for(|&begun| begun).await.is_err() {
        pending::<()>().await;
    }
}

type Turn = Pin<Box<dyn Future<Output = RunPermit> + Send>>;

/// The driver.
pub(super) struct Driver<A> {
    pub(super) io: Io,
    pub(super) connection: Arc<Http2Connection<A>>,
    pub(super) scheduler: Arc<RequestScheduler>,
    pub(super) meter: Arc<Http2Meter>,
    /// Bytes that are being written.
    pub(super) out: Rope,
    pub(super) output: Output,
    pub(super) path: PathEstimate,
    pub(super) pending: Pending,
    /// The wait for the scheduler, while requests are pending.
    pub(super) turn: Option<Turn>,
    pub(super) timer: Option<Pin<Box<Sleep>>>,
    /// Time at which [`Core::transmit`] is to be called again.
    pub(super) again: Option<Instant>,
    pub(super) started: Instant,
    /// The last time at which there was a stream, or the transport took bytes.
    pub(super) active: Instant,
    /// The next poll only lets other tasks run.
    pub(super) yields: bool,
    pub(super) closing: Option<Closing>,
    pub(super) is_upgraded: bool,
}

/// Progress of the end of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Closing {
    pub(super) until: Instant,
    /// The transport's writing side is shut.
    pub(super) is_shut: bool,
}

impl<A: HttpServerApp + Send + Sync + 'static> Driver<A> {
    fn new(
        io: Io,
        beginning: Option<Beginning>,
        responder: Responder<A>,
        limits: Limits,
        shutdown: &ShutdownWatch,
    ) -> Option<Box<Self>> {
        let now = Instant::now();
        let is_upgraded = beginning.is_some();
        let config = Config {
            max_streams: limits.max_streams,
            max_header_bytes: limits.max_header_bytes,
            max_header_fields: limits.max_header_fields,
            max_malformed: limits.max_malformed,
            shared_heads: Some(&HEADS),
        };
        let mut core = Core::new(config, now);
        if let Some(Beginning { settings, head }) = beginning
            && let Err(fault) = core.begin_upgraded(&settings, head)
        {
            debug!("an upgraded connection does not begin: {fault}");
            return None;
        }
        let client = Arc::new(PushState::new(limits.diary_entries));
        let facts = facts(&io, &client);
        let digest = Arc::new(digest(&io, facts.as_ref()));
        let path = PathEstimate::new(digest.socket_digest.clone());
        let connection = Arc::new(Http2Connection {
            app: responder.app,
            stored: responder.stored,
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
            scheduler: responder.scheduler,
            meter: responder.meter,
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
            is_upgraded,
        }))
    }

    fn shut_down(&mut self) {
        self.connection.client.set_going_away();
        self.connection.mux.lock().core.shut_down(Instant::now());
    }

    /// Returns whether this poll is to be left out. The driver's task then goes to the end of the run queue, behind all
    /// tasks that can run.
    fn yields(&mut self, cx: &Context<'_>) -> bool {
        let yields = std::mem::replace(&mut self.yields, false);
        if yields {
            cx.waker().wake_by_ref();
        }
        yields
    }

    /// Resolves when the connection is closed.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
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

    /// Reads, handles events and writes until the transport is exhausted or a poll has read enough.
    fn poll_serve(&mut self, cx: &mut Context<'_>, now: Instant) -> io::Result<Served> {
        let mut reads = 0;
        loop {
            let is_read_paused = !self.connection.mux.lock().core.reads();
            let mut read = Ok(true);
            while !is_read_paused && reads < READS && matches!(read, Ok(true)) {
                read = self.poll_read(cx, now);
                reads += usize::from(matches!(read, Ok(true)));
            }
            if let Err(e) = read {
                // The bytes before the error may have left events, which are to be logged and counted.
                self.handle(now);
                return Err(e);
            }
            self.handle(now);
            self.poll_turn(cx);
            self.poll_write(cx, now)?;
            self.handle(now);
            let mut state = self.connection.mux.lock();
            let is_written = self.out.is_empty() && self.output != Output::Blocked;
            if is_written && state.core.is_done() && !state.core.has_output(true) {
                return Ok(Served::Done);
            }
            let reads_again = is_read_paused && state.core.reads();
            let awaits_no_turn = !self.pending.is_empty() && self.turn.is_none();
            if !reads_again && !awaits_no_turn && state.wait(self.output, cx) {
                if reads >= READS {
                    cx.waker().wake_by_ref();
                }
                return Ok(Served::Waits);
            }
        }
    }

    /// Reads once; returns `false` if there are no bytes.
    fn poll_read(&mut self, cx: &mut Context<'_>, now: Instant) -> io::Result<bool> {
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

    /// Writes until the transport takes no more, or no output is left.
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
                // `transmit` is not called until the transport takes more, and a time in the past would make the timer
                // fire at once, again and again.
                self.again = None;
                return Ok(());
            }
        }
    }

    /// Writes and flushes `out`; returns `false` if the transport does not take all of it now.
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
}

/// The outcome of [`Driver::poll_serve`].
enum Served {
    /// Nothing is to be done until the driver is woken.
    Waits,
    /// The connection is to be closed.
    Done,
}

impl<A> Drop for Driver<A> {
    fn drop(&mut self) {
        for queued in self.pending.clear() {
            let why = "the connection ended before it started";
            log_unserved(self.connection.facts.as_deref(), &queued, &why);
        }
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
            if let Event::Closed {
                side, sent, reason, by, ..
            } = event
            {
                side.end(sent, reason, by);
            }
        }
    }
}

/// Returns the facts about the client that the listener passed on, with the push state of this connection.
fn facts(io: &Io, client: &Arc<PushState>) -> Option<Arc<peer::ClientConnection>> {
    let arrived = io.get_proxy_digest()?;
    let connection = arrived
        .user_data
        .as_ref()?
        .downcast_ref::<Arc<peer::ClientConnection>>()?;
    Some(Arc::new(peer::ClientConnection {
        peer: connection.peer.clone(),
        http2: Some(Arc::clone(client)),
        date: peer::ResponseDate::default(),
        tls: connection.tls,
    }))
}

/// Returns Pingora's facts about the connection. They carry the facts about the client, too, which would cost three
/// allocations in the extensions of each request.
fn digest(io: &Io, facts: Option<&Arc<peer::ClientConnection>>) -> Digest {
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
