//! One stream's place in the order: what it tells, and how it waits for its turn.

use std::{
    pin::pin,
    sync::{Arc, atomic::Ordering},
};

use super::{Ending, PushState, Rank, SendOrder};
use crate::push::Urgency;

/// A stream with a body under way; leaves the order when dropped.
#[derive(Debug)]
pub(in crate::h2) struct Lane {
    pub(super) order: Arc<SendOrder>,
    /// `None` once the order itself waits for the end.
    pub(super) kind: Option<LaneKind>,
    pub(super) stalled: bool,
}

/// What a stream is in the order.
#[derive(Debug, Clone, Copy)]
pub(super) enum LaneKind {
    Document(Urgency),
    Push(Rank),
}

impl Lane {
    /// The order it belongs to.
    pub(in crate::h2) fn order(&self) -> Arc<SendOrder> {
        Arc::clone(&self.order)
    }

    /// Bytes of the stream are about to be handed over for sending.
    ///
    /// Must come before they are, else they could be seen before.
    pub(in crate::h2) fn queue(&mut self, bytes: usize) {
        match self.kind {
            None => {}
            Some(LaneKind::Document(urgency)) => self.order.documents.progress(urgency, self.order.now()),
            Some(LaneKind::Push(rank)) => {
                let now = self.order.now();
                self.update(rank, |push| {
                    push.progress = now;
                    push.queued += bytes;
                });
            }
        }
    }

    /// The stream has bytes but no window, or has a window again.
    pub(in crate::h2) fn set_stalled(&mut self, stalled: bool) {
        if self.stalled == stalled {
            return;
        }
        self.stalled = stalled;
        match self.kind {
            None => {}
            Some(LaneKind::Document(urgency)) if stalled => self.order.documents.stall(urgency),
            Some(LaneKind::Document(urgency)) => self.order.documents.resume(urgency),
            Some(LaneKind::Push(rank)) => self.update(rank, |push| push.stalled = stalled),
        }
        if !stalled {
            self.order.wake();
        }
    }

    /// The last bytes of a stream are about to be handed over; it counts until they are sent.
    ///
    /// Must come before they are handed over, else their END_STREAM could be seen before.
    pub(in crate::h2) fn end(mut self, stream: u32) {
        if self.order.promised.load(Ordering::SeqCst) == 0 {
            return;
        }
        self.queue(0);
        self.set_stalled(true);
        if let Some(kind) = self.kind.take() {
            if let LaneKind::Push(rank) = kind {
                self.update(rank, |push| push.is_ending = true);
            }
            let mut ending = self.order.ending();
            let since = self.order.now();
            ending.push(Ending { stream, kind, since });
            self.order.ending_count.store(ending.len(), Ordering::SeqCst);
        }
    }

    /// What the client has asked for a stream since this was last looked for.
    pub(in crate::h2) fn asked_of(&self, stream: u32) -> Option<Urgency> {
        self.order.asked_of(stream)
    }

    /// The client has asked for another urgency of a document that is under way.
    pub(in crate::h2) fn ask(&mut self, urgency: Urgency) {
        let Some(LaneKind::Document(old)) = self.kind else {
            return;
        };
        let documents = &self.order.documents;
        documents.open(urgency, self.order.now());
        if self.stalled {
            documents.stall(urgency);
            documents.resume(old);
        }
        documents.close(old);
        self.kind = Some(LaneKind::Document(urgency));
        self.order.wake();
    }

    /// Whether this stream may send now.
    pub(in crate::h2) fn may_send(&self) -> bool {
        self.kind.is_none_or(|kind| self.order.wait_of(kind).is_none())
    }

    /// Waits until this stream may send.
    pub(in crate::h2) async fn turn(&self) {
        let Some(kind) = self.kind else { return };
        if self.order.wait_of(kind).is_none() {
            return;
        }
        let _waiting = Waiting::new(self, kind);
        loop {
            let mut changed = pin!(self.order.changed.notified());
            changed.as_mut().enable();
            let Some(wait) = self.order.wait_of(kind) else { return };
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn update(&self, rank: Rank, change: impl FnOnce(&mut PushState)) {
        if let Some(push) = self.order.pushes().iter_mut().find(|push| push.rank == rank) {
            change(push);
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(kind) = self.kind {
            self.order.close(kind, self.stalled);
        }
    }
}

/// A stream that waits for its turn.
pub(super) struct Waiting<'a> {
    lane: &'a Lane,
    kind: LaneKind,
}

impl<'a> Waiting<'a> {
    pub(super) fn new(lane: &'a Lane, kind: LaneKind) -> Self {
        lane.order.waiting.fetch_add(1, Ordering::SeqCst);
        if let LaneKind::Push(rank) = kind {
            lane.update(rank, |push| push.waiting = true);
        }
        Self { lane, kind }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let LaneKind::Push(rank) = self.kind {
            let now = self.lane.order.now();
            self.lane.update(rank, |push| {
                push.waiting = false;
                push.progress = now;
            });
        }
        self.lane.order.waiting.fetch_sub(1, Ordering::SeqCst);
        self.lane.order.wake();
    }
}
