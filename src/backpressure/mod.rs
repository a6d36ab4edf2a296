//! [`Valve`]: whoever reads a response that is stored as it comes can stop the reading of the origin's connection.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
};

/// Stops and starts the reading of one connection to an origin, from anywhere.
///
/// The task that reads the origin also writes to its own client, and may not wait for itself. So it takes what comes; the
/// store shuts the valve when it holds more than it may, and opens it when its readers have caught up.
#[derive(Debug, Default)]
pub struct Valve {
    is_shut: AtomicBool,
    /// The client of the request has left; the response may go on without it.
    has_client_left: AtomicBool,
    /// The task that reads the connection, to be woken when the valve opens or the client leaves.
    waiting: Mutex<Option<Waker>>,
}

impl Valve {
    /// Another request begins: nothing is known of it.
    pub fn reset(&self) {
        self.open();
        self.has_client_left.store(false, SeqCst);
    }

    /// Nothing more is to be read for now.
    pub fn shut(&self) {
        self.is_shut.store(true, SeqCst);
    }

    /// Reading may go on.
    pub fn open(&self) {
        if self.is_shut.swap(false, SeqCst) {
            self.wake();
        }
    }

    /// Whether reading may go on; if not, the task is woken when it may.
    pub fn poll_open(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.is_shut.load(SeqCst) {
            return Poll::Ready(());
        }
        self.watch(cx);
        // It may have been opened just before.
        if self.is_shut.load(SeqCst) {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    /// The task is woken when something happens here.
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

    /// The client of the request is gone.
    pub fn note_client_left(&self) {
        self.has_client_left.store(true, SeqCst);
        self.wake();
    }

    /// Whether the client of the request is gone.
    pub fn has_client_left(&self) -> bool {
        self.has_client_left.load(SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, sync::Arc, time::Duration};

    use super::*;

    #[tokio::test]
    async fn who_waits_is_woken_when_it_opens() {
        let valve = Arc::new(Valve::default());
        poll_fn(|cx| valve.poll_open(cx)).await;
        valve.shut();
        let reader = Arc::clone(&valve);
        let mut reading = tokio::spawn(async move { poll_fn(|cx| reader.poll_open(cx)).await });
        let early = tokio::time::timeout(Duration::from_millis(20), &mut reading).await;
        assert!(early.is_err(), "it is shut");
        valve.open();
        reading.await.expect("no panic");
    }

    #[test]
    fn another_request_finds_it_open_and_its_client_there() {
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
