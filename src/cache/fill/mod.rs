//! A content on its way from the origin: one writer, and readers that follow it.
//!
//! ```text
//!              limit passed, or no memory left
//! Keeping ─────────────────────────────────────► PassingOn
//!    │ finish                                        │ finish
//!    ▼                                               ▼
//! Complete: kept                                Complete: not kept
//!
//! any of them ── writer gone ──► Aborted: every reader gets an error
//! ```
//!
//! While it is kept, everything is held, so readers may come at any time. What grows too large is only
//! passed on to those who read it already: what all have read is dropped. Whoever falls too far behind
//! then gets an error, never a gap.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;

use super::{body::Body, object::Head, purge::Begun};

/// One content on its way.
#[derive(Debug)]
pub(super) struct Fill {
    pub(super) id: u64,
    pub(super) head: Head,
    pub(super) begun: Begun,
    state: Mutex<State>,
    changed: Notify,
    budget: Arc<Budget>,
}

/// Bytes that all fills may hold together.
#[derive(Debug)]
pub(super) struct Budget {
    held: AtomicUsize,
    /// Of all.
    total: usize,
    /// Of one.
    pub(super) one: usize,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    pieces: VecDeque<Bytes>,
    /// Index of the first piece that is still held.
    first: usize,
    /// Bytes written so far, and held now.
    written: usize,
    held: usize,
    /// Index of the next piece, reader by reader; `None` for one that has left.
    readers: Vec<Option<usize>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Keeping,
    PassingOn,
    Complete,
    Aborted,
}

/// Why a content cannot be read or written on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FillError {
    /// The writer is gone before the end.
    #[error("the answer broke off")]
    Aborted,
    /// It is too large to be kept, and this reader did not keep up with the others.
    #[error("too far behind an answer that is too large to be kept")]
    TooSlow,
    /// It is too large to be kept, and nobody reads it.
    #[error("nobody reads an answer that is too large to be kept")]
    NoReader,
}

/// Bytes that a reader of what is not kept may be behind; a joint piece is as long at most.
const MOST_BEHIND: usize = 1024 * 1024;

impl Budget {
    /// So many bytes for all fills and for each.
    pub(super) const fn new(total: usize, one: usize) -> Self {
        Self {
            held: AtomicUsize::new(0),
            total,
            one,
        }
    }

    /// Bytes held by fills now.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> bool {
        self.held.fetch_add(bytes, Ordering::Relaxed) + bytes <= self.total
    }

    fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Fill {
    pub(super) fn new(id: u64, head: Head, begun: Begun, budget: Arc<Budget>) -> Self {
        Self {
            id,
            head,
            begun,
            state: Mutex::new(State {
                phase: Phase::Keeping,
                pieces: VecDeque::new(),
                first: 0,
                written: 0,
                held: 0,
                readers: Vec::new(),
            }),
            changed: Notify::new(),
            budget,
        }
    }

    /// Adds bytes.
    ///
    /// # Errors
    ///
    /// [`FillError::NoReader`]: it is in vain.
    pub(super) fn write(&self, piece: Bytes) -> Result<(), FillError> {
        if piece.is_empty() {
            return Ok(());
        }
        let mut state = self.state();
        let has_room = self.budget.take(piece.len());
        state.written += piece.len();
        state.held += piece.len();
        state.pieces.push_back(piece);
        if state.phase == Phase::Keeping && (!has_room || state.written > self.budget.one) {
            state.phase = Phase::PassingOn;
        }
        if state.phase == Phase::PassingOn {
            self.drop_what_was_read(&mut state);
            if state.readers.iter().flatten().next().is_none() {
                return Err(FillError::NoReader);
            }
        }
        drop(state);
        self.changed.notify_waiters();
        Ok(())
    }

    /// A reader from the beginning; `None` if that is not held any more.
    pub(super) fn reader(self: &Arc<Self>) -> Option<Reader> {
        let mut state = self.state();
        if !state.is_readable() {
            return None;
        }
        state.readers.push(Some(0));
        let place = state.readers.len() - 1;
        Some(Reader {
            fill: Arc::clone(self),
            place,
        })
    }

    /// Whether a reader could begin now.
    pub(super) fn is_readable(&self) -> bool {
        self.state().is_readable()
    }

    /// The whole content, if it is to be kept.
    pub(super) fn whole(&self) -> Option<Body> {
        let state = self.state();
        let is_kept = matches!(state.phase, Phase::Keeping);
        is_kept.then(|| Body::new(state.pieces.iter().cloned()))
    }

    /// Bytes written so far.
    pub(super) fn written(&self) -> usize {
        self.state().written
    }

    /// The content is complete.
    pub(super) fn complete(&self) {
        self.end(Phase::Complete);
    }

    /// The writer is gone; nothing changes if it was complete.
    pub(super) fn abort(&self) {
        self.end(Phase::Aborted);
    }

    fn end(&self, phase: Phase) {
        let mut state = self.state();
        if state.phase != Phase::Complete {
            state.phase = phase;
        }
        drop(state);
        self.changed.notify_waiters();
    }

    fn drop_what_was_read(&self, state: &mut State) {
        let slowest = state.readers.iter().flatten().min().copied();
        let read = slowest.unwrap_or(state.first + state.pieces.len());
        while !state.pieces.is_empty() && (state.first < read || state.held > MOST_BEHIND) {
            if let Some(piece) = state.pieces.pop_front() {
                state.first += 1;
                state.held -= piece.len();
                self.budget.give_back(piece.len());
            }
        }
    }

    /// A panic elsewhere leaves the state usable, so a poisoned lock is taken all the same.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_readable(&self) -> bool {
        // What was only passed on may be complete by now, and its beginning gone.
        !matches!(self.phase, Phase::PassingOn | Phase::Aborted) && self.first == 0
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        let held = self.state().held;
        self.budget.give_back(held);
    }
}

