//! Holds what all requests share: the configuration of the moment, the store, and what pushes and documents have
//! taught.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use pingora_cache::lock::CacheKeyLockImpl;

use super::running::OpenRequests;
use crate::{
    cache::{Lock, Retries, Store, Uncacheable},
    learn::ManifestStore,
    link::Target,
    push::{NotReusable, Unpushable, Witness},
    route::Route,
    telemetry::{RouteMeters, spans::Spans},
    trace::{IdSource, RequestIdPolicy},
    upstream::Pool,
};

/// The edge: its configuration, its store, and what it has learned.
#[derive(Debug)]
pub struct Edge {
    pub(super) snapshot: Arc<ArcSwap<ProxySnapshot>>,
    pub(super) manifests: Arc<ManifestStore>,
    pub(super) cache: CacheParts,
    pub(super) running: OpenRequests,
    unpushable: Mutex<Unpushable>,
    not_reusable: Mutex<NotReusable>,
    /// Whether that has none, so that most responses need not lock it.
    all_reusable: AtomicBool,
}

/// The configuration that a reload replaces as a whole. A request stays with the one that it began with.
#[derive(Debug)]
pub struct ProxySnapshot {
    /// Routes, each of which names its pool by index.
    pub routes: Vec<Route>,
    /// The counters of the routes, in the same order.
    pub meters: RouteMeters,
    /// The pools of the upstreams.
    pub pools: Vec<Arc<Pool>>,
    /// The time limits of HTTP/1.x clients.
    pub timeouts: Timeouts,
    /// The ids of requests.
    pub request_ids: RequestIds,
    /// The sender of spans; `None` without traces.
    pub spans: Option<Arc<Spans>>,
}

/// The ids of requests: whether they have any, and new ones.
#[derive(Debug, Default)]
pub struct RequestIds {
    /// Whether requests have an id.
    pub policy: RequestIdPolicy,
    /// New ids.
    pub source: IdSource,
}

/// The time limits of an HTTP/1.x client; HTTP/2 has its own.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For the next bytes of a request.
    pub read: Duration,
    /// To accept the next bytes of a response.
    pub write: Duration,
}

/// The store, with the parts that Pingora's cache has beside it.
pub(super) struct CacheParts {
    pub(super) store: &'static Store,
    pub(super) retries: Retries,
    pub(super) uncacheable: &'static Uncacheable,
    pub(super) lock: &'static CacheKeyLockImpl,
}

/// URLs whose pushed responses may not be delivered that are remembered.
const MAX_UNPUSHABLE: usize = 4096;

/// URLs of assets whose responses cannot be used again that are remembered.
const MAX_NOT_REUSABLE: usize = 4096;

/// For how long others wait for one request, whatever their routes say: then one of them asks the origin.
const LONGEST_LOCK: Duration = Duration::from_secs(60);

#[cfg(test)]
impl ProxySnapshot {
    /// Returns a configuration without routes.
    pub(super) fn empty() -> Self {
        Self {
            routes: Vec::new(),
            meters: RouteMeters::default(),
            pools: Vec::new(),
            timeouts: Timeouts {
                read: Duration::ZERO,
                write: Duration::ZERO,
            },
            request_ids: RequestIds::default(),
            spans: None,
        }
    }
}

impl Edge {
    /// Returns an edge that serves each request by the snapshot of the moment at which it begins.
    #[must_use]
    pub fn new(snapshot: Arc<ArcSwap<ProxySnapshot>>, manifests: Arc<ManifestStore>, store: &'static Store) -> Self {
        Self {
            snapshot,
            manifests,
            cache: CacheParts::new(store),
            running: OpenRequests::default(),
            unpushable: Mutex::new(Unpushable::new(MAX_UNPUSHABLE)),
            not_reusable: Mutex::new(NotReusable::new(MAX_NOT_REUSABLE)),
            all_reusable: AtomicBool::new(true),
        }
    }

    /// Returns the number of running requests, as it changes.
    #[must_use]
    pub fn running(&self) -> OpenRequests {
        self.running.clone()
    }

    /// Locks the URLs that are not promised for a while.
    pub(super) fn unpushable(&self) -> MutexGuard<'_, Unpushable> {
        self.unpushable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers whether the last response of an asset can be used again.
    pub(super) fn note_reusable(&self, url: (&str, &str, &str), witness: Witness, is_reusable: bool) {
        if is_reusable && self.all_reusable.load(Ordering::Relaxed) {
            return;
        }
        let mut known = self.not_reusable.lock().unwrap_or_else(PoisonError::into_inner);
        known.record(url, witness, is_reusable);
        self.all_reusable.store(known.is_empty(), Ordering::Relaxed);
    }

    /// Returns whether the last response of a URL cannot be used again.
    pub(super) fn is_not_reusable(&self, target: &Target) -> bool {
        let known = || self.not_reusable.lock().unwrap_or_else(PoisonError::into_inner);
        !self.all_reusable.load(Ordering::Relaxed)
            && known().contains(target.scheme(), target.authority(), target.path_and_query())
    }
}

impl CacheParts {
    /// Makes the parts once for a server: Pingora's cache holds them for as long as the process lives.
    fn new(store: &'static Store) -> Self {
        Self {
            store,
            retries: Retries::default(),
            uncacheable: Box::leak(Box::new(Uncacheable::new(store))),
            lock: Box::leak(Box::new(Lock::new(store, LONGEST_LOCK))),
        }
    }
}

impl std::fmt::Debug for CacheParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheParts")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}
