//! Of all who want the same answer, one asks the origin and the others wait.
//!
//! Pingora's lock sees to that, with a gap: a request looks into the store, finds nothing, and then takes the lock. If the
//! answer comes and the lock is let go between the two, the request gets it, and the origin is asked again for what has just
//! come. So the store is looked into once more, under the lock, before anybody asks: if there is something new, that is used.

use std::time::{Duration, SystemTime};

use pingora_cache::{
    CacheKey,
    lock::{CacheKeyLock, CacheLock, LockStatus, Locked, WritePermit},
};

use super::{
    memory::Store,
    trail::{Trail, entry_of},
};

/// The lock of a store's entries.
#[derive(Debug)]
pub struct Lock {
    pingoras: CacheLock,
    store: &'static Store,
}

impl Lock {
    /// A lock that nobody holds for longer than this: then another one may ask.
    #[must_use]
    pub fn new(store: &'static Store, longest: Duration) -> Self {
        Self {
            pingoras: CacheLock::new(longest),
            store,
        }
    }

    /// Whether a look-up would now find a fresh answer that the request's own last look-up did not find.
    fn has_news(&self, key: &CacheKey) -> bool {
        let fresh = self.store.fresh_id(entry_of(key), &key.user_tag, SystemTime::now());
        match (fresh, Trail::of(key)) {
            (Some(id), Some(trail)) => !trail.has_found(id),
            _ => false,
        }
    }
}

impl CacheKeyLock for Lock {
    /// Who could ask is told to wait instead if the answer has come since it looked. What it waits for has ended already, so
    /// Pingora lets it look again at once.
    ///
    /// No answer is missed: a writer puts it, or its fill, into the store before it lets the lock go.
    ///
    /// Nobody goes round in circles. Looking again, a request finds what it was sent back for, or what came later; that is
    /// noted, and does not send it back again. So it may ask where it cannot use what is there: a hit that is made a
    /// miss, a variant older than the first answer of its URL. If it finds a variant for others, its key names another entry
    /// from then on, of which the same holds. What is stale sends nobody back. To be sent back once more takes another
    /// fresh answer of the origin each time, and Pingora counts these as waits: at the third, a request asks without the cache.
    fn lock(&self, key: &CacheKey, stale_writer: bool) -> Locked {
        let permit = match self.pingoras.lock(key, stale_writer) {
            Locked::Write(permit) => permit,
            waiting @ Locked::Read(_) => return waiting,
        };
        if !self.has_news(key) {
            return Locked::Write(permit);
        }
        // While it holds the permit, this is a wait; but for one who slept through the permit's time, and may ask.
        let waiting = self.pingoras.lock(key, stale_writer);
        self.pingoras.release(key, permit, LockStatus::Done);
        waiting
    }