/// Follows a fill from its beginning.
#[derive(Debug)]
pub(super) struct Reader {
    fill: Arc<Fill>,
    place: usize,
}

impl Reader {
    /// The next bytes, once they are there; `None` at the end. May be dropped and called again.
    ///
    /// # Errors
    ///
    /// The content will not come to its end here.
    pub(super) async fn read(&self) -> Result<Option<Bytes>, FillError> {
        loop {
            let mut changed = pin!(self.fill.changed.notified());
            changed.as_mut().enable();
            if let Some(outcome) = self.read_now() {
                return outcome;
            }
            changed.await;
        }
    }

    fn read_now(&self) -> Option<Result<Option<Bytes>, FillError>> {
        let mut state = self.fill.state();
        if state.phase == Phase::Aborted {
            // What is left may be read by nobody: a client must not take it for progress.
            return Some(Err(FillError::Aborted));
        }
        let next = state.readers.get(self.place).copied().flatten()?;
        let Some(at) = next.checked_sub(state.first) else {
            return Some(Err(FillError::TooSlow));
        };
        let (piece, count) = if state.phase == Phase::PassingOn {
            // All at once, so that the writer, which may be the same task, has nothing to hold.
            let count = state.pieces.len().saturating_sub(at);
            (join(state.pieces.iter().skip(at)), count)
        } else {
            (state.pieces.get(at).cloned(), 1)
        };
        let Some(piece) = piece else {
            return (state.phase == Phase::Complete).then_some(Ok(None));
        };
        if let Some(reader) = state.readers.get_mut(self.place) {
            *reader = Some(next + count);
        }
        if state.phase == Phase::PassingOn {
            self.fill.drop_what_was_read(&mut state);
        }
        Some(Ok(Some(piece)))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(reader) = self.fill.state().readers.get_mut(self.place) {
            *reader = None;
        }
    }
}

fn join<'p>(mut pieces: impl Iterator<Item = &'p Bytes>) -> Option<Bytes> {
    let first = pieces.next()?;
    let Some(second) = pieces.next() else {
        return Some(first.clone());
    };
    let mut joined = BytesMut::from(&first[..]);
    joined.extend_from_slice(second);
    pieces.for_each(|piece| joined.extend_from_slice(piece));
    Some(joined.freeze())
}

#[cfg(test)]
mod tests;
