//! The shared part of a connection's streams and its driver: the state machine behind a lock, and how to wake each
//! other.
//!
//! The lock is held for single steps of the machine, never over a write or a wait.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Waker},
};

use http::request::Parts;

use crate::{
    exchange::OnSent,
    h2::core::{Core, Key, Reason},
    push::{PushedBy, Slot},
};

/// A connection's own data beside each of its streams.
#[derive(Default)]
pub(in crate::h2) struct Side {
    /// Waits for the request's content.
    pub(in crate::h2) reader: Option<Waker>,
    /// Waits until content has left.
    pub(in crate::h2) writer: Option<Waker>,
    /// Waits for a reset.
    pub(in crate::h2) watcher: Option<Waker>,
    /// The place of a promise among the client's streams, given back when it is dropped.
    pub(in crate::h2) slot: Option<Arc<Slot>>,
    /// The place of a promise among those that are being answered.
    pub(in crate::h2) place: Option<Arc<()>>,
    /// Hears of the end of a response from the store.
    pub(in crate::h2) on_sent: Option<Box<dyn OnSent>>,
}

impl Side {
    /// Ends a stream: all that wait for it hear of it. Of one that is complete there is no reset to hear of.
    pub(in crate::h2) fn end(mut self, sent: usize, reason: Option<Reason>) {
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

/// A promise that was sent, and whose request is to be answered.
#[derive(Debug)]
pub(in crate::h2) struct Promised {
    pub(in crate::h2) key: Key,
    pub(in crate::h2) head: Box<Parts>,
    pub(in crate::h2) pushed_by: PushedBy,
}

/// The shared part of a connection.
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

    /// Locks for the driver, which looks after what comes of it itself, and for what gives no command.
    ///
    /// A panic elsewhere leaves the machine usable: no step of it panics.
    pub(in crate::h2) fn lock(&self) -> MutexGuard<'_, MuxState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a command of a stream, and wakes the driver if there is something to send or to tell.
    pub(super) fn with<R>(&self, command: impl FnOnce(&mut Core<Side>) -> R) -> R {
        let mut state = self.lock();
        let outcome = command(&mut state.core);
        let core = &state.core;
        // The last stream of a connection that goes away may leave nothing else behind.
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

    /// Has the driver start a promise.
    pub(in crate::h2) fn start(&self, promised: Promised) {
        let mut state = self.lock();
        if state.core.has_failed() {
            // Nobody would take it any more.
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
    /// Notes that the driver waits; `false` if there is something to do.
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

/// What the transport takes of the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::h2) enum Output {
    /// All that there was.
    Open,
    /// All but pushes, which wait for the path or for a document.
    PushesHeld,
    /// Nothing more for now.
    Blocked,
}
