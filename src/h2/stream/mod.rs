//! Gives a task its stream: the request's content is read from it, the response is written to it.
//!
//! `mux` has the part of a connection that its streams share. Every method here locks it for one command of the core.

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

/// A stream that a task answers. Dropping the value detaches the stream: a response that is not complete is reset.
#[derive(Debug)]
pub(super) struct Stream {
    mux: Arc<Mux>,
    key: Key,
    /// The whole request is known to have come and to have been read.
    is_request_done: bool,
    /// The task has given the end of the response, or has reset the stream.
    has_ended: bool,
    /// The caller of [`Stream::release`] detaches the stream.
    is_released: bool,
}

/// The reason why a stream cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    /// The stream was reset, by the client or with its connection.
    #[error("reset by the client: {0}")]
    Reset(Reason),
    /// No content could be sent within the time limit: the window was shut, or other streams came first.
    #[error("nothing could be sent for {0:?}")]
    WriteTimeout(Duration),
    /// The client sent no content within the time limit.
    #[error("no request body for {0:?}")]
    ReadTimeout(Duration),
    /// A response head or content was given out of order: an error of the task.
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

/// The progress of content that waits to be sent, against a time limit.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    /// Bytes in the queue at the last check.
    left: usize,
    /// Number of checks since bytes were last sent.
    steps: u32,
    /// Time of the next check.
    until: Instant,
}

/// Number of checks within a time limit. Without progress at all of them the limit has passed.
const PROGRESS_STEPS: u32 = 4;

impl Stream {
    /// Returns the stream of a key; `is_request_done`: the request has no content.
    pub(super) fn new(mux: Arc<Mux>, key: Key, is_request_done: bool) -> Self {
        Self {
            mux,
            key,
            is_request_done,
            has_ended: false,
            is_released: false,
        }
    }

    /// Returns the key to a caller that detaches the stream itself.
    pub(super) fn release(mut self) -> Key {
        self.is_released = true;
        self.key
    }

    /// Returns the key.
    pub(super) fn key(&self) -> Key {
        self.key
    }

    /// Returns the stream identifier.
    pub(super) fn id(&self) -> u32 {
        self.key.id()
    }

    /// Returns whether the server promised the stream.
    pub(super) fn is_promised(&self) -> bool {
        self.id().is_multiple_of(2)
    }

    /// Returns whether the end of the response was given, or the stream was reset here.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Returns whether the whole request has come, and was read.
    pub(super) fn is_request_done(&mut self) -> bool {
        self.is_request_done = self.is_request_done || self.mux.with(|core| core.is_request_done(self.key));
        self.is_request_done
    }

    /// Waits for the next bytes of the request's content, for at most `limit`; returns `None` at the end.
    pub(super) async fn read(&mut self, limit: Duration) -> Result<Option<Bytes>, StreamError> {
        if self.is_request_done {
            return Ok(None);
        }
        // Boxed to keep this future small: most requests have no content.
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

    /// Promises a request on this stream. `slot` is dropped, and thus free again, when the promised stream is closed.
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

    /// Sends a 1xx response; does nothing on a promised stream.
    pub(super) fn inform(&self, status: StatusCode, headers: &HeaderMap) -> Result<(), StreamError> {
        if self.is_promised() {
            return Ok(());
        }
        Ok(self.mux.with(|core| core.inform(self.key, status, headers))?)
    }

    /// Sends the head of the final response. On a promised stream the head may wait for the client's limit of streams.
    pub(super) fn respond(&mut self, response: Response<'_>) -> Result<(), StreamError> {
        let is_end = response.is_end;
        self.mux.with(|core| core.respond(self.key, response))?;
        self.has_ended = is_end;
        Ok(())
    }

    /// Sends content. If the queue is long, the caller must [wait](Self::drained) with the returned value before it
    /// sends more; that wait fails after `limit` without progress.
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

    /// Waits until the queue is short, as fast as the client's windows and more urgent streams allow. The future may be
    /// dropped and made again.
    pub(super) async fn drained(&self, patience: &mut Patience) -> Result<(), StreamError> {
        while patience.steps < PROGRESS_STEPS {
            let time_left = patience.until.saturating_duration_since(Instant::now());
            if let Some(outcome) = patiently(time_left, poll_fn(|cx| self.poll_writable(cx))).await {
                return outcome;
            }
            let now = self.mux.with(|core| core.queued(self.key));
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

    /// Ends the response, unless its end was given before.
    ///
    /// # Errors
    ///
    /// The stream was reset, or no head was sent.
    pub(super) fn finish(&mut self, trailers: Option<HeaderMap>) -> Result<(), StreamError> {
        if !self.has_ended {
            self.mux.with(|core| core.finish(self.key, trailers))?;
            self.has_ended = true;
        }
        Ok(())
    }

    /// Resets the stream, unless it is closed.
    pub(super) fn reset(&mut self, reason: Reason) {
        self.mux.with(|core| core.reset(self.key, reason));
        self.has_ended = true;
    }

    /// Returns the error code of a reset for which no better one is known.
    pub(super) fn failure_reason(&self) -> Reason {
        if self.is_promised() {
            Reason::CANCEL
        } else {
            Reason::INTERNAL_ERROR
        }
    }

    /// Resolves when the stream is reset.
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

/// Waits for the client, for at most `limit`. [`pace::nudge`] runs meanwhile, so that time limits on the origin do not
/// pass because of the client.
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
