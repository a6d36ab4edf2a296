//! Which requests begin at once, and which wait while others are finished: [`Admission`].
//!
//! A request under Pingora's proxy keeps some tens of kilobytes in use. With hundreds of them begun, a processor that
//! has more to do than it can finds none of it in its caches, and each costs half as much again (measured: 55 us
//! for 1 KB with 512 begun, 33 with 16). So what was begun is finished first. A request that waits
//! is no more than its header.
//!
//! - While [few](FEW) requests are at work in the process, the next one begins at once.
//! - Otherwise it waits for its turn, which comes when another one ends, or when the processor has time: turns of the
//!   run queue are [short](SHORT). So nothing waits longer than that for an origin that is slow, or for
//!   answers that never end.
//! - And while turns are long, one begins [every so often](PATIENCE) all the same, so that a page does not wait for
//!   downloads.
//!
//! Connections have their turns in the order in which they began to wait, each for one request.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use tokio::{sync::Notify, task::yield_now};

/// Requests at work that need not wait.
const FEW: usize = 32;

const LOW: usize = 16;

/// A turn of the run queue is short if it takes no longer than this: a few requests.
const SHORT: Duration = Duration::from_micros(300);

/// Requests that begin after a short turn.
const AT_ONCE: usize = 1;
const BATCH: usize = 16;

/// While turns are long, one request begins in this time.
const PATIENCE: Duration = Duration::from_millis(2);

/// All requests of the process: they share its processors.
pub(super) static ADMISSION: Admission = Admission {
    at_work: AtomicUsize::new(0),
    waiting: AtomicUsize::new(0),
    is_turning: AtomicBool::new(false),
    turns: Notify::const_new(),
};

/// Says which requests begin.
#[derive(Debug)]
pub(super) struct Admission {
    at_work: AtomicUsize,
    /// Connections that wait.
    waiting: AtomicUsize,
    /// The task that gives turns runs.
    is_turning: AtomicBool,
    turns: Notify,
}

/// One request at work, until dropped.
#[derive(Debug)]
pub(super) struct AtWork(&'static Admission);

impl Drop for AtWork {
    fn drop(&mut self) {
        let left = self.0.at_work.fetch_sub(1, Ordering::Relaxed) - 1;
        if left <= LOW && self.0.waiting.load(Ordering::Relaxed) > 0 {
            self.0.turns.notify_one();
        }
    }
}

/// One connection that waits, until dropped.
struct Waiting(&'static Admission);

impl Waiting {
    fn new(admission: &'static Admission) -> Self {
        admission.waiting.fetch_add(1, Ordering::SeqCst);
        Self(admission)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Admission {
    /// Begins a request, whatever else is at work.
    pub(super) fn begin(&'static self) -> AtWork {
        self.at_work.fetch_add(1, Ordering::Relaxed);
        AtWork(self)
    }

    /// Begins a request that need not wait.
    pub(super) fn try_begin(&'static self) -> Option<AtWork> {
        let is_free = self.waiting.load(Ordering::Relaxed) == 0 && self.at_work.load(Ordering::Relaxed) < FEW;
        is_free.then(|| self.begin())
    }

    /// Begins a request when it is its turn.
    pub(super) async fn turn(&'static self) -> usize {
        let waiting = Waiting::new(self);
        if !self.is_turning.swap(true, Ordering::SeqCst) {
            tokio::spawn(self.give_turns());
        }
        self.turns.notified().await;
        drop(waiting);
        FEW.saturating_sub(self.at_work.load(Ordering::Relaxed)).clamp(1, BATCH)
    }

    /// Gives turns as long as anybody waits.
    async fn give_turns(&'static self) {
        let mut began = Instant::now();
        loop {
            let since = Instant::now();
            yield_now().await;
            let turn = since.elapsed();
            let waiting = self.waiting.load(Ordering::SeqCst);
            if waiting == 0 {
                self.is_turning.store(false, Ordering::SeqCst);
                if self.waiting.load(Ordering::SeqCst) == 0 || self.is_turning.swap(true, Ordering::SeqCst) {
                    return;
                }
                continue;
            }
            let begin = match turn {
                turn if turn < SHORT => AT_ONCE,
                _ if began.elapsed() >= PATIENCE => 1,
                _ => 0,
            };
            for _ in 0..begin.min(waiting) {
                began = since;
                self.turns.notify_one();
            }
        }
    }
}