    fn release(&self, key: &CacheKey, permit: WritePermit, reason: LockStatus) {
        self.pingoras.release(key, permit, reason);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use pingora::http::ResponseHeader;
    use pingora_cache::{CacheMeta, MissHandler, Storage as _, trace::Span};

    use super::*;
    use crate::cache::StoreLimits;

    /// A store with its lock.
    struct Bench {
        store: &'static Store,
        lock: Lock,
    }

    impl Bench {
        fn new() -> Self {
            let store: &'static Store = Box::leak(Box::new(Store::new(StoreLimits::default(), (1, 2))));
            let lock = Lock::new(store, Duration::from_secs(60));
            Self { store, lock }
        }

        /// A request begins.
        fn request(&self, upstream: &str) -> CacheKey {
            let url = self.store.hasher().url("http", "h", "/a");
            crate::cache::cache_key(self.store, url, "http://h/a".to_owned(), upstream)
        }

        async fn finds(&self, key: &CacheKey) -> bool {
            let found = self.store.lookup(key, &Span::inactive().handle()).await;
            found.expect("no error").is_some()
        }

        /// The header of an answer has come.
        async fn begin_fill(&self, key: &CacheKey, fresh_until: SystemTime) -> MissHandler {
            let response = ResponseHeader::build(200, None).expect("a header");
            let meta = CacheMeta::new(fresh_until, SystemTime::now(), 0, 0, response);
            let span = Span::inactive().handle();
            self.store.get_miss_handler(key, &meta, &span).await.expect("a fill")
        }

        /// A whole answer comes.
        async fn fill(&self, key: &CacheKey, fresh_until: SystemTime) {
            let mut fill = self.begin_fill(key, fresh_until).await;
            fill.write_body(Bytes::from_static(b"content"), true)
                .await
                .expect("written");
            fill.finish().await.expect("kept");
        }

        fn permit(&self, key: &CacheKey) -> Option<WritePermit> {
            match self.lock.lock(key, false) {
                Locked::Write(permit) => Some(permit),
                Locked::Read(_) => None,
            }
        }

        /// Whether a request has to ask the origin, and does so without an answer; if not, it need not wait.
        fn asks(&self, key: &CacheKey) -> bool {
            match self.lock.lock(key, false) {
                Locked::Write(permit) => {
                    self.lock.release(key, permit, LockStatus::TransientError);
                    true
                }
                Locked::Read(waiting) => {
                    assert!(!waiting.locked() && waiting.lock_status() == LockStatus::Done);
                    false
                }
            }
        }
    }

    const STALE: SystemTime = SystemTime::UNIX_EPOCH;

    fn fresh() -> SystemTime {
        SystemTime::now() + Duration::from_secs(60)
    }

    #[tokio::test]
    async fn an_answer_that_comes_after_the_look_up_is_looked_up_again() {
        let bench = Bench::new();
        let (first, late, later) = (bench.request("app"), bench.request("app"), bench.request("app"));
        for key in [&first, &late, &later] {
            assert!(!bench.finds(key).await);
        }
        let permit = bench.permit(&first).expect("nobody else is asking");
        let fill = bench.begin_fill(&first, fresh()).await;
        bench.lock.release(&first, permit, LockStatus::Done);
        assert!(!bench.asks(&late), "it is on its way");
        assert!(bench.finds(&late).await);
        fill.finish().await.expect("kept");
        assert!(!bench.asks(&later), "it is there");
        assert!(bench.finds(&later).await);
    }

    #[tokio::test]
    async fn while_one_asks_the_others_wait_for_it() {
        let bench = Bench::new();
        let (first, other) = (bench.request("app"), bench.request("app"));
        let permit = bench.permit(&first).expect("nobody else is asking");
        let locked = bench.lock.lock(&other, false);
        assert!(matches!(&locked, Locked::Read(waiting) if waiting.locked()));
        bench.lock.release(&first, permit, LockStatus::GiveUp);
        assert!(matches!(locked, Locked::Read(waiting) if waiting.lock_status() == LockStatus::GiveUp));
    }

    #[tokio::test]
    async fn what_was_found_and_not_used_sends_nobody_back() {
        let bench = Bench::new();
        let key = bench.request("app");
        let fill = bench.begin_fill(&key, fresh()).await;
        assert!(bench.finds(&key).await);
        assert!(bench.asks(&key), "a hit that is made a miss");
        fill.finish().await.expect("kept");
        assert!(bench.asks(&key), "the same answer, whole now");
        bench.fill(&bench.request("app"), fresh()).await;
        assert!(!bench.asks(&key), "another one");
        assert!(bench.finds(&key).await);
        assert!(bench.asks(&key));
    }

    #[tokio::test]
    async fn a_stale_answer_is_asked_for_again_once() {
        let bench = Bench::new();
        let (first, late) = (bench.request("app"), bench.request("app"));
        bench.fill(&first, STALE).await;
        let found = bench.store.lookup(&first, &Span::inactive().handle()).await;
        let (mut meta, _) = found.expect("no error").expect("it is kept");
        assert!(bench.finds(&late).await);
        assert!(bench.asks(&late), "it is what was found");
        // The origin says that it has not changed.
        let extensions = meta.extensions().clone();
        meta = CacheMeta::new(fresh(), SystemTime::now(), 0, 0, meta.response_header_copy());
        *meta.extensions_mut() = extensions;
        let updated = bench.store.update_meta(&first, &meta, &Span::inactive().handle()).await;
        assert!(updated.expect("no error"));
        assert!(!bench.asks(&late), "it is fresh again");
        assert!(bench.finds(&late).await);
        assert!(bench.asks(&late));
    }

    #[tokio::test]
    async fn what_a_look_up_would_not_give_sends_nobody_back() {
        let bench = Bench::new();
        let (stale, purged, other) = (bench.request("app"), bench.request("app"), bench.request("other"));
        let mut variant = bench.request("app");
        variant.set_variance_key([1; 16]);
        for key in [&stale, &purged, &other, &variant] {
            assert!(!bench.finds(key).await);
        }
        bench.fill(&bench.request("app"), STALE).await;
        assert!(bench.asks(&stale), "an answer past its time");
        let _fill = bench.begin_fill(&bench.request("app"), fresh()).await;
        assert!(bench.asks(&other), "that of another upstream");
        assert!(bench.asks(&variant), "that of another variant");
        let url = bench.store.hasher().url("http", "h", "/a");
        bench.store.forget(url);
        assert!(bench.asks(&purged), "one that was purged on its way");
    }
}
