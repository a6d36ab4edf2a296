//! Limits the reading of a response to the pace at which the client takes it: `Pace`.
//!
//! Between origin and client Pingora 0.9.1 has a pipe of four pieces, takes another four out of it at a time, and reads
//! the next one ahead. With pieces of up to 64 KiB this is over half a megabyte for every response that a client does
//! not read, and no setting changes it. But both ends of the pipe run in the task of the request, so the writing end
//! (the client's session) can tell the reading end (a `Paced` connection) how many bytes to read.
//!
//! - Until the session has [seen](on_header) the response header, the task reads once in each turn, so that the pipe
//!   does not fill before.
//! - Then the session [grants](grant) bytes, each time it has passed on all that came before: the more responses are
//!   under way, the less each is granted, so that their sum is bounded.
//! - While at most `UNPACED_RESPONSES` are under way, nothing is held back: a full pipe costs less CPU.
//! - A session that takes no more bytes [releases](release) the pace, so that a response can still be stored
//!   completely.
//!
//! Without a pace (HTTP/1.x clients, the cache's own requests) only the [valve](crate::backpressure::Valve) of a
//! response that is stored as it arrives holds bytes back.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    future::{Future, poll_fn},
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use tokio::{task::futures::TaskLocalFuture, time::sleep};

/// Bytes granted at a time to all responses of the process together; more only above 512 responses, as each gets at
/// least [`MIN_GRANT`]. Pingora's buffer holds as much again for each.
const ALL_GRANTS: usize = 8 * 1024 * 1024;

/// Responses of the process up to which each may fill Pingora's pipe: 20 MB at most.
const UNPACED_RESPONSES: usize = 32;

/// The smallest grant: one frame. In bulk transfers half of it costs a fifth more CPU, and [`MAX_GRANT`] a fifth less.
const MIN_GRANT: usize = 16 * 1024;

/// The largest grant. Pingora has a buffer of 64 KiB for each response, and uses no more of it than a grant. The rest
/// does not become resident, unless another allocation of that size was used in full at the same place.
const MAX_GRANT: usize = 48 * 1024;

/// Time for which a client may make a session wait before single bytes are read: far below any `read_timeout`.
pub(in crate::upstream) const TRICKLE_DELAY: Duration = Duration::from_millis(250);

/// Responses of the process that are read by grants.
static GRANTED: AtomicUsize = AtomicUsize::new(0);

tokio::task_local! {
    static PACE: Pace;
}

/// How fast the origin of one request may be read.
#[derive(Debug)]
struct Pace {
    phase: Cell<Phase>,
    /// The task that waits to read more.
    waiting: RefCell<Option<Waker>>,
    /// When the request came, if it had to wait before it began.
    arrived: Option<Instant>,
    /// The session waits for the client, and grants one more byte when all that was granted is read.
    is_trickling: Cell<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The response header has not been passed on.
    Header {
        /// The task has read bytes in this turn.
        has_read: bool,
    },
    /// This many bytes may be read.
    Granted(usize),
    /// All bytes may be read.
    Open,
    /// The client has left: the connection ends.
    Abandoned,
}

impl Pace {
    /// Returns the bytes that may be read now; `None` is no limit. At 0 the task is woken when there are more.
    fn allowance(&self, cx: &Context<'_>) -> Option<usize> {
        match self.phase.get() {
            Phase::Open | Phase::Abandoned => None,
            Phase::Granted(0) => {
                let mut waiting = self.waiting.borrow_mut();
                if !waiting.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                    *waiting = Some(cx.waker().clone());
                }
                Some(0)
            }
            Phase::Granted(left) => Some(left),
            Phase::Header { .. } if is_unpaced() => None,
            Phase::Header { has_read: false } => Some(MIN_GRANT),
            Phase::Header { has_read: true } => {
                self.phase.set(Phase::Header { has_read: false });
                cx.waker().wake_by_ref();
                Some(0)
            }
        }
    }

    fn count_read(&self, bytes: usize, cx: &Context<'_>) {
        match self.phase.get() {
            Phase::Open | Phase::Abandoned => {}
            Phase::Granted(left) => {
                self.phase.set(Phase::Granted(left.saturating_sub(bytes)));
                if self.is_trickling.replace(false) {
                    // The session runs in the same task, and grants the next byte.
                    cx.waker().wake_by_ref();
                }
            }
            Phase::Header { .. } => self.phase.set(Phase::Header { has_read: true }),
        }
    }

    fn set(&self, phase: Phase) {
        if self.phase.get() == Phase::Abandoned {
            // Final: no client waits for the response.
            return;
        }
        let before = self.phase.replace(phase);
        match (before.is_granted(), phase.is_granted()) {
            (false, true) => drop(GRANTED.fetch_add(1, Ordering::Relaxed)),
            (true, false) => drop(GRANTED.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        }
        if let Some(waker) = self.waiting.borrow_mut().take() {
            waker.wake();
        }
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        self.set(Phase::Open);
    }
}

