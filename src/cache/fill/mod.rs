//! Passes content that is arriving from the origin to its readers, and holds it to be stored: one writer, any number of
//! readers.
//!
//! While the content may be stored, all of it is held, so a reader may start at any time and be as slow as it likes.
//! Content that turns out too large still reaches the readers that have started, every byte. Each piece is then held
//! only until the slowest reader has it; while more than [`MAX_UNREAD`] bytes are held, the [`Valve`] stops the reading
//! of the origin.

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

/// One response whose content is arriving.
#[derive(Debug)]
pub(super) struct Fill {
    pub(super) id: u64,
    pub(super) head: Head,
    pub(super) begun: Begun,
    state: Mutex<FillState>,
    changed: Notify,
    /// Stops the reading of the origin; `None` if its connection has no valve.
    valve: Option<Arc<Valve>>,
}

#[derive(Debug)]
struct FillState {
    /// All content is held, to be stored when it is complete.
    will_be_stored: bool,
    end: Option<FillEnd>,
    pieces: VecDeque<Bytes>,
    /// Index of the first piece in `pieces`, counted from the beginning of the content.
    first: usize,
    /// Bytes in `pieces`.
    held: usize,
    /// Bytes written so far.
    written: usize,
    share: Share,
    readers: Readers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FillEnd {
    /// The writer has written all content.
    Complete,
    /// The writer was dropped before.
    Aborted,
}

/// The readers of a fill, each as the index of the piece that it reads next.
#[derive(Debug, Default)]
struct Readers {
    /// The reader of the request that fetches the content.
    own: Option<usize>,
    /// The number of other readers at each piece.
    others: BTreeMap<usize, usize>,
}

/// Why content cannot be read or written any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FillError {
    /// The writer was dropped before the end.
    #[error("the response broke off")]
    Aborted,
    /// The content is too large to be stored, and has no reader.
    #[error("nobody reads a response that is too large to be stored")]
    NoReader,
}

/// Bytes of content too large to be stored that may be held before reading of the origin stops. Bytes that are in
/// Pingora's pipe by then are held as well.
const MAX_UNREAD: usize = 128 * 1024;

impl Fill {
    pub(super) fn new(id: u64, head: Head, begun: Begun, share: Share, valve: Option<Arc<Valve>>) -> Self {
        Self {
            id,
            head,
            begun,
            state: Mutex::new(FillState {
                will_be_stored: true,
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

    /// Adds bytes of content.
    ///
    /// # Errors
    ///
    /// [`FillError::NoReader`]
    pub(super) fn write(&self, piece: Bytes) -> Result<(), FillError> {
        if piece.is_empty() {
            return Ok(());
        }
        let mut state = self.state();
        state.written += piece.len();
        state.held += piece.len();
        let has_room = state.share.take(piece.len());
        state.will_be_stored &= has_room;
        state.pieces.push_back(piece);
        if !state.will_be_stored {
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

    /// Returns the reader of the request that fetches the content, at the beginning.
    pub(super) fn own_reader(self: &Arc<Self>) -> Reader {
        self.state().readers.own = Some(0);
        self.new_reader(true)
    }

    /// Returns another reader, at the beginning; `None` if the content will not be stored, so that its beginning may be
    /// dropped, or was aborted.
    pub(super) fn reader(self: &Arc<Self>) -> Option<Reader> {
        let mut state = self.state();
        if !state.is_readable() {
            return None;
        }
        state.readers.join();
        drop(state);
        Some(self.new_reader(false))
    }

    fn new_reader(self: &Arc<Self>, is_own: bool) -> Reader {
        Reader {
            fill: Arc::clone(self),
            next: 0,
            is_own,
        }
    }

    /// Returns whether `reader` would return a reader now.
    pub(super) fn is_readable(&self) -> bool {
        self.state().is_readable()
    }

    /// Returns the content written so far; `None` if it will not be stored, or the fill has ended.
    pub(super) fn whole(&self) -> Option<Body> {
        let state = self.state();
        let is_whole = state.will_be_stored && state.end.is_none();
        is_whole.then(|| Body::new(state.pieces.iter().cloned()))
    }

    /// Returns the number of bytes written so far.
    pub(super) fn written(&self) -> usize {
        self.state().written
    }

    /// Ends the fill: the content is complete.
    pub(super) fn complete(&self) {
        self.end(FillEnd::Complete);
    }

    /// Ends the fill: no more content comes. Does nothing after `complete`.
    pub(super) fn abort(&self) {
        self.end(FillEnd::Aborted);
    }

    fn end(&self, end: FillEnd) {
        let mut state = self.state();
        state.end.get_or_insert(end);
        if state.will_be_stored && end == FillEnd::Complete {
            // The store counts these bytes from now on.
            state.share.settle();
        }
        if let Some(valve) = &self.valve {
            // The next request on this connection uses the same valve.
            valve.open();
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Drops the pieces that every reader has read, if the content will not be stored. Stops the reading of the origin
    /// while more than [`MAX_UNREAD`] bytes remain.
    fn drop_what_was_read(&self, state: &mut FillState) {
        if state.will_be_stored {
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

    /// Locks the state, poisoned or not: a panic leaves it usable.
    fn state(&self) -> MutexGuard<'_, FillState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FillState {
    fn is_readable(&self) -> bool {
        self.will_be_stored && self.end != Some(FillEnd::Aborted)
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

    fn advance(&mut self, at: usize, is_own: bool) {
        if !is_own {
            self.leave(at);
            *self.others.entry(at + 1).or_default() += 1;
        } else if self.own.is_some() {
            self.own = Some(at + 1);
        }
    }
}

/// Reads the content of a fill from its beginning.
#[derive(Debug)]
pub(super) struct Reader {
    fill: Arc<Fill>,
    /// Index of the next piece to read.
    next: usize,
    is_own: bool,
}

impl Reader {
    /// Waits for the next piece; `None` at the end. A call that is dropped loses no bytes.
    ///
    /// # Errors
    ///
    /// The content was aborted, or this reader was given up because its client had left.
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
            // Pieces still held are not delivered: a client must not take them for progress.
            return Some(Err(FillError::Aborted));
        }
        let Some(at) = self.next.checked_sub(state.first) else {
            // `write` gave this reader up, as its client had left, and the piece is dropped.
            return Some(Err(FillError::NoReader));
        };
        let Some(piece) = state.pieces.get(at).cloned() else {
            return (state.end == Some(FillEnd::Complete)).then_some(Ok(None));
        };
        state.readers.advance(self.next, self.is_own);
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

/// The source of a response that is to be stored. Rides in the extensions of Pingora's `CacheMeta`.
#[derive(Debug, Clone)]
pub struct FillSource {
    /// Stops the reading of the origin; `None` if its connection has no valve.
    pub valve: Option<Arc<Valve>>,
    /// Bytes reserved for the content; `None` if its length is unknown.
    pub reserved: Option<Arc<Reserved>>,
}

#[cfg(test)]
mod tests;
