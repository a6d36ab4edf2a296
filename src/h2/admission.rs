//! Which requests begin at once, and which wait while others are finished: [`Admission`].
//!
//! A request under Pingora's proxy keeps some tens of kilobytes in use. With hundreds of them begun, a processor that
//! has more to do than it can finds none of that in its caches, and each costs half as much again. So what
//! was begun is finished first; a request that waits is its header, and what the client has sent of its content.
//!
//! - While [few](FEW) of the requests that began [lately](LATELY) are at work, the next one begins at once. A
//!   slow origin, a slow client and an answer that never ends do not count for long.
//! - Otherwise it waits for its turn, which comes when only [some](LOW) are left, or when it is not those that keep
//!   the processor busy: it has [little](SHORT) to do, or does something else [most](SHARE) of the time. Then
//!   [several](AT_ONCE) connections have their turn with each turn of the run queue.
//! - While they do keep it busy, one begins [every so often](PATIENCE) all the same.
//!
//! Connections on HTTP/2 have their turns in the order in which they began to wait, each for a [batch](BATCH) of
//! requests: answers that are ready at the same time leave in one write. HTTP/1.x has one request a connection, and
//! does not wait.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::Notify, task::yield_now};

/// Requests at work that others need not wait for, for each thread.
const FEW: usize = 24;

/// When so many are left, others begin.
const LOW: usize = 12;

/// The most requests that one connection begins in a turn.
const BATCH: usize = 16;

/// A run queue that takes no longer than this has little to do: a few requests.
const SHORT: Duration = Duration::from_micros(50);

/// Requests that began lately have at least this part of the processors before others wait for them: one in so many.
/// What their connections do for them, encoding and writing, is not theirs.
const SHARE: u32 = 4;

/// Connections that have their turn then.
const AT_ONCE: usize = 4;

/// Otherwise one connection for each thread has its turn in this time.
const PATIENCE: Duration = Duration::from_millis(2);

/// A request counts for once to twice this time.
const LATELY: Duration = Duration::from_millis(128);

/// Says which requests begin. All HTTP/2 connections of a process share one, as they share its processors.
#[derive(Debug)]
pub struct Admission {
    threads: usize,
    lately: Mutex<Lately>,
    /// Connections that wait.
    waiting: AtomicUsize,
    /// The task that gives turns runs.
    is_turning: AtomicBool,
    /// Nanoseconds for which requests that began lately had a processor, while somebody waited.
    busy: AtomicU64,
    turns: Notify,
}

/// Requests at work, by when they began.
#[derive(Debug)]
struct Lately {
    generation: u64,
    since: Instant,
    /// Of this generation.
    young: usize,
    /// Of the one before.
    old: usize,
}

/// One request at work, until dropped.
#[derive(Debug)]
pub(super) struct AtWork {
    admission: Arc<Admission>,
    began: Instant,
    generation: u64,
}

