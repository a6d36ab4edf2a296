//! The document first (rule 12): when a pushed body may be sent.
//!
//! The h2 crate sends the streams of a connection in turn. The order is made before it: documents
//! (whatever the client asked for) hand it their bytes at once, a pushed stream asks here before
//! each chunk. It may go when no document and no more urgent push has bytes on the way.
//!
//! "On the way" needs a memory, since a body arrives from the origin in pieces and a stream between
//! two pieces is not idle, and since the h2 crate has a queue of its own. So a stream counts until
//! its END_STREAM is seen on its way out, or until it stays quiet: for [`QUIET`] when it waits for
//! the origin, for [`STALLED`] when it waits for the client's flow-control window. The second keeps a
//! client that reads its pushes before its document from waiting for ever.
//!
//! A connection without pushes pays a few atomic updates a response, no lock and no allocation.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::push::Urgency;

/// How long a stream without bytes from the origin still holds back what comes after it.
///
/// Longer than the gaps of a busy origin and scheduler, no longer than an ordinary round trip.
const QUIET: Duration = Duration::from_millis(50);

/// The same for a stream whose client does not open its window: a few long round trips.
const STALLED: Duration = Duration::from_millis(500);

/// How long an END_STREAM may wait to be seen.
const LOST: Duration = Duration::from_secs(5);

/// The order of one connection.
#[derive(Debug)]
pub(super) struct SendOrder {
    epoch: Instant,
    documents: AtomicUsize,
    stalled_documents: AtomicUsize,
    /// Milliseconds from `epoch` to the last time a document made progress.
    document_progress: AtomicU64,
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
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            epoch: Instant::now(),
            documents: AtomicUsize::new(0),
            stalled_documents: AtomicUsize::new(0),
            document_progress: AtomicU64::new(0),
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
            LaneKind::Document => {
                if stalled {
                    self.stalled_documents.fetch_sub(1, Ordering::SeqCst);
                }
                self.documents.fetch_sub(1, Ordering::SeqCst);
            }
            LaneKind::Push(rank) => self.pushes().retain(|push| push.rank != rank),
        }
        self.wake();
    }

    /// A document begins its body.
    pub(super) fn open_document(self: &Arc<Self>) -> Lane {
        self.note_document_progress();
        self.documents.fetch_add(1, Ordering::SeqCst);
        Lane {
            order: Arc::clone(self),
            kind: Some(LaneKind::Document),
            stalled: false,
        }
    }

    /// A push begins its body.
    pub(super) fn open_push(self: &Arc<Self>, rank: Rank) -> Lane {
        let progress = self.now();
        self.pushes().push(PushState {
            rank,
            progress,
            stalled: false,
            waiting: false,
        });
        Lane {
            order: Arc::clone(self),
            kind: Some(LaneKind::Push(rank)),
            stalled: false,
        }
    }

    /// How long the push at `rank` has to wait if nothing changes; `None` if it may send now.
    fn wait_of(&self, rank: Rank) -> Option<Duration> {
        let now = self.now();
        self.forget_lost_ends(now);
        let left = |progress: Duration, stalled: bool| {
            let patience = if stalled { STALLED } else { QUIET };
            (progress + patience).checked_sub(now).filter(|left| !left.is_zero())
        };
        let documents = if self.documents.load(Ordering::SeqCst) == 0 {
            None
        } else {
            let progress = Duration::from_millis(self.document_progress.load(Ordering::SeqCst));
            left(progress, self.stalled_documents.load(Ordering::SeqCst) > 0)
        };
        let pushes = self.pushes();
        let before_it = pushes.iter().filter(|push| push.rank < rank);
        before_it
            .filter_map(|push| left(if push.waiting { now } else { push.progress }, push.stalled))
            .chain(documents)
            .max()
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn note_document_progress(&self) {
        let millis = u64::try_from(self.now().as_millis()).unwrap_or(u64::MAX);
        self.document_progress.store(millis, Ordering::SeqCst);
    }

    fn wake(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.changed.notify_waiters();
        }
    }

    fn pushes(&self) -> MutexGuard<'_, Vec<PushState>> {
        self.pushes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ending(&self) -> MutexGuard<'_, Vec<Ending>> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream with a body under way; leaves the order when dropped.