impl Phase {
    const fn is_granted(self) -> bool {
        matches!(self, Self::Granted(_))
    }
}

/// Runs a request at the pace of its client's session. `arrived` is the time at which a request came that had to wait
/// before it began.
pub fn scope<F: Future>(arrived: Option<Instant>, request: F) -> impl Future<Output = F::Output> + use<F> {
    let pace = Pace {
        arrived,
        phase: Cell::new(Phase::Header { has_read: false }),
        waiting: RefCell::new(None),
        is_trickling: Cell::new(false),
    };
    let scope: TaskLocalFuture<Pace, F> = PACE.scope(pace, request);
    scope
}

/// Returns when the request of this task came, if it had to wait before it began: the access line counts the time that
/// the client saw. The time rides in the pace, since a place of its own beside each request costs more than the rest of
/// the wait.
pub fn arrived() -> Option<Instant> {
    PACE.try_with(|pace| pace.arrived).ok().flatten()
}

/// Notes that the session passes the response header on: unless responses are unpaced, nothing is read until the next
/// [`grant`].
pub fn on_header() {
    let _ = PACE.try_with(|pace| {
        if matches!(pace.phase.get(), Phase::Header { .. }) {
            pace.set(Phase::Granted(if is_unpaced() { usize::MAX } else { 0 }));
        }
    });
}

/// Grants the next bytes, as all that came of the response before was passed on.
pub fn grant() {
    // Outside of a paced request there is nothing to grant.
    let _ = PACE.try_with(|pace| {
        if pace.phase.get() != Phase::Open {
            pace.set(Phase::Granted(share_of(GRANTED.load(Ordering::Relaxed))));
        }
    });
}

fn is_unpaced() -> bool {
    GRANTED.load(Ordering::Relaxed) <= UNPACED_RESPONSES
}

/// Returns the bytes granted to each of this many responses.
fn share_of(responses: usize) -> usize {
    if responses <= UNPACED_RESPONSES {
        return usize::MAX;
    }
    (ALL_GRANTS / responses.max(1)).clamp(MIN_GRANT, MAX_GRANT)
}

/// Runs while the client makes the session wait, and never returns: it prevents that Pingora's `read_timeout` passes,
/// as the origin is not to blame. After `TRICKLE_DELAY` single bytes fill the pipe, until Pingora waits for the client
/// without a time limit.
pub async fn nudge() -> Infallible {
    sleep(TRICKLE_DELAY).await;
    poll_fn(|_| {
        let _ = PACE.try_with(|pace| {
            pace.is_trickling.set(true);
            if pace.phase.get() == Phase::Granted(0) {
                pace.set(Phase::Granted(1));
            }
        });
        Poll::Pending
    })
    .await
}

/// Ends the limit: from now on the origin is read without regard to the client, because the response is stored or
/// nothing more goes to the client.
pub fn release() {
    let _ = PACE.try_with(|pace| pace.set(Phase::Open));
}

/// Notes that the client has left. Before the response header this ends the connection to the origin; Pingora would
/// wait for a response that may be stored, however long the origin takes.
pub fn abandoned() {
    let _ = PACE.try_with(|pace| {
        if matches!(pace.phase.get(), Phase::Header { .. }) {
            pace.set(Phase::Abandoned);
        }
    });
}

/// Returns whether the client of this task's request left before the response header.
pub fn is_abandoned() -> bool {
    PACE.try_with(|pace| pace.phase.get() == Phase::Abandoned)
        .unwrap_or(false)
}

/// Returns the bytes that the request of this task may read now; `None` is no limit. At 0 the task is woken when there
/// are more.
pub(in crate::upstream) fn allowance(cx: &Context<'_>) -> Option<usize> {
    PACE.try_with(|pace| pace.allowance(cx)).ok().flatten()
}

/// Counts bytes that the request of this task has read.
pub(in crate::upstream) fn count_read(bytes: usize, cx: &Context<'_>) {
    let _ = PACE.try_with(|pace| pace.count_read(bytes, cx));
}