/// One connection that waits, until dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Admission {
    /// For a server with so many threads.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        Self {
            threads: threads.max(1),
            lately: Mutex::new(Lately {
                generation: 0,
                since: Instant::now(),
                young: 0,
                old: 0,
            }),
            waiting: AtomicUsize::new(0),
            is_turning: AtomicBool::new(false),
            busy: AtomicU64::new(0),
            turns: Notify::new(),
        }
    }

    /// Begins a request, whatever else is at work.
    pub(super) fn begin(self: &Arc<Self>) -> AtWork {
        self.count(&mut self.lately(), Instant::now())
    }

    /// Begins a request that need not wait.
    pub(super) fn try_begin(self: &Arc<Self>) -> Option<AtWork> {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let mut lately = self.lately();
        let now = Instant::now();
        (lately.at_work(now) < FEW * self.threads).then(|| self.count(&mut lately, now))
    }

    fn count(self: &Arc<Self>, lately: &mut Lately, now: Instant) -> AtWork {
        AtWork {
            admission: Arc::clone(self),
            began: now,
            generation: lately.begin(now),
        }
    }

    /// Waits until a connection may begin requests: so many.
    pub(super) async fn turn(self: Arc<Self>) -> usize {
        let waiting = Waiting::new(&self.waiting);
        if !self.is_turning.swap(true, Ordering::SeqCst) {
            tokio::spawn(Arc::clone(&self).give_turns());
        }
        self.turns.notified().await;
        drop(waiting);
        let at_work = self.lately().at_work(Instant::now());
        (FEW * self.threads).saturating_sub(at_work).clamp(1, BATCH)
    }

    /// Gives a turn that was of no use to the next connection.
    pub(super) fn pass_on(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.turns.notify_one();
        }
    }

    /// Gives turns for as long as anybody waits.
    async fn give_turns(self: Arc<Self>) {
        let mut last = Instant::now();
        loop {
            let since = Instant::now();
            let busy = self.busy.load(Ordering::Relaxed);
            yield_now().await;
            let now = Instant::now();
            if self.waiting.load(Ordering::SeqCst) == 0 {
                self.is_turning.store(false, Ordering::SeqCst);
                let is_over = self.waiting.load(Ordering::SeqCst) == 0 || self.is_turning.swap(true, Ordering::SeqCst);
                if is_over {
                    return;
                }
            }
            let took = now.duration_since(since);
            let busy = Duration::from_nanos(self.busy.load(Ordering::Relaxed).wrapping_sub(busy));
            let connections = if took <= SHORT || !self.keep_busy(busy, took) {
                AT_ONCE
            } else if now.duration_since(last) >= PATIENCE {
                self.threads
            } else {
                usize::from(self.lately().at_work(now) <= LOW * self.threads)
            };
            for _ in 0..connections.min(self.waiting.load(Ordering::SeqCst)) {
                last = now;
                self.turns.notify_one();
            }
        }
    }

    /// Whether requests that had a processor for `busy` of this time have their share of all.
    fn keep_busy(&self, busy: Duration, took: Duration) -> bool {
        let threads = u32::try_from(self.threads).unwrap_or(u32::MAX);
        busy.saturating_mul(SHARE) >= took.saturating_mul(threads)
    }

    fn lately(&self) -> MutexGuard<'_, Lately> {
        self.lately.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AtWork {
    /// Carries out the work of the request.
    pub(super) async fn spend<F: Future>(self, work: F) -> F::Output {
        let mut work = pin!(work);
        let admission = &self.admission;
        poll_fn(|cx| {
            if !admission.is_turning.load(Ordering::Relaxed) {
                return work.as_mut().poll(cx);
            }
            let since = Instant::now();
            let polled = work.as_mut().poll(cx);
            if since.duration_since(self.began) < 2 * LATELY {
                let spent = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
                admission.busy.fetch_add(spent, Ordering::Relaxed);
            }
            polled
        })
        .await
    }
}

impl Lately {
    /// Requests that began lately and are at work.
    fn at_work(&mut self, now: Instant) -> usize {
        self.advance(now);
        self.young + self.old
    }

    /// Counts one, which is of the generation that is returned.
    fn begin(&mut self, now: Instant) -> u64 {
        self.advance(now);
        self.young += 1;
        self.generation
    }

    fn end(&mut self, generation: u64) {
        if generation == self.generation {
            self.young -= 1;
        } else if generation + 1 == self.generation {
            self.old -= 1;
        }
    }

    fn advance(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since);
        if passed < LATELY {
            return;
        }
        if passed < 2 * LATELY {
            self.generation += 1;
            self.old = self.young;
        } else {
            self.generation += 2;
            self.old = 0;
        }
        self.young = 0;
        self.since = now;
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let admission = &self.admission;
        let mut lately = admission.lately();
        lately.end(self.generation);
        let left = lately.young + lately.old;
        drop(lately);
        if left <= LOW * admission.threads {
            admission.pass_on();
        }
    }
}

impl<'a> Waiting<'a> {
    fn new(number: &'a AtomicUsize) -> Self {
        number.fetch_add(1, Ordering::SeqCst);
        Self(number)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, task::Poll};

    use tokio::time::timeout;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    fn busy(number: usize) -> (Arc<Admission>, Vec<AtWork>) {
        let admission = Arc::new(Admission::new(1));
        let at_work = (0..number).map(|_| admission.begin()).collect();
        (admission, at_work)
    }

    async fn is_pending(turn: std::pin::Pin<&mut impl Future<Output = usize>>) -> bool {
        let mut turn = Some(turn);
        poll_fn(|cx| Poll::Ready(turn.take().is_some_and(|turn| turn.poll(cx).is_pending()))).await
    }

