//! Sends one of the requests for the same response to the origin, while the others wait: [`Lock`].
//!
//! Pingora's lock does this with a gap: a request looks up the store, finds nothing, and then takes the lock. If the
//! response is stored and the lock released in between, the request gets the lock and fetches the response a second
//! time. So a request that gets the lock looks up the store once more, and uses a response that is new there.

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
    /// Makes the lock of a store. After `longest` another request may go to the origin, though the first still holds
    /// the lock.
    #[must_use]
    pub fn new(store: &'static Store, longest: Duration) -> Self {
        Self {
            pingoras: CacheLock::new(longest),
            store,
        }
    }

    /// Returns whether a look-up would now find a fresh response that the request's last look-up did not find.
    fn has_news(&self, key: &CacheKey) -> bool {
        let fresh = self.store.fresh_id(entry_of(key), &key.user_tag, SystemTime::now());
        match (fresh, Trail::of(key)) {
            (Some(id), Some(trail)) => !trail.has_found(id),
            _ => false,
        }
    }
}

impl CacheKeyLock for Lock {
    /// Takes Pingora's lock. A request that gets it, though a fresh response has been stored since its look-up, is told
    /// to wait instead. The wait has ended already, so Pingora looks up the store again at once.
    ///
    /// No response is missed: a writer puts the response, or its fill, into the store before it releases the lock.
    ///
    /// No request goes round in circles. The look-up after the wait notes the id of the response that it finds, and
    /// that response makes the request wait no more. So a request that cannot use the response, such as a hit made a
    /// miss or a variant older than the first response of its URL, may go to the origin. A request that finds a variant
    /// for other requests gets the key of another entry, to which the same applies. A stale response makes no request
    /// wait. Each further wait takes another fresh response from the origin, and Pingora counts the waits: at the
    /// third, the request goes to the origin without the cache.
    fn lock(&self, key: &CacheKey, stale_writer: bool) -> Locked {
        let permit = match self.pingoras.lock(key, stale_writer) {
            Locked::Write(permit) => permit,
            waiting @ Locked::Read(_) => {
                // A stale response is used without waiting.
                if !stale_writer {
                    self.store.meter().collapsed.increment();
                }
                return waiting;
            }
        };
        if !self.has_news(key) {
            return Locked::Write(permit);
        }
        // Since the permit is held, this returns a wait, except after the permit's time limit: then the request may go
        // to the origin.
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

        /// Returns the key of a request that begins now.
        fn request(&self, upstream: &str) -> CacheKey {
            let url = self.store.hasher().url("http", "h", "/a");
            crate::cache::cache_key(self.store, url, "http://h/a".to_owned(), upstream)
        }

        async fn finds(&self, key: &CacheKey) -> bool {
            let found = self.store.lookup(key, &Span::inactive().handle()).await;
            found.expect("no error").is_some()
        }

        /// Begins to store a response whose header has come.
        async fn begin_fill(&self, key: &CacheKey, fresh_until: SystemTime) -> MissHandler {
            let response = ResponseHeader::build(200, None).expect("a header");
            let meta = CacheMeta::new(fresh_until, SystemTime::now(), 0, 0, response);
            let span = Span::inactive().handle();
            self.store.get_miss_handler(key, &meta, &span).await.expect("a fill")
        }

        /// Stores a complete response.
        async fn fill(&self, key: &CacheKey, fresh_until: SystemTime) {
            let mut fill = self.begin_fill(key, fresh_until).await;
            fill.write_body(Bytes::from_static(b"content"), true)
                .await
                .expect("written");
            fill.finish().await.expect("stored");
        }

        fn permit(&self, key: &CacheKey) -> Option<WritePermit> {
            match self.lock.lock(key, false) {
                Locked::Write(permit) => Some(permit),
                Locked::Read(_) => None,
            }
        }

        /// Returns whether a request must go to the origin, and ends its turn without a response; if not, asserts that
        /// its wait is over.
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
    async fn a_response_stored_after_the_look_up_is_used_without_asking_the_origin() {
        let bench = Bench::new();
        let (first, late, later) = (bench.request("app"), bench.request("app"), bench.request("app"));
        for key in [&first, &late, &later] {
            assert!(!bench.finds(key).await);
        }
        let permit = bench.permit(&first).expect("nobody else is asking");
        let fill = bench.begin_fill(&first, fresh()).await;
        bench.lock.release(&first, permit, LockStatus::Done);
        assert!(!bench.asks(&late), "a fill has begun");
        assert!(bench.finds(&late).await);
        fill.finish().await.expect("stored");
        assert!(!bench.asks(&later), "the response is stored");
        assert!(bench.finds(&later).await);
    }

    #[tokio::test]
    async fn while_one_request_asks_the_origin_the_others_wait() {
        let bench = Bench::new();
        let (first, other) = (bench.request("app"), bench.request("app"));
        let permit = bench.permit(&first).expect("nobody else is asking");
        let locked = bench.lock.lock(&other, false);
        assert!(matches!(&locked, Locked::Read(waiting) if waiting.locked()));
        bench.lock.release(&first, permit, LockStatus::GiveUp);
        assert!(matches!(locked, Locked::Read(waiting) if waiting.lock_status() == LockStatus::GiveUp));
    }

    #[tokio::test]
    async fn a_response_that_was_found_and_not_used_is_not_waited_for() {
        let bench = Bench::new();
        let key = bench.request("app");
        let fill = bench.begin_fill(&key, fresh()).await;
        assert!(bench.finds(&key).await);
        assert!(bench.asks(&key), "a hit that is made a miss");
        fill.finish().await.expect("stored");
        assert!(bench.asks(&key), "the same response, complete now");
        bench.fill(&bench.request("app"), fresh()).await;
        assert!(!bench.asks(&key), "another response");
        assert!(bench.finds(&key).await);
        assert!(bench.asks(&key));
    }

    #[tokio::test]
    async fn a_stale_response_is_revalidated_once() {
        let bench = Bench::new();
        let (first, late) = (bench.request("app"), bench.request("app"));
        bench.fill(&first, STALE).await;
        let found = bench.store.lookup(&first, &Span::inactive().handle()).await;
        let (mut meta, _) = found.expect("no error").expect("it is stored");
        assert!(bench.finds(&late).await);
        assert!(bench.asks(&late), "the look-up has found this one");
        // The origin answers 304.
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
    async fn a_response_that_a_look_up_would_not_return_is_not_waited_for() {
        let bench = Bench::new();
        let (stale, purged, other) = (bench.request("app"), bench.request("app"), bench.request("other"));
        let mut variant = bench.request("app");
        variant.set_variance_key([1; 16]);
        for key in [&stale, &purged, &other, &variant] {
            assert!(!bench.finds(key).await);
        }
        bench.fill(&bench.request("app"), STALE).await;
        assert!(bench.asks(&stale), "a stale response");
        let _fill = bench.begin_fill(&bench.request("app"), fresh()).await;
        assert!(bench.asks(&other), "the response of another upstream");
        assert!(bench.asks(&variant), "another variant");
        let url = bench.store.hasher().url("http", "h", "/a");
        bench.store.forget(url);
        assert!(bench.asks(&purged), "a response that was purged while it arrived");
    }
}
