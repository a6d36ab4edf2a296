//! Promises that were asked for from the h2 crate and are not on the wire yet: a stop-gap for two defects of h2 0.4.20.
//!
//! - It allots a promised identifier when it is asked for one, and keeps the PUSH_PROMISE in the queue of its document.
//!   The queues of two documents are written in turn, so identifiers leave out of order, which the client must treat as
//!   a connection error (RFC 9113 section 5.1.1). So one document's promises are written before h2 is asked for the
//!   next document's: [`Unwritten::turn`].
//! - It forgets a promised stream that the client's GOAWAY or RST_STREAM closes, and panics when it comes to write the
//!   PUSH_PROMISE (`proto/streams/prioritize.rs`, `pop_frame`), holding a lock that all streams need. So a GOAWAY waits
//!   until nothing is unwritten, and a RST_STREAM of a stream that was never promised ends the connection: see
//!   `observe`.
//!
//! h2 drops a document's promises in silence when the document is reset. The RST_STREAM tells, ours or the client's.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore, SemaphorePermit},
    time::timeout,
};

/// How long a document waits for the promises of others before it goes without its own. A turn of the connection's task
/// writes them, unless the socket takes nothing; then the document's HEADERS could not leave either.
const PATIENCE: Duration = Duration::from_millis(100);

/// The unwritten promises of a connection, all of one document.
#[derive(Debug)]
pub(super) struct Unwritten {
    /// The document that may ask; the others wait in order.
    turn: Semaphore,
    promises: Mutex<Asked>,
    none_left: Notify,
}

#[derive(Debug, Default)]
struct Asked {
    document: u32,
    promises: Vec<u32>,
    last_written: u32,
    /// The client reset the document, which h2 reads before it reads on.
    is_reset: bool,
}

/// A document's turn to ask for promises.
#[derive(Debug)]
pub(super) struct Turn<'u> {
    unwritten: &'u Unwritten,
    document: u32,
    _permit: SemaphorePermit<'u>,
}

impl Default for Unwritten {
    fn default() -> Self {
        Self {
            turn: Semaphore::new(1),
            promises: Mutex::default(),
            none_left: Notify::new(),
        }
    }
}

impl Unwritten {
    /// Resolves when this document's promises may be asked for; `None` if that takes too long.
    pub(super) async fn turn(&self, document: u32) -> Option<Turn<'_>> {
        let turn = async {
            let permit = self.turn.acquire().await.ok()?;
            loop {
                // Only the holder of the permit waits for this, so none that is notified gets lost.
                let none_left = self.none_left.notified();
                let is_free = {
                    let asked = self.asked();
                    asked.promises.is_empty() || asked.document == document
                };
                if is_free {
                    break;
                }
                none_left.await;
            }
            Some(Turn {
                unwritten: self,
                document,
                _permit: permit,
            })
        };
        timeout(PATIENCE, turn).await.ok().flatten()
    }

    /// Whether there are any.
    pub(super) fn any(&self) -> bool {
        !self.asked().promises.is_empty()
    }

    /// Whether the client may know this promised stream.
    pub(super) fn may_be_known(&self, stream: u32) -> bool {
        stream <= self.asked().last_written
    }

    /// A PUSH_PROMISE was written.
    pub(super) fn written(&self, stream: u32) {
        let mut asked = self.asked();
        asked.last_written = asked.last_written.max(stream);
        asked.promises.retain(|&promise| promise != stream);
        if asked.promises.is_empty() {
            self.none_left.notify_one();
        }
    }

    /// A RST_STREAM for a document was written: h2 has written its promises or dropped them.
    pub(super) fn dropped(&self, document: u32) {
        let mut asked = self.asked();
        if asked.document == document {
            self.clear(&mut asked);
        }
    }

    /// A RST_STREAM came from the client. h2 has not read it yet, and may still write the document's promises.
    pub(super) fn reset(&self, document: u32) {
        let mut asked = self.asked();
        asked.is_reset |= asked.document == document;
    }

    /// h2 reads on: it knows of all that it has read before.
    pub(super) fn read_on(&self) {
        let mut asked = self.asked();
        if std::mem::take(&mut asked.is_reset) {
            self.clear(&mut asked);
        }
    }

    fn clear(&self, asked: &mut Asked) {
        asked.promises.clear();
        self.none_left.notify_one();
    }

    /// A panic elsewhere leaves all fields usable. h2 is asked under this lock, and takes its own ones then; it holds none
    /// of them while it reads or writes.
    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.promises.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// Asks for a promise with `ask`, which returns it with the identifier of its stream. Who looks for unwritten promises
    /// afterwards finds it.
    pub(super) fn ask<T>(&self, ask: impl FnOnce() -> Option<(u32, T)>) -> Option<T> {
        let mut asked = self.unwritten.asked();
        let (stream, promise) = ask()?;
        if asked.document != self.document {
            asked.document = self.document;
            asked.is_reset = false;
        }
        asked.promises.push(stream);
        Some(promise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(unwritten: &Unwritten, document: u32, stream: u32) -> bool {
        let turn = unwritten.turn(document).await;
        turn.is_some_and(|turn| turn.ask(|| Some((stream, ()))).is_some())
    }

    #[tokio::test(start_paused = true)]
    async fn a_document_asks_when_those_of_another_are_written_or_gone() {
        let unwritten = Unwritten::default();
        assert!(ask(&unwritten, 1, 2).await);
        assert!(ask(&unwritten, 1, 4).await, "its own do not hinder it");
        unwritten.written(2);
        assert!(!ask(&unwritten, 3, 6).await, "4 is not written");
        unwritten.written(4);
        assert!(ask(&unwritten, 3, 6).await);
        unwritten.dropped(1);
        assert!(!ask(&unwritten, 5, 8).await, "6 is not written");
        unwritten.dropped(3);
        assert!(ask(&unwritten, 5, 8).await);
        unwritten.reset(5);
        assert!(unwritten.any(), "h2 does not know yet");
        unwritten.read_on();
        assert!(!unwritten.any());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_told() {
        let unwritten = Unwritten::default();
        assert!(ask(&unwritten, 1, 2).await);
        let write = async {
            tokio::time::sleep(PATIENCE / 2).await;
            unwritten.written(2);
        };
        let (asked, also, ()) = tokio::join!(ask(&unwritten, 3, 4), ask(&unwritten, 3, 6), write);
        assert!(asked && also);
    }

    #[test]
    fn a_client_knows_what_was_written() {
        let unwritten = Unwritten::default();
        assert!(!unwritten.may_be_known(2));
        unwritten.written(4);
        assert!(unwritten.may_be_known(2) && unwritten.may_be_known(4) && !unwritten.may_be_known(6));
    }
}
