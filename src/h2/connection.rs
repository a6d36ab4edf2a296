//! The accept loop: drives one connection, starts a task for each request.

use std::{
    future::{Future, pending, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use h2::{
    Reason, RecvStream,
    server::{Builder, SendResponse},
};
use http::{Request, StatusCode};
use log::{debug, warn};
use pingora::{
    apps::HttpServerApp,
    http::ResponseHeader,
    protocols::{Digest, Stream as Io, raw_connect::ProxyDigest},
    server::ShutdownWatch,
};
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, timeout, timeout_at},
};

use super::{
    Limits, Memory,
    admission::Admission,
    admit::Backlog,
    bottleneck::Bottleneck,
    chunk::Chunk,
    cork::{Cork, Corked},
    observe::{Noted, Observed},
    opening::{Opening, Openings, Promises, Transport},
    order::{Patience, SendOrder},
    queue::Queue,
    upgrade::{Beginning, Upgraded},
};
use crate::{client, push::Client};

/// Request body bytes that a client may send ahead on one stream, and on the connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Bytes of one stream that may wait in the h2 crate; those of all together are fewer, see [`Queue`].
const SEND_BUFFER: usize = 64 * 1024;

/// How long a connection that is being closed may take to flush its GOAWAY.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the GOAWAY of a shutdown waits for promises to begin their answers.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(2);

/// What all streams of a connection share.
pub(super) struct Connection<A> {
    pub(super) app: Arc<A>,
    /// Asked before the application.
    pub(super) memory: Arc<dyn Memory>,
    pub(super) admission: Arc<Admission>,
    pub(super) client: Arc<Client>,
    /// What is known of the client, if its connection told.
    pub(super) facts: Option<Arc<client::Connection>>,
    pub(super) order: Arc<SendOrder>,
    pub(super) queue: Queue,
    pub(super) bottleneck: Arc<Bottleneck>,
    pub(super) limits: Limits,
    pub(super) digest: Arc<Digest>,
    pub(super) shutdown: ShutdownWatch,
    pub(super) active: Arc<Active>,
    pub(super) promises: Arc<Promises>,
    pub(super) openings: mpsc::UnboundedSender<Box<Opening>>,
}

/// What answers the requests of all connections.
pub struct Answers<A> {
    /// Asked first.
    pub memory: Arc<dyn Memory>,
    /// Asked for the others.
    pub app: Arc<A>,
    /// Says when it is.
    pub admission: Arc<Admission>,
}

impl<A> std::fmt::Debug for Answers<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answers")
            .field("admission", &self.admission)
            .finish_non_exhaustive()
    }
}

/// Serves a connection until it is closed: by the client, by idleness, or by a shutdown once its
/// streams have finished. An upgraded one begins with a request, and the client's preface is still
/// to come.
pub async fn serve<A>(
    io: Io,
    beginning: Option<Beginning>,
    answers: Answers<A>,
    limits: Limits,
    shutdown: ShutdownWatch,
) where
    A: HttpServerApp + Send + Sync + 'static,
{
    let order = SendOrder::new(Patience::default());
    serve_in_order(order, io, beginning, answers, limits, shutdown).await;
}

