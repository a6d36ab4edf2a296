//! Decides which requests start at once, and which wait while others finish: [`RequestScheduler`].
//!
//! A request under Pingora's proxy uses tens of kilobytes of memory. With hundreds of running requests this memory
//! does not fit in a processor's caches, and each request costs half as much processor time again. So running requests
//! finish before queued ones start; a queued request takes only its header, and the content that the client has sent.
//!
//! - While fewer requests run than the limit allows, the next one starts at once. The limit is [`RUNNING_PER_THREAD`]
//!   for each thread at first.
//! - While requests wait, the limit is adapted every [`TICK`]. It doubles if the running requests leave the processors
//!   idle, as they do while they wait for origins or clients. It falls to the number of running requests, and one more
//!   for each thread (but never below its first value), if the running requests keep the processors busy. A limit that
//!   was raised stays raised while no request waits.
//! - A request counts as running for once to twice [`RECENT`] only: a response that never ends, or an origin that never
//!   answers, delays no other request.
//!
//! No task of the scheduler runs while no request waits. HTTP/2 connections get their turns in the order in which they
//! began to wait; an HTTP/1.x connection has one request at a time, which does not wait.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::{sync::Notify, time::sleep};

use crate::telemetry::WaitMeter;

/// The first and lowest limit of running requests, for each thread.
const RUNNING_PER_THREAD: usize = 24;

/// The highest limit of running requests.
const MAX_RUNNING: usize = 1 << 20;

/// The most requests that one connection starts in a turn: responses that are ready together leave in one write.
pub(super) const BATCH: usize = 16;

/// The interval at which the limit is adapted while requests wait: the resolution of timers.
const TICK: Duration = Duration::from_millis(1);

/// Processors count as busy if running requests use one part in this number of their time, thus a quarter. The work of
/// the connections for these requests, encoding and writing, is not metered.
const SHARE: u32 = 4;

/// One in this number of a request's polls is metered. A request has three or four polls.
const METERED: u8 = 2;

/// The time for which a request counts as running at least; at most it counts for twice this time.
const RECENT: Duration = Duration::from_millis(128);

/// The scheduler of requests. All HTTP/2 connections of a process share one, as they share its processors.
#[derive(Debug)]
pub(crate) struct RequestScheduler {
    threads: usize,
    state: Mutex<SchedulerState>,
    /// Number of connections that wait.
    waiting: AtomicUsize,
    /// The task that adapts the limit runs.
    is_ticking: AtomicBool,
    /// Nanoseconds of processor time that running requests have used while the task ran; wraps around.
    busy: AtomicU64,
    /// One notification for each connection that may start a request.
    turns: Notify,
    /// The requests that wait, and those that have waited.
    waits: WaitMeter,
}

#[derive(Debug)]
struct SchedulerState {
    running: RunningRequests,
    limit: usize,
}

/// Running requests, by when they started.
#[derive(Debug)]
struct RunningRequests {
    /// Number of the present generation: requests that start within one period of [`RECENT`].
    generation: u64,
    /// The end of the present generation.
    until: Instant,
    /// Number of running requests of the present generation.
    young: usize,
    /// Number of running requests of the generation before.
    old: usize,
}

/// The permission for one request to run, counted until it is dropped.
#[derive(Debug)]
pub(in crate::h2) struct RunPermit {
    scheduler: Arc<RequestScheduler>,
    /// The time until which the work of the request is metered.
    until: Instant,
    generation: u64,
}

/// The future of a running request, metered while other requests wait.
#[derive(Debug)]
pub(in crate::h2) struct Metered<F> {
    permit: RunPermit,
    work: F,
    polls: u8,
}