#[cfg(test)]
mod tests {
    use std::{io, pin::Pin};

    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf, duplex};

    use super::{super::paced::Paced, *};

    /// Reads all bytes that can be read in one turn of the task, and returns their number.
    async fn read_in_a_turn(scope: &mut Paced) -> usize {
        let mut total = 0;
        poll_fn(|cx| {
            loop {
                let mut bytes = [0; 100_000];
                let mut buffer = ReadBuf::new(&mut bytes);
                match Pin::new(&mut *scope).poll_read(cx, &mut buffer) {
                    Poll::Ready(Ok(())) => total += buffer.filled().len(),
                    Poll::Ready(Err(e)) => unreachable!("{e}"),
                    Poll::Pending => return Poll::Ready(()),
                }
            }
        })
        .await;
        total
    }

    async fn origin(bytes: usize) -> (tokio::io::DuplexStream, Paced) {
        let (mut origin, io) = duplex(bytes);
        origin.write_all(&vec![0; bytes]).await.expect("room");
        (origin, Paced::new(Box::new(io)))
    }

    #[test]
    fn many_responses_are_granted_less_each() {
        assert_eq!([0, UNPACED_RESPONSES].map(share_of), [usize::MAX; 2]);
        assert_eq!([UNPACED_RESPONSES + 1, 128].map(share_of), [MAX_GRANT; 2]);
        assert_eq!(share_of(256), 32 * 1024);
        assert_eq!([512, 100_000].map(share_of), [MIN_GRANT; 2]);
    }

    /// Other responses, enough that each is granted `MIN_GRANT`.
    struct Crowd;

    impl Crowd {
        const SIZE: usize = 10_000;

        fn new() -> Self {
            GRANTED.fetch_add(Self::SIZE, Ordering::Relaxed);
            Self
        }
    }

    impl Drop for Crowd {
        fn drop(&mut self) {
            GRANTED.fetch_sub(Self::SIZE, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn the_origin_is_read_as_the_client_takes_the_response() {
        let _crowd = Crowd::new();
        let (_origin, mut io) = origin(1 << 20).await;
        scope(None, async {
            assert_eq!(read_in_a_turn(&mut io).await, MIN_GRANT, "one read before the header");
            on_header();
            assert_eq!(read_in_a_turn(&mut io).await, 0);
            grant();
            assert_eq!(read_in_a_turn(&mut io).await, MIN_GRANT);
            assert_eq!(read_in_a_turn(&mut io).await, 0, "until the next grant");
            grant();
            grant();
            assert_eq!(read_in_a_turn(&mut io).await, MIN_GRANT, "grants are not added up");
            let client = async {
                sleep(2 * TRICKLE_DELAY).await;
                read_in_a_turn(&mut io).await
            };
            tokio::select! {
                never = nudge() => match never {},
                read = client => assert_eq!(read, 1, "the client has not taken what came"),
            }
            release();
            grant();
            assert!(read_in_a_turn(&mut io).await > MAX_GRANT, "no limit any more");
        })
        .await;
    }

    #[tokio::test]
    async fn while_the_client_makes_the_session_wait_single_bytes_are_read() {
        let _crowd = Crowd::new();
        let (_origin, mut io) = origin(1 << 20).await;
        scope(None, async {
            grant();
            assert_eq!(read_in_a_turn(&mut io).await, MIN_GRANT);
            let mut bytes = [0; 9];
            tokio::select! {
                biased;
                never = nudge() => match never {},
                read = io.read_exact(&mut bytes) => assert_eq!(read.expect("bytes"), 9),
            }
            let phase = PACE.with(|pace| pace.phase.get());
            assert_eq!(phase, Phase::Granted(0), "and what is read next has to be granted");
        })
        .await;
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken_by_a_grant() {
        let _crowd = Crowd::new();
        let (_origin, mut io) = origin(1 << 20).await;
        scope(None, async {
            grant();
            let mut bytes = vec![0; 4 * MAX_GRANT];
            let granting = async {
                loop {
                    tokio::task::yield_now().await;
                    grant();
                }
            };
            tokio::select! {
                read = io.read_exact(&mut bytes) => assert_eq!(read.expect("bytes"), 4 * MAX_GRANT),
                () = granting => {}
            }
        })
        .await;
    }

    #[tokio::test]
    async fn a_client_that_leaves_ends_the_connection_only_before_the_response_header() {
        let (_origin, mut io) = origin(100).await;
        scope(None, async {
            abandoned();
            assert!(is_abandoned());
            let error = io.read(&mut [0; 1]).await.expect_err("nobody waits");
            assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        })
        .await;
        scope(None, async {
            on_header();
            abandoned();
            assert!(!is_abandoned());
        })
        .await;
        assert!(!is_abandoned());
    }

    #[tokio::test]
    async fn without_a_pace_nothing_is_held_back() {
        let (_origin, mut io) = origin(1 << 20).await;
        assert_eq!(read_in_a_turn(&mut io).await, 1 << 20);
    }
}