/// The same in an order of the caller's.
pub(super) async fn serve_in_order<A>(
    order: Arc<SendOrder>,
    io: Io,
    beginning: Option<Beginning>,
    answers: Answers<A>,
    limits: Limits,
    shutdown: ShutdownWatch,
) where
    A: HttpServerApp + Send + Sync + 'static,
{
    let client = Arc::new(Client::new(limits.diary_entries));
    let facts = facts(&io, &client);
    let digest = Arc::new(digest(&io, facts.as_ref()));
    let transport = Arc::new(Transport::default());
    let promises = Arc::<Promises>::default();
    let noted = Noted {
        client: Arc::clone(&client),
        order: Arc::clone(&order),
        promises: Arc::clone(&promises),
    };
    let (io, cork) = Corked::new(Upgraded::new(io, beginning));
    let io = Observed::new(io, noted, Arc::clone(&transport));
    let handshake = builder(&limits).handshake::<_, Chunk>(io);
    let conn = match timeout(limits.handshake_timeout, handshake).await {
        // Boxed: whatever it is handed on to would set aside room for another one.
        Ok(Ok(conn)) => Box::new(conn),
        Ok(Err(e)) => return debug!("HTTP/2 handshake failed: {e}"),
        Err(_) => return debug!("HTTP/2 handshake took longer than {:?}", limits.handshake_timeout),
    };
    let (sender, openings) = Openings::new(Arc::clone(&transport), Arc::clone(&promises), Arc::clone(&client));
    let connection = Arc::new(Connection {
        app: answers.app,
        memory: answers.memory,
        admission: answers.admission,
        client,
        facts,
        order,
        queue: Queue::default(),
        bottleneck: Arc::new(Bottleneck::new(digest.socket_digest.clone(), Arc::clone(&transport))),
        limits,
        digest,
        shutdown,
        active: Arc::new(Active::default()),
        promises,
        openings: sender,
    });
    accept_loop(conn, cork, openings, &transport, connection).await;
}

/// What is known of the client, with what becomes known of it here.
fn facts(io: &Io, client: &Arc<Client>) -> Option<Arc<client::Connection>> {
    let arrived = io.get_proxy_digest()?;
    let connection = arrived.user_data.as_ref()?.downcast_ref::<Arc<client::Connection>>()?;
    Some(Arc::new(client::Connection {
        peer: connection.peer.clone(),
        http2: Some(Arc::clone(client)),
    }))
}

/// What is known of the connection. The client rides along: in the extensions of each request it would cost three allocations a request.
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

fn builder(limits: &Limits) -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(limits.max_streams)
        .max_header_list_size(limits.max_header_bytes)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER);
    builder
}

type H2Connection = h2::server::Connection<Observed<Corked<Upgraded<Io>>>, Chunk>;

/// How far a shutdown has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    /// Nothing new is promised; what was promised must begin its answer before GOAWAY, since the h2
    /// crate closes a connection on which only promises are left.
    Settling {
        until: Instant,
    },
    /// GOAWAY was sent; what is in flight finishes.
    Draining,
}

async fn accept_loop<A>(
    mut conn: Box<H2Connection>,
    cork: Cork<Upgraded<Io>>,
    mut openings: Openings,
    transport: &Transport,
    connection: Arc<Connection<A>>,
) where
    A: HttpServerApp + Send + Sync + 'static,
{
    let mut shutdown = connection.shutdown.clone();
    let mut phase = Phase::Serving;
    let mut malformed = 0;
    let mut progress = 0;
    let mut backlog = Backlog::default();
    let turn = || Arc::clone(&connection.admission).turn();
    let mut next_turn = pin!(turn());
    loop {
        let accepted = tokio::select! {
            // The signal first, so that it is seen on a busy connection too. `accept` may be
            // dropped and called again.
            biased;
            () = shutdown_begins(&mut shutdown), if phase == Phase::Serving => {
                connection.client.set_going_away();
                phase = Phase::Settling { until: Instant::now() + SETTLE_TIMEOUT };
                continue;
            }
            () = settled(phase, &connection.active), if phase != Phase::Draining => {
                conn.graceful_shutdown();
                phase = Phase::Draining;
                continue;
            }
            requests = next_turn.as_mut(), if !backlog.is_empty() => {
                next_turn.set(turn());
                backlog.begin(&connection, requests);
                continue;
            }
            accepted = accept(&mut conn, &cork, transport, &mut openings) => accepted,
            () = connection.active.idle_for(connection.limits.idle_timeout) => {
                // A slow client may still be taking what was queued for it; one that has not taken
                // anything in all that time is gone.
                let before = std::mem::replace(&mut progress, transport.progress());
                if conn.has_streams() && progress != before {
                    continue;
                }
                return close(conn).await;
            }
        };
        match accepted {
            None => return,
            Some(Err(e)) => return debug!("HTTP/2 connection ended: {e}"),
            Some(Ok((request, respond))) => {
                if !backlog.admit(&connection, request, respond) {
                    malformed += 1;
                }
                if malformed >= connection.limits.max_malformed {
                    warn!("closing an HTTP/2 connection after {malformed} malformed requests");
                    conn.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                    // Nobody is to wait for the turn of this connection.
                    next_turn.set(turn());
                    drop(backlog);
                    return flush(conn).await;
                }
            }
        }
    }
}

