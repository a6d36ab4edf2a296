//! The document first (rule 12): when a body may be sent.
//!
//! The h2 crate sends the streams of a connection in turn. The order is made before it: each stream asks
//! here before it hands over bytes. Documents (whatever the client asked for) may go when none that is more
//! urgent has bytes on the way, a push when no document and no more urgent push has.
//!
//! "On the way" needs a memory, since a body arrives from the origin in pieces and a stream between
//! two pieces is not idle, and since the h2 crate has a queue of its own. So a stream counts until
//! its END_STREAM is seen on its way out, or until it stays quiet longer than [`Patience`] has it: less
//! when it waits for the origin, more when it waits for the client's flow-control window. The second keeps
//! a client that reads its pushes before its document from waiting for ever.
//!
//! Reading order: [`SendOrder`] here, [`Lane`] (one stream's place in it).
//!
//! A connection without pushes pays a few atomic updates a response, no lock and no allocation.

mod lane;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

pub(super) use lane::Lane;

use super::documents::Documents;
use crate::push::Urgency;
use lane::LaneKind;

/// How long a stream that sends nothing still holds back what comes after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patience {
    /// One without bytes from the origin.
    pub(super) quiet: Duration,
    /// One whose client does not open its window.
    pub(super) stalled: Duration,
}

impl Default for Patience {
    /// - `quiet`: longer than the gaps of a busy origin and scheduler, no longer than an ordinary round trip.
    /// - `stalled`: a few long round trips.
    fn default() -> Self {
        Self {
            quiet: Duration::from_millis(50),
            stalled: Duration::from_millis(500),
        }
    }
}

impl Patience {
    /// How long a stream that made progress then is still waited for; `None` if it is not.
    pub(super) fn left(self, progress: Duration, stalled: bool, now: Duration) -> Option<Duration> {
        let patience = if stalled { self.stalled } else { self.quiet };
        progress
            .saturating_add(patience)
            .checked_sub(now)
            .filter(|left| !left.is_zero())
    }
}

/// Bytes of pushes that may wait in the h2 crate's queue: it sends streams in turn, so a document would
/// share the connection with what is there.
const MAX_QUEUED: usize = 16 * 1024;

/// Streams that the client may ask an urgency for before they take it (RFC 9218 section 7.1 lets it ask
/// before the request).
const MAX_ASKED: usize = 64;

/// How long an END_STREAM may wait to be seen.
const LOST: Duration = Duration::from_secs(5);

/// The order of one connection.
#[derive(Debug)]
pub(super) struct SendOrder {
    epoch: Instant,
    patience: Patience,
    documents: Documents,
    /// What the client asked for by PRIORITY_UPDATE, until its stream takes it.
    asked: Mutex<Vec<(u32, Urgency)>>,
    has_asked: AtomicBool,
    /// Promised streams that are not done: without any, nobody waits for a document.
    promised: AtomicUsize,
    pushes: Mutex<Vec<PushState>>,
    /// Streams whose END_STREAM waits in the h2 crate's queue.
    ending: Mutex<Vec<Ending>>,
    ending_count: AtomicUsize,
    waiting: AtomicUsize,
    changed: Notify,
}

#[derive(Debug)]
struct Ending {
    stream: u32,
    kind: LaneKind,
    since: Duration,
}

/// A promised stream, from its promise to its end.
#[derive(Debug)]
pub(super) struct PromisedStream(Arc<SendOrder>);

impl Drop for PromisedStream {
    fn drop(&mut self) {
        self.0.promised.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Debug, Clone, Copy)]
struct PushState {
    rank: Rank,
    progress: Duration,
    stalled: bool,
    /// It has bytes and waits for its own turn, so those behind it wait as well.
    waiting: bool,
    /// Bytes that wait in the h2 crate's queue.
    queued: usize,
    /// All of it was handed over.
    is_ending: bool,
}

/// The place of a push among the pushes of its connection: urgency, then order of promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    urgency: Urgency,
    stream: u32,
}

impl Rank {
    /// The rank of a promised stream; identifiers grow in the order of promise.
    pub(super) fn new(urgency: Urgency, stream: u32) -> Self {
        Self { urgency, stream }
    }
}

impl SendOrder {
    pub(super) fn new(patience: Patience) -> Arc<Self> {
        Arc::new(Self {
            epoch: Instant::now(),
            patience,
            documents: Documents::default(),
            asked: Mutex::new(Vec::new()),
            has_asked: AtomicBool::new(false),
            promised: AtomicUsize::new(0),
            pushes: Mutex::new(Vec::new()),
            ending: Mutex::new(Vec::new()),
            ending_count: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            changed: Notify::new(),
        })
    }

    /// A stream is promised. Must come before the header of its document.
    pub(super) fn promise(self: &Arc<Self>) -> PromisedStream {
        self.promised.fetch_add(1, Ordering::SeqCst);
        PromisedStream(Arc::clone(self))
    }

