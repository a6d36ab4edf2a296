//! One stream as its task has it: the request's content comes in, the response goes out.
//!
//! All that streams of a connection share is in `mux`.

pub(super) mod mux;

use std::{
    future::{Future, poll_fn},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use tokio::time::{sleep, timeout};

use super::core::{Key, NotPromised, Reason, Response, SendError};
use crate::{
    push::{Priority, Slot},
    upstream::pace,
};
use mux::Mux;

/// A stream that a task answers. Dropping it lets go of the stream: a response that is not complete is reset.
#[derive(Debug)]
pub(super) struct Stream {
    mux: Arc<Mux>,
    key: Key,
    /// The whole request has come and was read; `false` is asked again.
    is_request_done: bool,
    /// END_STREAM was given.
    has_ended: bool,
    /// Somebody else looks after the stream.
    is_released: bool,
}

/// Why a stream cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    /// The client, or the end of its connection, reset the stream.
    #[error("reset by the client: {0}")]
    Reset(Reason),
    /// The client did not open its window in time, or a push did not get its turn.
    #[error("nothing could be sent for {0:?}")]
    WriteTimeout(Duration),
    /// The client sent no body in time.
    #[error("no request body for {0:?}")]
    ReadTimeout(Duration),
    /// A head or content out of order: our own fault.
    #[error("nothing can be sent in this state")]
    State,
}

impl From<SendError> for StreamError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Reset(reason) => Self::Reset(reason),
            SendError::State => Self::State,
        }
    }
}

/// How long a client has let content wait.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    /// Bytes that had not left when it was last looked at.
    left: usize,
    /// How often it has been looked at since some of it left.
    steps: u32,
    /// When it is looked at next.
    until: Instant,
}

/// Parts of a time limit after which it is seen whether content has left.
const PROGRESS_STEPS: u32 = 4;

impl Stream {
    /// A stream that was opened; `is_request_done`: no content comes.
    pub(super) fn new(mux: Arc<Mux>, key: Key, is_request_done: bool) -> Self {
        Self {
            mux,
            key,
            is_request_done,
            has_ended: false,
            is_released: false,
        }
    }

    /// Leaves the stream to the caller, who has to let go of it.
    pub(super) fn release(mut self) -> Key {
        self.is_released = true;
        self.key
    }

    /// Its key.
    pub(super) fn key(&self) -> Key {
        self.key
    }

    /// Its identifier.
    pub(super) fn id(&self) -> u32 {
        self.key.id()
    }

    /// Whether the server promised it.
    pub(super) fn is_promised(&self) -> bool {
        self.id().is_multiple_of(2)
    }

    /// Whether END_STREAM was given.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether the client has sent all of its request, and it was read.
    pub(super) fn is_request_done(&mut self) -> bool {
        self.is_request_done = self.is_request_done || self.mux.with(|core| core.is_request_done(self.key));
        self.is_request_done
    }

    /// Returns the next bytes of the request's content; `None` at its end.
    pub(super) async fn read(&mut self, limit: Duration) -> Result<Option<Bytes>, StreamError> {
        if self.is_request_done {
            return Ok(None);
        }
        // Apart, as most requests have none.
        Box::pin(timeout(limit, poll_fn(|cx| self.poll_read(cx))))
            .await
            .unwrap_or(Err(StreamError::ReadTimeout(limit)))
    }

    fn poll_read(&mut self, cx: &Context<'_>) -> Poll<Result<Option<Bytes>, StreamError>> {
        let key = self.key;
        let polled = self.mux.with(|core| {
            if let Some(content) = core.read(key) {
                return Poll::Ready(Ok(Some(content.freeze())));
            }
            if let Some(reason) = core.reset_reason(key) {
                return Poll::Ready(Err(StreamError::Reset(reason)));
            }
            if core.is_request_done(key) {
                return Poll::Ready(Ok(None));
            }
            if let Some(side) = core.side(key) {
                set_waker(&mut side.reader, cx);
            }
            Poll::Pending
        });
        self.is_request_done |= matches!(polled, Poll::Ready(Ok(None)));
        polled
    }

    /// Promises a request in the name of this stream's client. `slot` gives its place back when the promised stream
    /// is done.
    pub(super) fn push(
        &mut self,
        request: &Request<()>,
        planned: Priority,
        slot: Option<Arc<Slot>>,
    ) -> Result<Self, NotPromised> {
        let document = self.key;
        let key = self.mux.with(|core| {
            let key = core.promise(document, request, planned)?;
            if let Some(slot) = &slot {
                slot.mark_sent();
            }
            if let Some(side) = core.side(key) {
                side.slot = slot;
            }
            Ok(key)
        })?;
        Ok(Self::new(Arc::clone(&self.mux), key, true))
    }

