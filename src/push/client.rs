//! What one HTTP/2 connection knows about its client, shared by all its streams.
//!
//! `h2` writes it (settings, refusals, what became of promises), `proxy` plans with it; it rides
//! to the proxy as `Arc<Client>` in the digest of the connection. No I/O, no clock.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Instant,
};

use super::{
    diary::{Diary, Known, UrlKey},
    hinted::{HintUse, Hinted},
    plan::{Http2Facts, Plan},
};

/// The client of one HTTP/2 connection.
#[derive(Debug)]
pub struct Client {
    enable_push: AtomicBool,
    going_away: AtomicBool,
    max_concurrent_streams: AtomicU32,
    refusals: AtomicU32,
    /// Whether it got a 103 whose links may still be asked for.
    has_hints: AtomicBool,
    ledger: Mutex<Ledger>,
}

#[derive(Debug)]
struct Ledger {
    diary: Diary,
    open_promises: usize,
    hinted: Hinted,
}

impl Client {
    /// A client that has sent no SETTINGS yet: it takes pushes, without a limit (RFC 9113 section 6.5.2).
    #[must_use]
    pub fn new(diary_entries: usize) -> Self {
        Self {
            enable_push: AtomicBool::new(true),
            going_away: AtomicBool::new(false),
            max_concurrent_streams: AtomicU32::new(u32::MAX),
            refusals: AtomicU32::new(0),
            ledger: Mutex::new(Ledger {
                diary: Diary::new(diary_entries),
                open_promises: 0,
                hinted: Hinted::default(),
            }),
            has_hints: AtomicBool::new(false),
        }
    }

    /// The client sent SETTINGS_ENABLE_PUSH.
    pub fn set_enable_push(&self, enabled: bool) {
        self.enable_push.store(enabled, Ordering::Relaxed);
    }

    /// The client sent SETTINGS_MAX_CONCURRENT_STREAMS.
    pub fn set_max_concurrent_streams(&self, limit: u32) {
        self.max_concurrent_streams.store(limit, Ordering::Relaxed);
    }

    /// The client sent GOAWAY: it takes no new promise.
    pub fn set_going_away(&self) {
        self.going_away.store(true, Ordering::SeqCst);
    }

    /// The client reset a promised stream.
    pub fn count_refusal(&self) {
        self.refusals.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a promise may be sent at all.
    #[must_use]
    pub fn accepts_push(&self) -> bool {
        self.enable_push.load(Ordering::Relaxed) && !self.going_away.load(Ordering::SeqCst)
    }

    /// Its SETTINGS_MAX_CONCURRENT_STREAMS.
    #[must_use]
    pub fn max_concurrent_streams(&self) -> usize {
        usize::try_from(self.max_concurrent_streams.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }

    /// The client asked for a URL itself. Of a client that takes no pushes at the moment, as browsers do not, nothing
    /// is noted: it would cost every request, for the sake of one that changes its mind.
    pub fn record_fetched(&self, scheme: &str, authority: &str, path_and_query: &str) {
        if !self.accepts_push() {
            return;
        }
        let diary = &mut self.ledger().diary;
        let key = diary.key(scheme, authority, path_and_query);
        diary.record(key, Known::Fetched);
    }

    /// Returns the key of a URL in the diary.
    #[must_use]
    pub fn key(&self, scheme: &str, authority: &str, path_and_query: &str) -> UrlKey {
        self.ledger().diary.key(scheme, authority, path_and_query)
    }

    /// Remembers the links of a 103, each with its count.
    pub fn note_hinted(&self, links: impl IntoIterator<Item = (UrlKey, Arc<HintUse>)>, now: Instant) {
        self.ledger().hinted.note(links, now);
        self.has_hints.store(true, Ordering::Relaxed);
    }

    /// Counts a request for a part of a document; returns whether a 103 on this connection named its URL. It costs a load
    /// where there was none.
    pub fn count_hinted(
        &self,
        scheme: &str,
        authority: &str,
        path_and_query: &str,
        now: impl FnOnce() -> Instant,
    ) -> bool {
        if !self.has_hints.load(Ordering::Relaxed) {
            return false;
        }
        let ledger = &mut *self.ledger();
        let key = ledger.diary.key(scheme, authority, path_and_query);
        let is_hinted = ledger.hinted.count(key, now());
        if ledger.hinted.is_empty() {
            self.has_hints.store(false, Ordering::Relaxed);
        }
        is_hinted
    }

    /// Promises that are reserved or under way.
    #[must_use]
    pub fn open_promises(&self) -> usize {
        self.ledger().open_promises
    }

    /// Plans with the state of this moment and reserves what is planned, so that two documents in
    /// flight at once never promise the same asset, nor more together than the client takes.
    pub fn plan(self: &Arc<Self>, plan: impl FnOnce(&Http2Facts<'_>) -> Plan) -> Plan {
        let mut ledger = self.ledger();
        let mut planned = plan(&Http2Facts {
            accepts_push: self.accepts_push(),
            max_concurrent_streams: self.max_concurrent_streams(),
            open_promises: ledger.open_promises,
            refusals: self.refusals.load(Ordering::Relaxed),
            diary: &ledger.diary,
        });
        for promise in &mut planned.promises {
            ledger.diary.record(promise.key, Known::Pushed);
            ledger.open_promises += 1;
            promise.slot = Some(Arc::new(Slot {
                client: Arc::clone(self),
                key: promise.key,
                sent: AtomicBool::new(false),
            }));
        }
        planned
    }

    /// A panic elsewhere leaves both fields usable, so a poisoned lock is taken all the same.
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one promise among the client's open streams; gives it back when dropped.
#[derive(Debug)]
pub struct Slot {
    client: Arc<Client>,
    key: UrlKey,
    sent: AtomicBool,
}

impl Slot {
    /// The promise is on its way; from now on the diary keeps its URL.
    pub fn mark_sent(&self) {
        self.sent.store(true, Ordering::Relaxed);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut ledger = self.client.ledger();
        ledger.open_promises = ledger.open_promises.saturating_sub(1);
        if !self.sent.load(Ordering::Relaxed) {
            ledger.diary.forget(self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knows(client: &Arc<Client>, path: &str) -> Option<Known> {
        let mut known = None;
        client.plan(|http2| {
            known = http2.diary.knows(http2.diary.key("https", "shop.example", path));
            Plan::default()
        });
        known
    }

    #[test]
    fn only_who_takes_pushes_has_a_diary() {
        let client = Arc::new(Client::new(16));
        client.set_enable_push(false);
        client.record_fetched("https", "shop.example", "/a.css");
        client.set_enable_push(true);
        client.record_fetched("https", "shop.example", "/b.css");
        assert_eq!(
            (knows(&client, "/a.css"), knows(&client, "/b.css")),
            (None, Some(Known::Fetched))
        );
    }
}