/// One connection that waits, counted until dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl RequestScheduler {
    /// Returns the scheduler of a server with this number of threads.
    #[must_use]
    pub(crate) fn new(threads: usize) -> Self {
        let threads = threads.max(1);
        Self {
            threads,
            state: Mutex::new(SchedulerState {
                running: RunningRequests {
                    generation: 0,
                    until: Instant::now() + RECENT,
                    young: 0,
                    old: 0,
                },
                limit: RUNNING_PER_THREAD * threads,
            }),
            waiting: AtomicUsize::new(0),
            is_ticking: AtomicBool::new(false),
            busy: AtomicU64::new(0),
            turns: Notify::new(),
            waits: WaitMeter::default(),
        }
    }

    /// Returns the counters of requests that have to wait.
    #[must_use]
    pub(crate) const fn waits(&self) -> &WaitMeter {
        &self.waits
    }

    /// Returns a permit for a new request, unless a connection waits or the limit is reached.
    pub(in crate::h2) fn try_start(self: &Arc<Self>, now: Instant) -> Option<RunPermit> {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            return None;
        }
        self.start_within_limit(now)
    }

    /// Returns a permit for a further request of a connection that has its turn, unless the limit is reached.
    pub(in crate::h2) fn start_within_limit(self: &Arc<Self>, now: Instant) -> Option<RunPermit> {
        let mut state = self.state();
        (state.running.count(now) < state.limit).then(|| self.permit(&mut state, now))
    }

    fn permit(self: &Arc<Self>, state: &mut SchedulerState, now: Instant) -> RunPermit {
        RunPermit {
            scheduler: Arc::clone(self),
            until: now + 2 * RECENT,
            generation: state.running.start(now),
        }
    }

    /// Waits until a connection may start a request.
    pub(in crate::h2) async fn turn(self: Arc<Self>) -> RunPermit {
        let _waiting = Waiting::new(&self.waiting);
        if !self.is_ticking.swap(true, Ordering::SeqCst) {
            tokio::spawn(Arc::clone(&self).tick());
        }
        loop {
            self.turns.notified().await;
            if let Some(permit) = self.start_within_limit(Instant::now()) {
                return permit;
            }
        }
    }

    /// Adapts the limit while connections wait.
    async fn tick(self: Arc<Self>) {
        loop {
            let (since, busy) = (Instant::now(), self.busy.load(Ordering::Relaxed));
            sleep(TICK).await;
            if self.waiting.load(Ordering::SeqCst) == 0 {
                self.is_ticking.store(false, Ordering::SeqCst);
                let is_over = self.waiting.load(Ordering::SeqCst) == 0 || self.is_ticking.swap(true, Ordering::SeqCst);
                if is_over {
                    return;
                }
            }
            let busy = self.busy.load(Ordering::Relaxed).wrapping_sub(busy);
            let is_busy = self.keep_busy(Duration::from_nanos(busy), since.elapsed());
            let turns = {
                let mut state = self.state();
                let running = state.running.count(Instant::now());
                state.limit = if is_busy {
                    self.base().max(running + self.threads)
                } else {
                    state.limit.max(running).saturating_mul(2).min(MAX_RUNNING)
                };
                state.limit.saturating_sub(running)
            };
            for _ in 0..turns.min(self.waiting.load(Ordering::SeqCst)) {
                self.turns.notify_one();
            }
        }
    }

    fn base(&self) -> usize {
        RUNNING_PER_THREAD * self.threads
    }

    /// Returns whether requests that used `busy` of processor time during `took` keep the processors busy.
    fn keep_busy(&self, busy: Duration, took: Duration) -> bool {
        let threads = u32::try_from(self.threads).unwrap_or(u32::MAX);
        busy.saturating_mul(SHARE) >= took.saturating_mul(threads)
    }

    fn state(&self) -> MutexGuard<'_, SchedulerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RunPermit {
    /// Returns the future of the request, which holds this permit and is metered.
    pub(in crate::h2) fn metered<F: Future + Unpin>(self, work: F) -> Metered<F> {
        Metered {
            permit: self,
            work,
            polls: 0,
        }
    }
}

impl<F: Future + Unpin> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.polls = self.polls.wrapping_add(1);
        // Reading a clock costs time, so a sample of the polls stands for all.
        if !self.permit.scheduler.is_ticking.load(Ordering::Relaxed) || !self.polls.is_multiple_of(METERED) {
            return Pin::new(&mut self.work).poll(cx);
        }
        let since = Instant::now();
        let polled = Pin::new(&mut self.work).poll(cx);
        if since < self.permit.until {
            let spent = since.elapsed() * METERED.into();
            let spent = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX);
            self.permit.scheduler.busy.fetch_add(spent, Ordering::Relaxed);
        }
        polled
    }
}

impl RunningRequests {
    /// Returns the number of running requests of the last two generations.
    fn count(&mut self, now: Instant) -> usize {
        self.advance(now);
        self.young + self.old
    }

    /// Counts a request that starts, and returns its generation.
    fn start(&mut self, now: Instant) -> u64 {
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
        if now < self.until {
            return;
        }
        if now < self.until + RECENT {
            self.generation += 1;
            self.old = self.young;
        } else {
            self.generation += 2;
            self.old = 0;
        }
        self.young = 0;
        self.until = now + RECENT;
    }
}