    #[tokio::test]
    async fn a_few_requests_begin_at_once() {
        let (admission, at_work) = busy(0);
        let begun: Vec<_> = std::iter::from_fn(|| admission.try_begin()).take(1000).collect();
        assert_eq!(begun.len(), FEW);
        drop((begun, at_work));
        assert!(admission.try_begin().is_some());
    }

    #[tokio::test]
    async fn the_others_begin_when_some_are_left_and_not_before_those_that_wait() {
        let (admission, mut at_work) = busy(FEW);
        let mut turn = pin!(Arc::clone(&admission).turn());
        assert!(is_pending(turn.as_mut()).await);
        at_work.truncate(LOW + 1);
        assert!(is_pending(turn.as_mut()).await);
        assert!(admission.try_begin().is_none(), "somebody waits");
        at_work.truncate(LOW);
        let mut number = 0;
        poll_fn(|cx| match turn.as_mut().poll(cx) {
            Poll::Ready(turn) => {
                number = turn;
                Poll::Ready(())
            }
            Poll::Pending => unreachable!("it is its turn"),
        })
        .await;
        assert_eq!(number, FEW - LOW);
        assert!(admission.try_begin().is_some());
    }

    #[tokio::test]
    async fn a_processor_with_time_lets_all_begin() {
        let (admission, _at_work) = busy(10 * FEW);
        for _ in 0..100 {
            let turn = timeout(DEADLINE, Arc::clone(&admission).turn()).await;
            assert_eq!(turn.expect("a turn"), 1);
        }
    }

    /// Keeps the processor busy, each time for longer than a short turn, and counts the times.
    async fn toil(times: &Cell<usize>) {
        loop {
            let since = Instant::now();
            while since.elapsed() < SHORT * 4 {}
            times.set(times.get() + 1);
            yield_now().await;
        }
    }

    /// A connection has its turn so many times.
    async fn turns(admission: &Arc<Admission>, number: usize) {
        for _ in 0..number {
            timeout(DEADLINE, Arc::clone(admission).turn()).await.expect("a turn");
        }
    }

    #[tokio::test]
    async fn while_requests_keep_the_processor_busy_one_begins_every_so_often() {
        let (admission, mut at_work) = busy(10 * FEW);
        let times = Cell::new(0);
        let request = at_work.pop().expect("a request").spend(toil(&times));
        let since = Instant::now();
        tokio::select! {
            biased;
            () = request => {}
            () = turns(&admission, 5) => assert!(since.elapsed() >= PATIENCE * 4),
        }
    }

    #[tokio::test]
    async fn for_what_else_keeps_the_processor_busy_requests_do_not_wait() {
        let (admission, _at_work) = busy(10 * FEW);
        let times = Cell::new(0);
        tokio::select! {
            biased;
            () = toil(&times) => {}
            () = turns(&admission, 200) => {}
        }
        // Patience alone would have taken 400 ms.
        assert!(times.get() <= 1000, "{} long turns", times.get());
    }

    #[tokio::test]
    async fn a_connection_that_is_gone_passes_its_turn_on() {
        let (admission, mut at_work) = busy(FEW);
        let mut first = Box::pin(Arc::clone(&admission).turn());
        let mut second = pin!(Arc::clone(&admission).turn());
        assert!(is_pending(first.as_mut()).await && is_pending(second.as_mut()).await);
        // One turn, which is the first one's.
        at_work.truncate(LOW);
        assert!(is_pending(second.as_mut()).await);
        drop(first);
        assert!(!is_pending(second.as_mut()).await);
    }

    #[test]
    fn what_began_long_ago_does_not_count() {
        let start = Instant::now();
        let mut lately = Lately {
            generation: 0,
            since: start,
            young: 0,
            old: 0,
        };
        let first = lately.begin(start);
        let second = lately.begin(start + LATELY);
        assert_eq!(lately.at_work(start + LATELY), 2);
        assert_eq!(lately.at_work(start + 2 * LATELY), 1);
        lately.end(first);
        assert_eq!(lately.at_work(start + 2 * LATELY), 1, "the first is counted no more");
        lately.end(second);
        assert_eq!(lately.at_work(start + 2 * LATELY), 0);
        let third = lately.begin(start + 2 * LATELY);
        assert_eq!(lately.at_work(start + 9 * LATELY), 0);
        lately.end(third);
        assert_eq!(lately.at_work(start + 9 * LATELY), 0);
    }
}
