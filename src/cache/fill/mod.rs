//! A content on its way from the origin: one writer, and readers that follow it.
//!
//! While it is kept, all of it is held, so readers may come at any time and be as slow as they like. What turns out to be
//! too large to be kept goes on to those who read it already, each byte, and is held no longer than until the slowest
//! of them has it: meanwhile the origin is not [read](Valve). Whether it is kept changes nothing for them.

mod budget;

use std::{
    collections::{BTreeMap, VecDeque},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::Notify;

pub use budget::Reserved;
pub(super) use budget::{FillBudget, Share};

use super::{body::Body, object::Head, purge::Begun};
use crate::backpressure::Valve;

/// One content on its way.
#[derive(Debug)]
pub(super) struct Fill {
    pub(super) id: u64,
    pub(super) head: Head,
    pub(super) begun: Begun,
    state: Mutex<FillState>,
    changed: Notify,
    /// Stops the origin; `None` if the origin cannot be stopped.
    valve: Option<Arc<Valve>>,
}

#[derive(Debug)]
struct FillState {
    /// All of it is held, to be kept when it is complete.
    is_kept: bool,
    end: Option<FillEnd>,
    pieces: VecDeque<Bytes>,
    /// Index of the first piece that is still held.
    first: usize,
    /// Bytes of the pieces held.
    held: usize,
    /// Bytes written so far.
    written: usize,
    share: Share,
    readers: Readers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FillEnd {
    /// The writer has written all of it.
    Complete,
    /// The writer is gone before that.
    Aborted,
}

/// The readers of a fill, each by the index of the piece that it reads next.
#[derive(Debug, Default)]
struct Readers {
    /// The reader of the request that brings the content.
    own: Option<usize>,
    /// How many other readers are at each piece.
    others: BTreeMap<usize, usize>,
}

/// Why a content cannot be read or written on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FillError {
    /// The writer is gone before the end.
    #[error("the answer broke off")]
    Aborted,
    /// It is too large to be kept, and nobody reads it.
    #[error("nobody reads an answer that is too large to be kept")]
    NoReader,
}

/// Bytes of what is not kept that may be held before the origin is no longer read: what Pingora's pipe has by then comes, too.
const MAX_UNREAD: usize = 128 * 1024;

impl Fill {
    pub(super) fn new(id: u64, head: Head, begun: Begun, share: Share, valve: Option<Arc<Valve>>) -> Self {
        Self {
            id,
            head,
            begun,
            state: Mutex::new(FillState {
                is_kept: true,
                end: None,
                pieces: VecDeque::new(),
                first: 0,
                held: 0,
                written: 0,
                share,
                readers: Readers::default(),
            }),
            changed: Notify::new(),
            valve,
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
        state.written += piece.len();
        state.held += piece.len();
        let has_room = state.share.take(piece.len());
        state.is_kept &= has_room;
        state.pieces.push_back(piece);
        if !state.is_kept {
            if self.valve.as_ref().is_some_and(|valve| valve.has_client_left()) {
                state.readers.own = None;
            }
            if state.readers.slowest().is_none() {
                return Err(FillError::NoReader);
            }
            self.drop_what_was_read(&mut state);
        }
        drop(state);
        self.changed.notify_waiters();
        Ok(())
    }

    /// The reader of the request that brings the content, from the beginning.
    pub(super) fn own_reader(self: &Arc<Self>) -> Reader {
        self.state().readers.own = Some(0);
        self.reads(true)
    }

    /// A reader from the beginning; `None` where that may not be held any more when it comes to it.
    pub(super) fn reader(self: &Arc<Self>) -> Option<Reader> {
        let mut state = self.state();
        if !state.is_readable() {
            return None;
        }
        state.readers.join();
        drop(state);
        Some(self.reads(false))
    }

    fn reads(self: &Arc<Self>, is_own: bool) -> Reader {
        Reader {
            fill: Arc::clone(self),
            next: 0,
            is_own,
        }
    }

    /// Whether a reader could begin now.
    pub(super) fn is_readable(&self) -> bool {
        self.state().is_readable()
    }

    /// The whole content, if it is to be kept.
    pub(super) fn whole(&self) -> Option<Body> {
        let state = self.state();
        let is_whole = state.is_kept && state.end.is_none();
        is_whole.then(|| Body::new(state.pieces.iter().cloned()))
    }

    /// Bytes written so far.
    pub(super) fn written(&self) -> usize {
        self.state().written
    }

    /// The content is complete.
    pub(super) fn complete(&self) {
        self.end(FillEnd::Complete);
    }

    /// The writer is gone; nothing changes if it was complete.
    pub(super) fn abort(&self) {
        self.end(FillEnd::Aborted);
    }

    fn end(&self, end: FillEnd) {
        let mut state = self.state();
        state.end.get_or_insert(end);
        if state.is_kept && end == FillEnd::Complete {
            // From here on its bytes are those of what is kept.
            state.share.settle();
        }
        if let Some(valve) = &self.valve {
            // It is another request's from now on.
            valve.open();
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Lets go of what nobody is to read any more. While much is left the origin is not read.
    fn drop_what_was_read(&self, state: &mut FillState) {
        if state.is_kept {
            return;
        }
        let slowest = state.readers.slowest().unwrap_or(usize::MAX);
        while state.first < slowest
            && let Some(piece) = state.pieces.pop_front()
        {
            state.first += 1;
            state.held -= piece.len();
            state.share.give_back(piece.len());
        }
        if let Some(valve) = self.valve.as_ref().filter(|_| state.end.is_none()) {
            if state.held > MAX_UNREAD {
                valve.shut();
            } else {
                valve.open();
            }
        }
    }

    /// A panic elsewhere leaves the state usable, so a poisoned lock is taken all the same.
    fn state(&self) -> MutexGuard<'_, FillState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FillState {
    fn is_readable(&self) -> bool {
        self.is_kept && self.end != Some(FillEnd::Aborted)
    }
}

impl Readers {
    fn slowest(&self) -> Option<usize> {
        let others = self.others.keys().next().copied();
        self.own.into_iter().chain(others).min()
    }

    fn join(&mut self) {
        *self.others.entry(0).or_default() += 1;
    }

    fn leave(&mut self, at: usize) {
        if let Some(count) = self.others.get_mut(&at) {
            *count -= 1;
            if *count == 0 {
                self.others.remove(&at);
            }
        }
    }

    fn go_on(&mut self, at: usize, is_own: bool) {
        if !is_own {
            self.leave(at);
            *self.others.entry(at + 1).or_default() += 1;
        } else if self.own.is_some() {
            self.own = Some(at + 1);
        }
    }
}

/// Follows a fill from its beginning.
#[derive(Debug)]
pub(super) struct Reader {
    fill: Arc<Fill>,
    /// Index of its next piece.
    next: usize,
    is_own: bool,
}

impl Reader {
    /// The next bytes, once they are there; `None` at the end. May be dropped and called again.
    ///
    /// # Errors
    ///
    /// The content will not come to its end here.
    pub(super) async fn read(&mut self) -> Result<Option<Bytes>, FillError> {
        let fill = Arc::clone(&self.fill);
        loop {
            let mut changed = pin!(fill.changed.notified());
            changed.as_mut().enable();
            if let Some(outcome) = self.read_now() {
                return outcome;
            }
            changed.await;
        }
    }

    fn read_now(&mut self) -> Option<Result<Option<Bytes>, FillError>> {
        let mut state = self.fill.state();
        if state.end == Some(FillEnd::Aborted) {
            // What is left may be read by nobody: a client must not take it for progress.
            return Some(Err(FillError::Aborted));
        }
        let Some(at) = self.next.checked_sub(state.first) else {
            // Its place was given up: its client had left.
            return Some(Err(FillError::NoReader));
        };
        let Some(piece) = state.pieces.get(at).cloned() else {
            return (state.end == Some(FillEnd::Complete)).then_some(Ok(None));
        };
        state.readers.go_on(self.next, self.is_own);
        self.next += 1;
        self.fill.drop_what_was_read(&mut state);
        Some(Ok(Some(piece)))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.fill.state();
        if self.is_own {
            state.readers.own = None;
        } else {
            state.readers.leave(self.next);
        }
        self.fill.drop_what_was_read(&mut state);
    }
}

/// Where an answer comes from that is to be kept, in its record.
#[derive(Debug, Clone)]
pub struct FillSource {
    /// Stops the origin, where it can be stopped.
    pub valve: Option<Arc<Valve>>,
    /// Room for its content, if its length is known.
    pub reserved: Option<Arc<Reserved>>,
}

#[cfg(test)]
mod tests;