#[derive(Debug)]
pub(super) struct Lane {
    order: Arc<SendOrder>,
    /// `None` once the order itself waits for the end.
    kind: Option<LaneKind>,
    stalled: bool,
}

#[derive(Debug, Clone, Copy)]
enum LaneKind {
    Document,
    Push(Rank),
}

impl Lane {
    /// The order it belongs to.
    pub(super) fn order(&self) -> Arc<SendOrder> {
        Arc::clone(&self.order)
    }

    /// Bytes of the stream were handed over for sending.
    pub(super) fn progress(&mut self) {
        match self.kind {
            None => {}
            Some(LaneKind::Document) => self.order.note_document_progress(),
            Some(LaneKind::Push(rank)) => {
                let now = self.order.now();
                self.update(rank, |push| push.progress = now);
            }
        }
    }

    /// The stream has bytes but no window, or has a window again.
    pub(super) fn set_stalled(&mut self, stalled: bool) {
        if self.stalled == stalled {
            return;
        }
        self.stalled = stalled;
        match self.kind {
            None => {}
            Some(LaneKind::Document) if stalled => {
                self.order.stalled_documents.fetch_add(1, Ordering::SeqCst);
            }
            Some(LaneKind::Document) => {
                self.order.stalled_documents.fetch_sub(1, Ordering::SeqCst);
            }
            Some(LaneKind::Push(rank)) => self.update(rank, |push| push.stalled = stalled),
        }
        if !stalled {
            self.order.wake();
        }
    }

    /// The last bytes of a stream are about to be handed over; it counts until they are sent.
    ///
    /// Must come before they are handed over, else their END_STREAM could be seen before.
    pub(super) fn end(mut self, stream: u32) {
        if self.order.promised.load(Ordering::SeqCst) == 0 {
            return;
        }
        self.progress();
        self.set_stalled(true);
        if let Some(kind) = self.kind.take() {
            let mut ending = self.order.ending();
            let since = self.order.now();
            ending.push(Ending { stream, kind, since });
            self.order.ending_count.store(ending.len(), Ordering::SeqCst);
        }
    }

    /// Whether this stream may send now. Documents always may.
    pub(super) fn may_send(&self) -> bool {
        match self.kind {
            Some(LaneKind::Push(rank)) => self.order.wait_of(rank).is_none(),
            _ => true,
        }
    }