impl Drop for RunPermit {
    fn drop(&mut self) {
        let scheduler = &self.scheduler;
        let mut state = scheduler.state();
        state.running.end(self.generation);
        let is_free = state.running.young + state.running.old < state.limit;
        drop(state);
        if is_free && scheduler.waiting.load(Ordering::SeqCst) > 0 {
            scheduler.turns.notify_one();
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
    use std::{cell::Cell, future::poll_fn, pin::pin};

    use tokio::{task::yield_now, time::timeout};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    fn running(number: usize) -> (Arc<RequestScheduler>, Vec<RunPermit>) {
        let scheduler = Arc::new(RequestScheduler::new(1));
        let permits = (0..number).map(|_| {
            let mut state = scheduler.state();
            scheduler.permit(&mut state, Instant::now())
        });
        let permits = permits.collect();
        (scheduler, permits)
    }

    async fn is_pending(turn: Pin<&mut impl Future<Output = RunPermit>>) -> bool {
        let mut turn = Some(turn);
        poll_fn(|cx| Poll::Ready(turn.take().is_some_and(|turn| turn.poll(cx).is_pending()))).await
    }

    #[tokio::test]
    async fn requests_within_the_limit_start_at_once() {
        let (scheduler, _) = running(0);
        let started: Vec<_> = std::iter::from_fn(|| scheduler.try_start(Instant::now()))
            .take(1000)
            .collect();
        assert_eq!(started.len(), RUNNING_PER_THREAD);
        drop(started);
        assert!(scheduler.try_start(Instant::now()).is_some());
    }

    #[tokio::test]
    async fn queued_requests_start_when_running_ones_end_and_before_new_ones() {
        let (scheduler, mut permits) = running(RUNNING_PER_THREAD);
        let mut turn = pin!(Arc::clone(&scheduler).turn());
        assert!(is_pending(turn.as_mut()).await);
        permits.pop();
        assert!(scheduler.try_start(Instant::now()).is_none(), "a connection waits");
        assert!(!is_pending(turn.as_mut()).await);
    }

    #[tokio::test]
    async fn all_requests_start_while_the_processor_is_idle() {
        let (scheduler, mut permits) = running(RUNNING_PER_THREAD);
        let since = Instant::now();
        for _ in 0..1000 {
            let permit = match scheduler.start_within_limit(Instant::now()) {
                Some(permit) => permit,
                None => timeout(DEADLINE, Arc::clone(&scheduler).turn()).await.expect("a turn"),
            };
            permits.push(permit);
        }
        assert!(
            since.elapsed() < RECENT,
            "the limit was raised, before requests stopped counting"
        );
    }

    /// Keeps the processor busy for a fifth of a tick each poll, and counts the polls.
    async fn spin(polls: &Cell<usize>) {
        loop {
            let since = Instant::now();
            while since.elapsed() < TICK / 5 {}
            polls.set(polls.get() + 1);
            yield_now().await;
        }
    }

    async fn turns(scheduler: &Arc<RequestScheduler>, permits: &mut Vec<RunPermit>, number: usize) {
        for _ in 0..number {
            let turn = Arc::clone(scheduler).turn();
            permits.push(timeout(DEADLINE, turn).await.expect("a turn"));
        }
    }

    #[tokio::test]
    async fn while_requests_keep_the_processor_busy_one_starts_each_tick() {
        let (scheduler, mut permits) = running(RUNNING_PER_THREAD);
        let polls = Cell::new(0);
        let request = permits.pop().expect("a request").metered(Box::pin(spin(&polls)));
        let since = Instant::now();
        tokio::select! {
            biased;
            () = request => {}
            () = turns(&scheduler, &mut permits, 5) => assert!(since.elapsed() >= TICK * 4),
        }
    }

    #[tokio::test]
    async fn requests_do_not_wait_for_other_work_of_the_processor() {
        let (scheduler, mut permits) = running(RUNNING_PER_THREAD);
        let polls = Cell::new(0);
        tokio::select! {
            biased;
            () = spin(&polls) => {}
            () = turns(&scheduler, &mut permits, 200) => {}
        }
        assert!(polls.get() <= 5000, "{} polls of other work", polls.get());
    }

    #[tokio::test]
    async fn a_connection_that_ends_while_it_waits_passes_its_turn_on() {
        let (scheduler, mut permits) = running(RUNNING_PER_THREAD);
        let mut first = Box::pin(Arc::clone(&scheduler).turn());
        let mut second = pin!(Arc::clone(&scheduler).turn());
        assert!(is_pending(first.as_mut()).await && is_pending(second.as_mut()).await);
        permits.pop();
        assert!(is_pending(second.as_mut()).await, "the turn is the first one's");
        drop(first);
        assert!(!is_pending(second.as_mut()).await);
    }

    #[tokio::test]
    async fn the_ticking_task_ends_when_no_connection_waits() {
        let (scheduler, _permits) = running(RUNNING_PER_THREAD);
        for _ in 0..100 {
            let mut turn = Box::pin(Arc::clone(&scheduler).turn());
            assert!(is_pending(turn.as_mut()).await);
        }
        let is_over = async {
            while scheduler.is_ticking.load(Ordering::SeqCst) {
                yield_now().await;
            }
        };
        timeout(DEADLINE, is_over).await.expect("the task ends");
        assert_eq!(scheduler.waiting.load(Ordering::SeqCst), 0);
        assert_eq!(Arc::strong_count(&scheduler), 1 + RUNNING_PER_THREAD);
    }

    #[test]
    fn requests_that_started_long_ago_do_not_count() {
        let start = Instant::now();
        let mut running = RunningRequests {
            generation: 0,
            until: start + RECENT,
            young: 0,
            old: 0,
        };
        let first = running.start(start);
        let second = running.start(start + RECENT);
        assert_eq!(running.count(start + RECENT), 2);
        assert_eq!(running.count(start + 2 * RECENT), 1);
        running.end(first);
        assert_eq!(running.count(start + 2 * RECENT), 1, "the first is counted no more");
        running.end(second);
        assert_eq!(running.count(start + 2 * RECENT), 0);
        let third = running.start(start + 2 * RECENT);
        assert_eq!(running.count(start + 9 * RECENT), 0);
        running.end(third);
        assert_eq!(running.count(start + 9 * RECENT), 0);
    }
}
