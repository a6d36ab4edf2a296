//! An origin is read no faster than the client takes what came: `Pace`.
//!
//! Between the origin and the client Pingora 0.9.1 has a pipe of four pieces, takes another four out
//! of it at a time, and reads the next one ahead: with pieces of up to 64 KiB over half a megabyte
//! for every response that a client does not read. Its sizes cannot be set. But both ends of the pipe
//! run in the task of the request, so the one that reads (a `Paced` connection) can be told by the one that
//! writes (the client's session) how much it may.
//!
//! - Until the session has [seen](on_header) the response header, one read a turn of the task, so that the
//!   pipe is not filled before anybody knows.
//! - From then on what is [granted](grant), once all that came before was passed on: more while few responses
//!   are under way, less when there are many, so that all together have their bounds.
//! - While at most `UNPACED_RESPONSES` are under way, nothing is held back: the pipe costs less CPU when it is full.
//! - Nobody waits for a session that takes no more: it [releases](release) the pace, as where a cache goes
//!   on to be filled.
//!
//! Without a pace (HTTP/1.x clients, requests of a cache's own) nothing is held back, but by the
//! [valve](crate::backpressure::Valve) of what is stored as it comes.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    future::{Future, poll_fn},
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use tokio::{task::futures::TaskLocalFuture, time::sleep};

/// What all responses of the process together are granted, as long as it is enough for [`MIN_GRANT`] each.
/// Of each as much again stays in Pingora's buffer.
const ALL_GRANTS: usize = 8 * 1024 * 1024;

/// Responses of the process that may fill Pingora's pipe: 20 MB at most.
const UNPACED_RESPONSES: usize = 32;

/// The least that is granted at a time: one frame. Half of it would cost a fifth more CPU for bytes
/// in bulk, and [`MAX_GRANT`] a fifth less.
const MIN_GRANT: usize = 16 * 1024;

/// The most. Pingora has a buffer of 64 KiB for each response, of which no more is ever used than a grant; so
/// what is behind never becomes resident, as long as nothing else of that size is allocated and used in full.
const MAX_GRANT: usize = 48 * 1024;

/// How long a client may make a session wait before bytes trickle: far less than limits on reads are.
pub(in crate::upstream) const TRICKLE_DELAY: Duration = Duration::from_millis(250);

/// Responses of the process that are read by grants; memory is shared by all of it.
static GRANTED: AtomicUsize = AtomicUsize::new(0);

tokio::task_local! {
    static PACE: Pace;
}

/// How fast the origin of one request may be read.
#[derive(Debug)]
struct Pace {
    phase: Cell<Phase>,
    /// Whoever would read on.
    waiting: RefCell<Option<Waker>>,
    /// When the request came, if it had to wait before it began.
    arrived: Option<Instant>,
    /// The session waits for the client, and grants a little more when all that was granted is read.
    is_trickling: Cell<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The response header has not been passed on.
    Header {
        /// Something was read in this turn of the task.
        has_read: bool,
    },
    /// So many bytes may be read.
    Granted(usize),
    /// Whatever comes.
    Open,
    /// Nothing more: nobody waits for the response.
    Abandoned,
}

impl Pace {
    /// How many bytes may be read now; `None` is no limit. At 0 the task is woken when there are more.
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
                    // The session is in the same task.
                    cx.waker().wake_by_ref();
                }
            }
            Phase::Header { .. } => self.phase.set(Phase::Header { has_read: true }),
        }
    }

    fn set(&self, phase: Phase) {
        if self.phase.get() == Phase::Abandoned {
            // Whatever else comes, nobody waits.
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

/// Runs a request whose client has a session that grants. One that had to wait before it began says when it
/// [arrived].
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

/// Returns when the request of this task came, if it had to wait before it began: the access line tells what the client
/// saw. It rides here, as a place of its own beside each request would cost more than all else of the wait.
pub fn arrived() -> Option<Instant> {
    PACE.try_with(|pace| pace.arrived).ok().flatten()
}

/// What came of a response is being passed on: nothing more may be read until that is [done](grant).
pub fn on_header() {
    let _ = PACE.try_with(|pace| {
        if matches!(pace.phase.get(), Phase::Header { .. }) {
            pace.set(Phase::Granted(if is_unpaced() { usize::MAX } else { 0 }));
        }
    });
}

/// All that came of a response was passed on: the next bytes may be read.
pub fn grant() {
    // Outside of a request there is nothing to grant.
    let _ = PACE.try_with(|pace| {
        if pace.phase.get() != Phase::Open {
            pace.set(Phase::Granted(share_of(GRANTED.load(Ordering::Relaxed))));
        }
    });
}

fn is_unpaced() -> bool {
    GRANTED.load(Ordering::Relaxed) <= UNPACED_RESPONSES
}

/// What each of so many responses is granted.
fn share_of(responses: usize) -> usize {
    if responses <= UNPACED_RESPONSES {
        return usize::MAX;
    }
    (ALL_GRANTS / responses.max(1)).clamp(MIN_GRANT, MAX_GRANT)
}

/// Runs while the client makes the session wait, and never resolves: Pingora's limit on reads must not pass, since the
/// origin is not to blame. After a while a byte at a time fills the pipe up to where Pingora waits without a limit.
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

/// The session takes no more.
pub fn release() {
    let _ = PACE.try_with(|pace| pace.set(Phase::Open));
}

/// The client has left before the response began: the origin is not read any more, and its connection ends. Pingora would let a
/// response that may be stored come to its end, however long the origin thinks.
pub fn abandoned() {
    let _ = PACE.try_with(|pace| {
        if matches!(pace.phase.get(), Phase::Header { .. }) {
            pace.set(Phase::Abandoned);
        }
    });
}

/// Whether that has happened to the request of this task.
pub fn is_abandoned() -> bool {
    PACE.try_with(|pace| pace.phase.get() == Phase::Abandoned)
        .unwrap_or(false)
}

/// How many bytes the request of this task may read now; `None` is no limit. At 0 the task is woken when there are more.
pub(in crate::upstream) fn allowance(cx: &Context<'_>) -> Option<usize> {
    PACE.try_with(|pace| pace.allowance(cx)).ok().flatten()
}

/// The request of this task has read so many bytes.
pub(in crate::upstream) fn count_read(bytes: usize, cx: &Context<'_>) {
    let _ = PACE.try_with(|pace| pace.count_read(bytes, cx));
}

#[cfg(test)]
mod tests {
    use std::{io, pin::Pin};

    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf, duplex};

    use super::{super::paced::Paced, *};

    /// Reads what can be read in one turn of the task.
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

    /// So many others that each is granted the least.
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
    async fn the_origin_is_read_as_the_client_takes_what_came() {
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
    async fn while_the_client_waits_bytes_trickle_until_nobody_reads_them() {
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
    async fn an_origin_is_left_only_before_its_response_begins() {
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