/// Resolves when a shutdown may say GOAWAY; never before one has begun.
async fn settled(phase: Phase, active: &Active) {
    match phase {
        Phase::Settling { until } => {
            let _ = timeout_at(until, active.none_reserved()).await;
        }
        Phase::Serving | Phase::Draining => pending().await,
    }
}

/// The next request. What streams have to say meanwhile leaves in one write a turn: the task lets
/// all others that can run go first.
async fn accept(
    conn: &mut H2Connection,
    cork: &Cork<Upgraded<Io>>,
    transport: &Transport,
    openings: &mut Openings,
) -> Option<Result<(Request<RecvStream>, SendResponse<Chunk>), h2::Error>> {
    let mut accept = pin!(conn.accept());
    let mut waited = false;
    poll_fn(|cx| {
        if std::mem::take(&mut waited) {
            // To the end of the run queue.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        cork.begin();
        let leave = |cx: &mut Context<'_>| {
            if cork.poll_end(cx).is_pending() {
                transport.set_write_blocked(true);
            }
        };
        let polled = openings.around(cx, |cx| accept.as_mut().poll(cx), leave);
        waited = true;
        polled
    })
    .await
}

/// Resolves when the server begins to shut down; never if its signal is gone.
async fn shutdown_begins(shutdown: &mut ShutdownWatch) {
    if shutdown.wait_for(|&begun| begun).await.is_err() {
        pending::<()>().await;
    }
}

/// Says GOAWAY on an idle connection and closes it.
async fn close(mut conn: Box<H2Connection>) {
    conn.abrupt_shutdown(Reason::NO_ERROR);
    flush(conn).await;
}

async fn flush(mut conn: Box<H2Connection>) {
    // A dead peer must not keep the task.
    let _ = timeout(CLOSE_TIMEOUT, async { while conn.accept().await.is_some() {} }).await;
}

/// Counts the streams in flight, pushed ones too, so that a busy connection is not taken for idle.
#[derive(Debug, Default)]
pub(super) struct Active {
    streams: AtomicUsize,
    none_left: Notify,
    reserved: AtomicUsize,
    none_reserved: Notify,
}

/// One promise without a response header, until dropped.
#[derive(Debug)]
pub(super) struct Reserved(Arc<Active>);

/// One stream in flight, until dropped.
#[derive(Debug)]
pub(super) struct ActiveStream(Arc<Active>);

impl Active {
    pub(super) fn begin(self: &Arc<Self>) -> ActiveStream {
        self.streams.fetch_add(1, Ordering::Relaxed);
        ActiveStream(Arc::clone(self))
    }

    pub(super) fn count(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    pub(super) fn reserve(self: &Arc<Self>) -> Reserved {
        self.reserved.fetch_add(1, Ordering::SeqCst);
        Reserved(Arc::clone(self))
    }

    /// Resolves when every promise has begun its answer.
    async fn none_reserved(&self) {
        while self.reserved.load(Ordering::SeqCst) != 0 {
            self.none_reserved.notified().await;
        }
    }

    /// Resolves when there has been no stream for this long; starts anew with each call.
    async fn idle_for(&self, idle_timeout: Duration) {
        while self.streams.load(Ordering::Relaxed) != 0 {
            self.none_left.notified().await;
        }
        tokio::time::sleep(idle_timeout).await;
    }
}

impl Drop for ActiveStream {
    fn drop(&mut self) {
        if self.0.streams.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.none_left.notify_one();
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if self.0.reserved.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.none_reserved.notify_one();
        }
    }
}
