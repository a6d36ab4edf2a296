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
//! A connection without pushes pays a few atomic updates a response, no lock and no allocation.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::documents::Documents;
use crate::push::Urgency;

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
    Document(Urgency),
    Push(Rank),
}

impl Lane {
    /// The order it belongs to.
    pub(super) fn order(&self) -> Arc<SendOrder> {
        Arc::clone(&self.order)
    }

    /// Bytes of the stream are about to be handed over for sending.
    ///
    /// Must come before they are, else they could be seen before.
    pub(super) fn queue(&mut self, bytes: usize) {
        match self.kind {
            None => {}
            Some(LaneKind::Document(urgency)) => self.order.documents.progress(urgency, self.order.now()),
            Some(LaneKind::Push(rank)) => {
                let now = self.order.now();
                self.update(rank, |push| {
                    push.progress = now;
                    push.queued += bytes;
                });
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
            Some(LaneKind::Document(urgency)) if stalled => self.order.documents.stall(urgency),
            Some(LaneKind::Document(urgency)) => self.order.documents.resume(urgency),
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
        self.queue(0);
        self.set_stalled(true);
        if let Some(kind) = self.kind.take() {
            if let LaneKind::Push(rank) = kind {
                self.update(rank, |push| push.is_ending = true);
            }
            let mut ending = self.order.ending();
            let since = self.order.now();
            ending.push(Ending { stream, kind, since });
            self.order.ending_count.store(ending.len(), Ordering::SeqCst);
        }
    }

    /// What the client has asked for a stream since this was last looked for.
    pub(super) fn asked_of(&self, stream: u32) -> Option<Urgency> {
        self.order.asked_of(stream)
    }

    /// The client has asked for another urgency of a document that is under way.
    pub(super) fn ask(&mut self, urgency: Urgency) {
        let Some(LaneKind::Document(old)) = self.kind else {
            return;
        };
        let documents = &self.order.documents;
        documents.open(urgency, self.order.now());
        if self.stalled {
            documents.stall(urgency);
            documents.resume(old);
        }
        documents.close(old);
        self.kind = Some(LaneKind::Document(urgency));
        self.order.wake();
    }

    /// Whether this stream may send now.
    pub(super) fn may_send(&self) -> bool {
        self.kind.is_none_or(|kind| self.order.wait_of(kind).is_none())
    }

    /// Waits until this stream may send.
    pub(super) async fn turn(&self) {
        let Some(kind) = self.kind else { return };
        if self.order.wait_of(kind).is_none() {
            return;
        }
        let _waiting = Waiting::new(self, kind);
        loop {
            let mut changed = pin!(self.order.changed.notified());
            changed.as_mut().enable();
            let Some(wait) = self.order.wait_of(kind) else { return };
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

/// A stream that waits for its turn.
struct Waiting<'a> {
    lane: &'a Lane,
    kind: LaneKind,
}

impl<'a> Waiting<'a> {
    fn new(lane: &'a Lane, kind: LaneKind) -> Self {
        lane.order.waiting.fetch_add(1, Ordering::SeqCst);
        if let LaneKind::Push(rank) = kind {
            lane.update(rank, |push| push.waiting = true);
        }
        Self { lane, kind }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let LaneKind::Push(rank) = self.kind {
            let now = self.lane.order.now();
            self.lane.update(rank, |push| {
                push.waiting = false;
                push.progress = now;
            });
        }
        self.lane.order.waiting.fetch_sub(1, Ordering::SeqCst);
        self.lane.order.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::Destination;

    /// For what must not depend on the time that a test takes.
    const LONG: Patience = Patience {
        quiet: Duration::from_secs(3600),
        stalled: Duration::from_secs(7200),
    };

    fn rank(destination: Destination, stream: u32) -> Rank {
        Rank::new(Urgency::of(Some(destination), None), stream)
    }

    #[test]
    fn a_push_waits_for_the_document_to_end() {
        let order = SendOrder::new(LONG);
        let push = order.open_push(rank(Destination::Style, 2));
        assert!(push.may_send());
        let document = order.open_document(Urgency::default());
        assert!(!push.may_send());
        assert!(document.may_send());
        drop(document);
        assert!(push.may_send());
    }

    #[test]
    fn a_less_urgent_document_waits_for_a_more_urgent_one() {
        let order = SendOrder::new(LONG);
        let urgency = |n: u8| Urgency::asked(format!("u={n}").as_bytes()).expect("an urgency");
        let mut page = order.open_document(urgency(0));
        let image = order.open_document(urgency(5));
        let other = order.open_document(urgency(5));
        let push = order.open_push(rank(Destination::Style, 2));
        assert_eq!(
            [&page, &image, &other, &push].map(Lane::may_send),
            [true, false, false, false]
        );
        page.ask(urgency(7));
        assert_eq!(
            [&page, &image, &other, &push].map(Lane::may_send),
            [false, true, true, false]
        );
        drop((image, other));
        assert_eq!([&page, &push].map(Lane::may_send), [true, false]);
    }

    #[test]
    fn what_the_client_asks_for_is_kept_until_it_is_looked_for() {
        let order = SendOrder::new(LONG);
        let urgency = Urgency::asked(b"u=1").expect("an urgency");
        for stream in 0..100 {
            order.ask(stream, urgency);
        }
        assert_eq!(order.asked_of(1), None, "the oldest are forgotten");
        assert_eq!(order.asked_of(99), Some(urgency));
        assert_eq!(order.asked_of(99), None);
        assert_eq!(order.asked().len(), MAX_ASKED - 1);
    }

    #[test]
    fn a_document_counts_until_its_end_is_sent() {
        let order = SendOrder::new(LONG);
        let promised = order.promise();
        let push = order.open_push(rank(Destination::Style, 2));
        order.open_document(Urgency::default()).end(1);
        assert!(!push.may_send(), "the end waits in a queue");
        order.ended(3);
        assert!(!push.may_send(), "that was another stream");
        order.ended(1);
        assert!(push.may_send());
        drop(promised);
    }

    #[test]
    fn without_promises_nothing_is_kept() {
        let order = SendOrder::new(LONG);
        order.open_document(Urgency::default()).end(1);
        assert!(order.documents.are_none_before(None));
        assert!(order.ending().is_empty());
    }

    #[test]
    fn pushes_go_one_after_another_by_urgency() {
        let order = SendOrder::new(LONG);
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
        let order = SendOrder::new(LONG);
        let push = order.open_push(rank(Destination::Style, 2));
        let document = order.open_document(Urgency::default());
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
        let order = SendOrder::new(LONG);
        let image = rank(Destination::Image, 2);
        let _image = order.open_push(image);
        let script_rank = rank(Destination::Script, 4);
        let script = order.open_push(script_rank);
        let later = order.now() + LONG.quiet;
        assert_eq!(
            order.wait_at(later, LaneKind::Push(image)),
            None,
            "the script has been quiet"
        );
        let waiting = Waiting::new(&script, LaneKind::Push(script_rank));
        assert!(
            order.wait_at(later, LaneKind::Push(image)).is_some(),
            "the script has bytes"
        );
        drop(waiting);
        assert!(order.wait_of(LaneKind::Push(image)).is_some(), "the script sends");
    }

    #[test]
    fn a_push_waits_until_what_was_handed_over_before_is_on_its_way() {
        let order = SendOrder::new(LONG);
        let (first, second) = (rank(Destination::Style, 2), rank(Destination::Style, 4));
        let promised = order.promise();
        let mut sending = order.open_push(first);
        let _behind = order.open_push(second);
        sending.queue(MAX_QUEUED);
        assert!(
            order.wait_of(LaneKind::Push(first)).is_some(),
            "its own bytes wait in the queue"
        );
        order.pushed(2, MAX_QUEUED / 2);
        assert_eq!(order.wait_of(LaneKind::Push(first)), None);
        sending.end(2);
        assert_eq!(
            order.wait_of(LaneKind::Push(second)),
            None,
            "the end of the first is before it in the queue"
        );
        drop(promised);
    }

    #[tokio::test]
    async fn a_quiet_document_holds_nothing_back_for_long() {
        let order = SendOrder::new(Patience::default());
        let push = order.open_push(rank(Destination::Style, 2));
        let _document = order.open_document(Urgency::default());
        let started = Instant::now();
        tokio::time::timeout(Duration::from_secs(5), push.turn())
            .await
            .expect("the push goes when the document stays quiet");
        assert!(started.elapsed() >= Duration::from_millis(10), "it did wait");
    }

    #[test]
    fn a_stalled_document_is_waited_for_longer_than_a_quiet_one() {
        let order = SendOrder::new(LONG);
        let mut document = order.open_document(Urgency::default());
        document.set_stalled(true);
        let wait = order
            .wait_of(LaneKind::Push(rank(Destination::Style, 2)))
            .expect("it waits");
        assert!(wait > LONG.quiet && wait <= LONG.stalled, "{wait:?}");
        document.set_stalled(false);
        let wait = order
            .wait_of(LaneKind::Push(rank(Destination::Style, 2)))
            .expect("it waits");
        assert!(wait <= LONG.quiet, "{wait:?}");
    }
}
