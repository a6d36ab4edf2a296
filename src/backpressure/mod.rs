//! Stops and resumes the reading of an origin's connection, for a response that is stored as it arrives: [`Valve`].

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
};

/// A switch for the reading of one connection to an origin, usable from any task.
///
/// The task that reads the origin also writes to its own client, so it cannot wait until the store takes more. Instead
/// it hands every piece to the store, which shuts the valve when it holds too many bytes, and opens the valve when its
/// readers have caught up.
#[derive(Debug, Default)]
pub struct Valve {
    is_shut: AtomicBool,
    /// The client of the request has left; other readers may still want the response.
    has_client_left: AtomicBool,
    /// The task that reads the connection: woken when the valve opens or the client leaves.
    waiting: Mutex<Option<Waker>>,
}

impl Valve {
    /// Opens the valve for another request, whose client has not left.
    pub fn reset(&self) {
        self.open();
        self.has_client_left.store(false, SeqCst);
    }

    /// Stops the reading.
    pub fn shut(&self) {
        self.is_shut.store(true, SeqCst);
    }

    /// Resumes the reading.
    pub fn open(&self) {
        if self.is_shut.swap(false, SeqCst) {
            self.wake();
        }
    }

    /// Waits until the valve is open.
    pub fn poll_open(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.is_shut.load(SeqCst) {
            return Poll::Ready(());
        }
        self.watch(cx);
        // The valve may have opened before `watch` stored the waker.
        if self.is_shut.load(SeqCst) {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    /// Has the task woken when the valve opens or the client leaves.
    pub fn watch(&self, cx: &Context<'_>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *waiting {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *waiting = Some(cx.waker().clone()),
        }
    }

    fn wake(&self) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    /// Notes that the client of the request has left.
    pub fn note_client_left(&self) {
        self.has_client_left.store(true, SeqCst);
        self.wake();
    }

    /// Returns whether the client of the request has left.
    pub fn has_client_left(&self) -> bool {
        self.has_client_left.load(SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, sync::Arc, time::Duration};

    use super::*;

    #[tokio::test]
    async fn a_task_that_waits_is_woken_when_the_valve_opens() {
        let valve = Arc::new(Valve::default());
        poll_fn(|cx| valve.poll_open(cx)).await;
        valve.shut();
        let reader = Arc::clone(&valve);
        let mut reading = tokio::spawn(async move { poll_fn(|cx| reader.poll_open(cx)).await });
        let early = tokio::time::timeout(Duration::from_millis(20), &mut reading).await;
        assert!(early.is_err(), "the valve is shut");
        valve.open();
        reading.await.expect("no panic");
    }

    #[test]
    fn a_reset_opens_the_valve_and_forgets_that_the_client_left() {
        let valve = Valve::default();
        valve.shut();
        valve.note_client_left();
        assert!(valve.has_client_left());
        valve.reset();
        assert!(!valve.has_client_left());
        let cx = Context::from_waker(Waker::noop());
        assert!(valve.poll_open(&cx).is_ready());
    }
}
