//! What the h2 crate holds of response bodies, all streams of a connection together.
//!
//! It takes up to its send buffer from each stream, whether the client reads or not. So each chunk takes
//! a place in this queue first, and gives it back when the h2 crate drops it: written, or discarded with
//! a stream that was reset. Whoever waits longest is next.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of all streams: a few times what leaves in one write, so that streams need not wait for each
/// other's turn of the connection's task.
const CAPACITY: usize = 256 * 1024;

/// Bytes of a place: less of a semaphore's counting, and no more than what small chunks waste.
const UNIT: usize = 1024;

/// Bytes that a stream gets at least when it has waited: one default frame.
const CHUNK: usize = 16 * 1024;

/// The queue of one connection; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Queue(Arc<Semaphore>);

/// Places for a chunk.
#[derive(Debug)]
pub(super) struct Place {
    permit: OwnedSemaphorePermit,
}

impl Default for Queue {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(CAPACITY / UNIT)))
    }
}

impl Queue {
    /// Takes as many places as there are, at most for this many bytes, if they are worth a frame.
    pub(super) fn try_place(&self, wanted: usize) -> Option<Place> {
        let units = units(wanted);
        let free = self.0.available_permits();
        if free < units.min(CHUNK / UNIT) {
            return None;
        }
        let permit = Arc::clone(&self.0).try_acquire_many_owned(number(units.min(free)));
        permit.ok().map(|permit| Place { permit })
    }

    /// Waits for places: for this many bytes, or one frame.
    pub(super) async fn place(&self, wanted: usize) -> Option<Place> {
        let units = number(units(wanted).min(CHUNK / UNIT));
        let permit = Arc::clone(&self.0).acquire_many_owned(units).await;
        // The semaphore is never closed.
        permit.ok().map(|permit| Place { permit })
    }
}

fn units(bytes: usize) -> usize {
    bytes.div_ceil(UNIT).min(CAPACITY / UNIT)
}

fn number(units: usize) -> u32 {
    u32::try_from(units).unwrap_or(u32::MAX)
}

impl Place {
    /// Bytes that it has room for.
    pub(super) fn bytes(&self) -> usize {
        self.permit.num_permits() * UNIT
    }

    /// A chunk that keeps its places until it is dropped.
    pub(super) fn hold(self, chunk: Bytes) -> Bytes {
        Bytes::from_owner(Held { chunk, _place: self })
    }
}

struct Held {
    chunk: Bytes,
    _place: Place,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.chunk
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_come_back_when_a_chunk_is_dropped() {
        let queue = Queue::default();
        let all = queue.try_place(usize::MAX).expect("an empty queue");
        assert_eq!(all.bytes(), CAPACITY);
        assert!(queue.try_place(1).is_none());
        let mut chunk = all.hold(Bytes::from_static(&[7; CAPACITY]));
        let first = chunk.split_to(CHUNK);
        drop(first);
        assert!(queue.try_place(1).is_none(), "the rest is still held");
        drop(chunk);
        assert_eq!(queue.place(usize::MAX).await.expect("places").bytes(), CHUNK);
    }

    #[tokio::test]
    async fn whoever_waits_is_not_overtaken() {
        let queue = Queue::default();
        let most = queue.try_place(CAPACITY - CHUNK / 2).expect("an empty queue");
        let mut waiting = std::pin::pin!(queue.place(CHUNK));
        assert!(futures_poll(&mut waiting).await.is_none());
        assert!(queue.try_place(CHUNK).is_none());
        drop(most);
        assert!(futures_poll(&mut waiting).await.is_some());
    }

    async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        std::future::poll_fn(|cx| match std::pin::Pin::new(&mut *future).poll(cx) {
            std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
            std::task::Poll::Pending => std::task::Poll::Ready(None),
        })
        .await
    }
}
