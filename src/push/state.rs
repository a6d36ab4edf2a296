//! What one HTTP/2 connection knows about its client, shared by all its streams.
//!
//! `h2` writes it (settings, refusals, what became of promises), `proxy` plans with it; it rides
//! to the proxy as `Arc<PushState>` in the digest of the connection. No I/O, no clock.

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
};

/// The client of one HTTP/2 connection.
#[derive(Debug)]
pub struct PushState {
    enable_push: AtomicBool,
    going_away: AtomicBool,
    max_concurrent_streams: AtomicU32,
    refusals: AtomicU32,
    /// `true` while links of a 103 may still be asked for.
    has_hints: AtomicBool,
    ledger: Mutex<Ledger>,
}

#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) diary: Diary,
    pub(super) open_promises: usize,
    hinted: Hinted,
}

impl PushState {
    /// A client that has sent no SETTINGS yet: it takes pushes, without a limit (RFC 9113 section 6.5.2).
    #[must_use]
    pub fn new(diary_entries: usize) -> Self {
        Self {
            enable_push: AtomicBool::new(true),
            going_away: AtomicBool::new(false),
            max_concurrent_streams: AtomicU32::new(u32::MAX),
            refusals: AtomicU32::new(0),
            has_hints: AtomicBool::new(false),
            ledger: Mutex::new(Ledger {
                diary: Diary::new(diary_entries),
                open_promises: 0,
                hinted: Hinted::default(),
            }),
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

    /// Counts a request for a part of a document; returns whether a 103 on this connection named its URL. A connection
    /// without a 103 pays one load.
    pub fn count_hinted(
        &self,
        (scheme, authority, path_and_query): (&str, &str, &str),
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

    /// Promised streams that it reset.
    pub(super) fn refusals(&self) -> u32 {
        self.refusals.load(Ordering::Relaxed)
    }

    /// Promises that are reserved or under way.
    #[must_use]
    pub fn open_promises(&self) -> usize {
        self.ledger().open_promises
    }

    /// A panic elsewhere leaves both fields usable, so a poisoned lock is taken all the same.
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one promise among the client's open streams; gives it back when dropped.
#[derive(Debug)]
pub struct Slot {
    client: Arc<PushState>,
    key: UrlKey,
    sent: AtomicBool,
}

impl Slot {
    /// Takes a place for a promise of this URL.
    pub(super) fn new(client: &Arc<PushState>, key: UrlKey, ledger: &mut Ledger) -> Self {
        ledger.diary.record(key, Known::Pushed);
        ledger.open_promises += 1;
        Self {
            client: Arc::clone(client),
            key,
            sent: AtomicBool::new(false),
        }
    }

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