    /// Waits until this stream may send. Never waits for a document.
    pub(super) async fn turn(&self) {
        let Some(LaneKind::Push(rank)) = self.kind else { return };
        if self.order.wait_of(rank).is_none() {
            return;
        }
        let _waiting = Waiting::new(self, rank);
        loop {
            let mut changed = pin!(self.order.changed.notified());
            changed.as_mut().enable();
            let Some(wait) = self.order.wait_of(rank) else { return };
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn update(&self, rank: Rank, change: impl FnOnce(&mut PushState)) {
        if let Some(push) = self.order.pushes().iter_mut().find(|push| push.rank == rank) {
            change(push);
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(kind) = self.kind {
            self.order.close(kind, self.stalled);
        }
    }
}

/// A push that waits for its turn.
struct Waiting<'a> {
    lane: &'a Lane,
    rank: Rank,
}

impl<'a> Waiting<'a> {
    fn new(lane: &'a Lane, rank: Rank) -> Self {
        lane.order.waiting.fetch_add(1, Ordering::SeqCst);
        lane.update(rank, |push| push.waiting = true);
        Self { lane, rank }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let now = self.lane.order.now();
        self.lane.update(self.rank, |push| {
            push.waiting = false;
            push.progress = now;
        });
        self.lane.order.waiting.fetch_sub(1, Ordering::SeqCst);
        self.lane.order.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::Destination;

    fn rank(destination: Destination, stream: u32) -> Rank {
        Rank::new(Urgency::of(Some(destination), None), stream)
    }

    #[test]
    fn a_push_waits_for_the_document_to_end() {
        let order = SendOrder::new();
        let push = order.open_push(rank(Destination::Style, 2));
        assert!(push.may_send());
        let document = order.open_document();
        assert!(!push.may_send());
        assert!(document.may_send());
        drop(document);
        assert!(push.may_send());
    }

    #[test]
    fn a_document_counts_until_its_end_is_sent() {
        let order = SendOrder::new();
        let promised = order.promise();
        let push = order.open_push(rank(Destination::Style, 2));
        order.open_document().end(1);
        assert!(!push.may_send(), "the end waits in a queue");
        order.ended(3);
        assert!(!push.may_send(), "that was another stream");
        order.ended(1);
        assert!(push.may_send());
        drop(promised);
    }

    #[test]
    fn without_promises_nothing_is_kept() {
        let order = SendOrder::new();
        order.open_document().end(1);
        assert_eq!((order.documents.load(Ordering::SeqCst), order.ending().len()), (0, 0));
    }

    #[test]
    fn pushes_go_one_after_another_by_urgency() {
        let order = SendOrder::new();
        let image = order.open_push(rank(Destination::Image, 2));
        let second = order.open_push(rank(Destination::Style, 6));
        let first = order.open_push(rank(Destination::Style, 4));
        assert_eq!([&first, &second, &image].map(Lane::may_send), [true, false, false]);
        drop(first);
        assert_eq!([&second, &image].map(Lane::may_send), [true, false]);
        drop(second);
        assert!(image.may_send());
    }

    #[tokio::test(start_paused = false)]
    async fn a_waiting_push_is_woken_when_the_document_ends() {
        let order = SendOrder::new();
        let push = order.open_push(rank(Destination::Style, 2));
        let document = order.open_document();
        let waiting = tokio::spawn(async move { push.turn().await });
        while order.waiting.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        drop(document);
        tokio::time::timeout(Duration::from_secs(5), waiting)
            .await
            .expect("woken within the deadline")
            .expect("no panic");
    }

    #[test]
    fn a_push_that_waits_for_its_turn_holds_back_those_behind_it() {
        let order = SendOrder::new();
        let image = order.open_push(rank(Destination::Image, 2));
        let script = order.open_push(rank(Destination::Script, 4));
        let Some(LaneKind::Push(script_rank)) = script.kind else {
            unreachable!("a push")
        };
        script.update(script_rank, |push| push.progress = Duration::ZERO);
        let old = order.now() + QUIET;
        while order.now() < old {
            std::hint::spin_loop();
        }
        assert!(image.may_send(), "the script has been quiet");
        let waiting = Waiting::new(&script, script_rank);
        assert!(!image.may_send(), "the script has bytes");
        drop(waiting);
        assert!(!image.may_send(), "the script sends");
    }

    #[tokio::test]
    async fn a_quiet_document_holds_nothing_back_for_long() {
        let order = SendOrder::new();
        let push = order.open_push(rank(Destination::Style, 2));
        let _document = order.open_document();
        let started = Instant::now();
        tokio::time::timeout(Duration::from_secs(5), push.turn())
            .await
            .expect("the push goes when the document stays quiet");
        assert!(started.elapsed() >= Duration::from_millis(10), "it did wait");
    }

    #[test]
    fn a_stalled_document_is_waited_for_longer_than_a_quiet_one() {
        let order = SendOrder::new();
        let mut document = order.open_document();
        document.set_stalled(true);
        let wait = order.wait_of(rank(Destination::Style, 2)).expect("it waits");
        assert!(wait > QUIET && wait <= STALLED, "{wait:?}");
        document.set_stalled(false);
        let wait = order.wait_of(rank(Destination::Style, 2)).expect("it waits");
        assert!(wait <= QUIET, "{wait:?}");
    }
}
