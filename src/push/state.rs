//! Holds what one HTTP/2 connection knows about its client, shared by all its streams.
//!
//! `h2` records settings, refusals and the end of promises, `proxy` plans with them; the proxy finds the
//! `Arc<PushState>` in the digest of the connection. No I/O, no clock.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Instant,
};

use super::{
    PushCancel, PushMeter, Source,
    diary::{Diary, Known},
    hinted::{Hinted, HintedUrl},
    recent::UrlKey,
};

/// The state of one HTTP/2 connection on which its plans depend.
#[derive(Debug)]
pub struct PushState {
    enable_push: AtomicBool,
    going_away: AtomicBool,
    max_concurrent_streams: AtomicU32,
    refusals: AtomicU32,
    /// Whether requests may still be due to a 103; false lets [`count_hinted`](Self::count_hinted) skip the lock.
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
    /// Makes the state of a client that has sent no SETTINGS yet: it takes pushes, without a limit (RFC 9113 section
    /// 6.5.2).
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

    /// Records the client's SETTINGS_ENABLE_PUSH.
    pub fn set_enable_push(&self, enabled: bool) {
        self.enable_push.store(enabled, Ordering::Relaxed);
    }

    /// Records the client's SETTINGS_MAX_CONCURRENT_STREAMS.
    pub fn set_max_concurrent_streams(&self, limit: u32) {
        self.max_concurrent_streams.store(limit, Ordering::Relaxed);
    }

    /// Records that the client sent GOAWAY: it takes no new promise.
    pub fn set_going_away(&self) {
        self.going_away.store(true, Ordering::SeqCst);
    }

    /// Counts a promised stream that the client reset.
    pub fn count_refusal(&self) {
        self.refusals.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns whether promises may be sent on this connection.
    #[must_use]
    pub fn accepts_push(&self) -> bool {
        self.enable_push.load(Ordering::Relaxed) && !self.going_away.load(Ordering::SeqCst)
    }

    /// The client's SETTINGS_MAX_CONCURRENT_STREAMS.
    #[must_use]
    pub fn max_concurrent_streams(&self) -> usize {
        usize::try_from(self.max_concurrent_streams.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }

    /// Records in the diary that the client requested a URL. Does nothing while the client takes no pushes, as browsers
    /// do: the record would cost a lock and a hash at every request, for clients that enable push later.
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

    /// Remembers the links of a 103; `meter` counts those that the client requests.
    pub fn note_hinted(
        &self,
        links: impl IntoIterator<Item = HintedUrl>,
        network: u64,
        meter: &Arc<PushMeter>,
        now: Instant,
    ) {
        self.ledger().hinted.note(links, network, meter, now);
        self.has_hints.store(true, Ordering::Relaxed);
    }

    /// Returns whether links of a 103 may still be asked for.
    #[must_use]
    pub fn has_hints(&self) -> bool {
        self.has_hints.load(Ordering::Relaxed)
    }

    /// Counts a request for a part of a document; returns whether a 103 on this connection named its URL. Costs one
    /// atomic load on a connection without a 103.
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

    /// Number of promised streams that the client reset.
    pub fn refusals(&self) -> u32 {
        self.refusals.load(Ordering::Relaxed)
    }

    /// Number of promises that are reserved or not finished.
    #[must_use]
    pub fn open_promises(&self) -> usize {
        self.ledger().open_promises
    }

    /// Locks the ledger. A panic under the lock leaves the fields usable, so a poisoned lock is taken too.
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one promise among the client's open streams; given back on drop.
#[derive(Debug)]
pub struct Slot {
    client: Arc<PushState>,
    key: UrlKey,
    sent: AtomicBool,
    /// The counters of the document's route, and where the link was found.
    account: OnceLock<(Arc<PushMeter>, Source)>,
}

impl Slot {
    /// Reserves a place for a promise of this URL.
    pub(super) fn new(client: &Arc<PushState>, key: UrlKey, ledger: &mut Ledger) -> Self {
        ledger.diary.record(key, Known::Pushed);
        ledger.open_promises += 1;
        Self {
            client: Arc::clone(client),
            key,
            sent: AtomicBool::new(false),
            account: OnceLock::new(),
        }
    }

    /// Has `meter` count what becomes of the promise, whose link was found there.
    pub fn count_with(&self, meter: &Arc<PushMeter>, source: Source) {
        // Each promise is planned once.
        let _ = self.account.set((Arc::clone(meter), source));
    }

    /// Records that the promise was sent: its URL stays in the diary when the slot is dropped.
    pub fn mark_sent(&self) {
        self.sent.store(true, Ordering::Relaxed);
        if let Some((meter, source)) = self.account.get() {
            meter.promised.increment(*source);
        }
    }

    /// Counts the end of the promised stream, on which this many bytes of content were sent.
    pub fn count_end(&self, sent: usize, cancel: Option<PushCancel>) {
        if let Some((meter, _)) = self.account.get() {
            meter.count_end(sent, cancel);
        }
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