    /// The end of a stream is on its way out, or will never be sent.
    pub(super) fn ended(&self, stream: u32) {
        if self.ending_count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut ending = self.ending();
        let ended = ending
            .iter()
            .position(|e| e.stream == stream)
            .map(|at| ending.swap_remove(at));
        self.ending_count.store(ending.len(), Ordering::SeqCst);
        drop(ending);
        if let Some(ended) = ended {
            self.close(ended.kind, true);
        }
    }

    /// A stream that was reset just when it ended may have no END_STREAM to be seen.
    fn forget_lost_ends(&self, now: Duration) {
        if self.ending_count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let lost = self.ending().iter().find(|e| e.since + LOST < now).map(|e| e.stream);
        if let Some(stream) = lost {
            self.ended(stream);
        }
    }

    fn close(&self, kind: LaneKind, stalled: bool) {
        match kind {
            LaneKind::Document(urgency) => {
                if stalled {
                    self.documents.resume(urgency);
                }
                self.documents.close(urgency);
            }
            LaneKind::Push(rank) => self.pushes().retain(|push| push.rank != rank),
        }
        self.wake();
    }

    /// A document begins its body.
    pub(super) fn open_document(self: &Arc<Self>, urgency: Urgency) -> Lane {
        self.documents.open(urgency, self.now());
        Lane {
            order: Arc::clone(self),
            kind: Some(LaneKind::Document(urgency)),
            stalled: false,
        }
    }

    /// The client wants a stream to be sent with this urgency.
    pub(super) fn ask(&self, stream: u32, urgency: Urgency) {
        let mut asked = self.asked();
        asked.retain(|(other, _)| *other != stream);
        if asked.len() >= MAX_ASKED {
            asked.remove(0);
        }
        asked.push((stream, urgency));
        self.has_asked.store(true, Ordering::SeqCst);
        drop(asked);
        self.wake();
    }

    /// What the client has asked for this stream since it last was looked for.
    pub(super) fn asked_of(&self, stream: u32) -> Option<Urgency> {
        if !self.has_asked.load(Ordering::SeqCst) {
            return None;
        }
        let mut asked = self.asked();
        let at = asked.iter().position(|(other, _)| *other == stream)?;
        let (_, urgency) = asked.swap_remove(at);
        self.has_asked.store(!asked.is_empty(), Ordering::SeqCst);
        Some(urgency)
    }

    /// A push begins its body.
    pub(super) fn open_push(self: &Arc<Self>, rank: Rank) -> Lane {
        let progress = self.now();
        self.pushes().push(PushState {
            rank,
            progress,
            stalled: false,
            waiting: false,
            queued: 0,
            is_ending: false,
        });
        Lane {
            order: Arc::clone(self),
            kind: Some(LaneKind::Push(rank)),
            stalled: false,
        }
    }

    /// How long a stream has to wait if nothing changes; `None` if it may send now.
    fn wait_of(&self, kind: LaneKind) -> Option<Duration> {
        match kind {
            // The usual case, without a look at the clock.
            LaneKind::Document(urgency) if self.documents.are_none_before(Some(urgency)) => None,
            LaneKind::Document(_) | LaneKind::Push(_) => self.wait_at(self.now(), kind),
        }
    }

    fn wait_at(&self, now: Duration, kind: LaneKind) -> Option<Duration> {
        let rank = match kind {
            LaneKind::Document(urgency) => return self.documents.wait(Some(urgency), self.patience, now),
            LaneKind::Push(rank) => rank,
        };
        self.forget_lost_ends(now);
        let documents = self.documents.wait(None, self.patience, now);
        let pushes = self.pushes();
        // The h2 crate sends what it was given first, first: a frame of what ends needs not be waited for.
        let queued: usize = pushes.iter().map(|push| push.queued).sum();
        let is_room = queued < MAX_QUEUED;
        let before_it = pushes
            .iter()
            .filter(|push| push.rank < rank && !(push.is_ending && is_room));
        before_it
            .filter_map(|push| {
                let progress = if push.waiting { now } else { push.progress };
                self.patience.left(progress, push.stalled, now)
            })
            .chain((!is_room).then_some(self.patience.stalled))
            .chain(documents)
            .max()
    }

    /// Bytes of a promised stream are on their way out.
    pub(super) fn pushed(&self, stream: u32, bytes: usize) {
        if let Some(push) = self.pushes().iter_mut().find(|push| push.rank.stream == stream) {
            push.queued = push.queued.saturating_sub(bytes);
        }
        self.wake();
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn wake(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.changed.notify_waiters();
        }
    }

    fn pushes(&self) -> MutexGuard<'_, Vec<PushState>> {
        self.pushes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asked(&self) -> MutexGuard<'_, Vec<(u32, Urgency)>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ending(&self) -> MutexGuard<'_, Vec<Ending>> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
