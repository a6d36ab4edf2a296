//! Shares a connection's state machine between its driver and the tasks of its streams, and wakes one for the other.
//!
//! The lock is held for one command or event of the state machine, never during I/O or an `await`.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Waker},
};

use http::request::Parts;

use crate::{
    exchange::OnSent,
    h2::core::{Core, EndedBy, Key, Reason},
    push::{PushCancel, PushedBy, Slot},
};

/// A connection's own data beside each of its streams.
#[derive(Default)]
pub(in crate::h2) struct Side {
    /// Waker of the task that waits for the request's content.
    pub(in crate::h2) reader: Option<Waker>,
    /// Waker of the task that waits until its queue is short.
    pub(in crate::h2) writer: Option<Waker>,
    /// Waker of the task that waits for a reset.
    pub(in crate::h2) watcher: Option<Waker>,
    /// A promise's share of the client's limit of streams, free again when dropped.
    pub(in crate::h2) slot: Option<Arc<Slot>>,
    /// A promise's share of the number of promises that are answered at a time, free again when dropped.
    pub(in crate::h2) place: Option<Arc<()>>,
    /// The callback for the end of a stored response.
    pub(in crate::h2) on_sent: Option<Box<dyn OnSent>>,
}

impl Side {
    /// Wakes all tasks that wait for a stream that was closed, counts a promise, and calls back for a stored response. A
    /// task that waits for a reset is not woken if the stream was complete.
    pub(in crate::h2) fn end(mut self, sent: usize, reason: Option<Reason>, by: EndedBy) {
        if let Some(slot) = &self.slot {
            slot.count_end(
                sent,
                match by {
                    EndedBy::Client => Some(PushCancel::Client),
                    EndedBy::Connection => Some(PushCancel::Connection),
                    // If the response could not be delivered, the proxy knows why.
                    EndedBy::Server => None,
                },
            );
        }
        if reason.is_none() {
            self.watcher = None;
        }
        let wakers = [self.reader.take(), self.writer.take(), self.watcher.take()];
        wakers.into_iter().flatten().for_each(Waker::wake);
        if let Some(on_sent) = self.on_sent.take() {
            let failure = reason.map(|reason| format!("stream reset: {reason}"));
            on_sent.sent(sent, failure.as_deref());
        }
    }
}

impl std::fmt::Debug for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Side").field("slot", &self.slot).finish_non_exhaustive()
    }
}

/// A promise that was sent, and whose request the driver is to serve.
#[derive(Debug)]
pub(in crate::h2) struct Promised {
    pub(in crate::h2) key: Key,
    pub(in crate::h2) head: Box<Parts>,
    pub(in crate::h2) pushed_by: PushedBy,
}

/// The part of a connection that its driver and its streams share.
#[derive(Debug)]
pub(in crate::h2) struct Mux(Mutex<MuxState>);

#[derive(Debug)]
pub(in crate::h2) struct MuxState {
    pub(in crate::h2) core: Core<Side>,
    /// Promises that the driver is to start.
    pub(in crate::h2) promised: Vec<Promised>,
    /// The driver's task, while it waits.
    driver: Option<Waker>,
}

impl Mux {
    pub(in crate::h2) fn new(core: Core<Side>) -> Self {
        Self(Mutex::new(MuxState {
            core,
            promised: Vec::new(),
            driver: None,
        }))
    }

    /// Locks without waking the driver: for the driver itself, and for reads that change nothing.
    ///
    /// A poisoned lock is used on: the state machine itself does not panic, so its state is whole.
    pub(in crate::h2) fn lock(&self) -> MutexGuard<'_, MuxState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a command of a stream, and wakes the driver if it leaves something to send, an event, or the end of the
    /// connection.
    pub(super) fn with<R>(&self, command: impl FnOnce(&mut Core<Side>) -> R) -> R {
        let mut state = self.lock();
        let outcome = command(&mut state.core);
        let core = &state.core;
        // `is_done`: the last stream of a connection that ends may leave neither output nor an event.
        let waker = if core.has_output(false) || core.has_events() || core.is_done() {
            state.driver.take()
        } else {
            None
        };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        outcome
    }

    /// Queues a promise for the driver, which serves its request.
    pub(in crate::h2) fn start(&self, promised: Promised) {
        let mut state = self.lock();
        if state.core.has_failed() {
            // The driver of a failed connection starts nothing more.
            state.core.detach(promised.key, Reason::CANCEL);
            return;
        }
        state.promised.push(promised);
        let waker = state.driver.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl MuxState {
    /// Stores the driver's waker; returns `false` if the driver has something to do instead.
    pub(in crate::h2) fn wait(&mut self, output: Output, cx: &Context<'_>) -> bool {
        let has_output = output != Output::Blocked && self.core.has_output(output == Output::PushesHeld);
        if has_output || self.core.has_events() || !self.promised.is_empty() {
            return false;
        }
        match &mut self.driver {
            Some(driver) => driver.clone_from(cx.waker()),
            None => self.driver = Some(cx.waker().clone()),
        }
        true
    }
}

/// The state of the driver's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::h2) enum Output {
    /// All output was written.
    Open,
    /// All output was written but pushes, which wait for the path or for a document.
    PushesHeld,
    /// The transport takes no bytes now.
    Blocked,
}