    /// Sends a 1xx response; nothing on a promised stream.
    pub(super) fn inform(&self, status: StatusCode, headers: &HeaderMap) -> Result<(), StreamError> {
        if self.is_promised() {
            return Ok(());
        }
        Ok(self.mux.with(|core| core.inform(self.key, status, headers))?)
    }

    /// Sends the final response's head. That of a promised stream may wait for the client's limit of streams.
    pub(super) fn respond(&mut self, response: Response<'_>) -> Result<(), StreamError> {
        let is_end = response.is_end;
        self.mux.with(|core| core.respond(self.key, response))?;
        self.has_ended = is_end;
        Ok(())
    }

    /// Sends content. Returns what to [wait](Self::drained) for before more is sent, if anything: at most `limit` without
    /// any progress.
    pub(super) fn send(&mut self, data: Bytes, end: bool, limit: Duration) -> Result<Option<Patience>, StreamError> {
        let key = self.key;
        let left = self.mux.with(|core| {
            core.send(key, data, end, Instant::now)?;
            let may_go_on = core.poll_writable(key)?;
            Ok::<_, SendError>((!may_go_on).then(|| core.queued(key)))
        })?;
        self.has_ended |= end;
        Ok(left.map(|left| Patience {
            limit,
            left,
            steps: 0,
            until: Instant::now() + limit / PROGRESS_STEPS,
        }))
    }

    /// Waits until nearly all that was sent has left, as fast as the client's windows and more urgent streams allow. May
    /// be dropped and called again.
    pub(super) async fn drained(&self, patience: &mut Patience) -> Result<(), StreamError> {
        while patience.steps < PROGRESS_STEPS {
            let time_left = patience.until.saturating_duration_since(Instant::now());
            if let Some(outcome) = patiently(time_left, poll_fn(|cx| self.poll_writable(cx))).await {
                return outcome;
            }
            let now = self.mux.with(|core| core.queued(self.key));
            // As long as some of it leaves, the client goes on.
            patience.steps = if now < patience.left { 0 } else { patience.steps + 1 };
            patience.left = now;
            patience.until = Instant::now() + patience.limit / PROGRESS_STEPS;
        }
        Err(StreamError::WriteTimeout(patience.limit))
    }

    fn poll_writable(&self, cx: &Context<'_>) -> Poll<Result<(), StreamError>> {
        self.mux.with(|core| {
            if core.poll_writable(self.key)? {
                return Poll::Ready(Ok(()));
            }
            if let Some(side) = core.side(self.key) {
                set_waker(&mut side.writer, cx);
            }
            Poll::Pending
        })
    }

    /// Ends a response that is complete. Without a head there is nothing to end.
    pub(super) fn finish(&mut self, trailers: Option<HeaderMap>) -> Result<(), StreamError> {
        if !self.has_ended {
            self.mux.with(|core| core.finish(self.key, trailers))?;
            self.has_ended = true;
        }
        Ok(())
    }

    /// Resets a stream that is not complete.
    pub(super) fn reset(&mut self, reason: Reason) {
        self.mux.with(|core| core.reset(self.key, reason));
        self.has_ended = true;
    }

    /// Returns the reason to reset a stream with, when nothing more precise is known.
    pub(super) fn failure_reason(&self) -> Reason {
        if self.is_promised() {
            Reason::CANCEL
        } else {
            Reason::INTERNAL_ERROR
        }
    }

    /// Resolves when the client resets the stream.
    pub(super) fn poll_reset(&self, cx: &Context<'_>) -> Poll<StreamError> {
        let core = &mut self.mux.lock().core;
        if let Some(reason) = core.reset_reason(self.key) {
            return Poll::Ready(StreamError::Reset(reason));
        }
        if let Some(side) = core.side(self.key) {
            set_waker(&mut side.watcher, cx);
        }
        Poll::Pending
    }
}

fn set_waker(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

/// Waits for the client, at most this long; meanwhile the origin's limits must not pass for it.
async fn patiently<T>(limit: Duration, client: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        outcome = client => Some(outcome),
        () = sleep(limit) => None,
        never = pace::nudge() => match never {},
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.is_released {
            let reason = self.failure_reason();
            self.mux.with(|core| core.detach(self.key, reason));
        }
    }
}
