//! What is known of one request between Pingora's phases.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Instant,
};

use http::HeaderMap;

use http::HeaderValue;

use super::{Live, cache::Kept, learn::Lesson};
use crate::{
    cache::Passed,
    forwarded::{self, Received},
    peer::{ClientConnection, Scheme},
    push::{Delivery, PushState, PushedBy, Skips},
    route::Route,
    upstream::{Exchange, InFlight, OriginServer, Pool},
};

/// One request's state.
#[derive(Debug)]
pub struct Context {
    pub(super) started: Instant,
    /// What was configured when it began.
    pub(super) live: Arc<Live>,
    /// Index of its route.
    pub(super) route: Option<usize>,
    /// The connection that it came on.
    pub(super) connection: Option<Arc<ClientConnection>>,
    /// Its document, if the request is our own promise.
    pub(super) pushed_by: Option<PushedBy>,
    /// What a trusted peer said of the client of that document.
    pub(super) received: Option<Arc<Received>>,
    /// What the origin sends as content goes no further.
    pub(super) drops_content: bool,
    /// It is our own request in the background, for an answer that is kept and no longer fresh.
    pub(super) is_update: bool,
    /// Its scheme, where its connection cannot tell any more.
    pub(super) scheme: Option<Scheme>,
    /// What it has to do with the cache, if it has.
    pub(super) kept: Option<Box<Kept>>,
    /// Why it has nothing to do with it, where its route caches.
    pub(super) passed: Option<Passed>,
    /// The server that it is at, counted as under way there.
    pub(super) server: Option<InFlight>,
    /// The connection to the server.
    pub(super) exchange: Option<Arc<Exchange>>,
    /// The last server that it failed at.
    pub(super) failed_server: Option<SocketAddr>,
    /// Servers that it failed at and is not sent to again.
    pub(super) tried: Vec<Arc<OriginServer>>,
    /// Servers chosen so far: more than one after a failure.
    pub(super) tries: u32,
    /// When the last of them was.
    pub(super) tried_since: Instant,
    /// Requests sent to origin servers: more than one after a connection was lost.
    pub(super) attempts: u32,
    /// The attempt in which the origin's first 103 was passed on.
    pub(super) hinting_attempt: Option<u32>,
    /// Promises planned for this document.
    pub(super) promised: usize,
    /// Links in this document's 103s.
    pub(super) hinted: usize,
    /// Those of them that were not the origin's own.
    pub(super) told: Vec<HeaderValue>,
    /// What this document is to teach, where its route learns.
    pub(super) lesson: Option<Box<Lesson>>,
    /// Links that were not delivered.
    pub(super) skips: Skips,
    /// Why the pushed answer was not delivered, or the request failed.
    pub(super) failure: Option<String>,
}

impl Context {
    pub(super) fn new(live: Arc<Live>) -> Self {
        let started = Instant::now();
        Self {
            started,
            live,
            route: None,
            connection: None,
            pushed_by: None,
            received: None,
            drops_content: false,
            is_update: false,
            scheme: None,
            kept: None,
            passed: None,
            server: None,
            exchange: None,
            failed_server: None,
            tried: Vec::new(),
            tries: 0,
            tried_since: started,
            attempts: 0,
            hinting_attempt: None,
            promised: 0,
            hinted: 0,
            told: Vec::new(),
            lesson: None,
            skips: Skips::default(),
            failure: None,
        }
    }

    pub(super) fn route(&self) -> Option<&Route> {
        self.live.routes.get(self.route?)
    }

    pub(super) fn pool(&self) -> Option<&Arc<Pool>> {
        self.live.pools.get(self.route()?.upstream)
    }

    /// The address on whose behalf a request with these fields came.
    pub(super) fn client_address(&self, fields: &HeaderMap) -> Option<IpAddr> {
        let peer = &self.connection.as_ref()?.peer;
        // Of a promise, its document's.
        let fields = self.received.as_ref().map_or(fields, |received| received.fields());
        Some(forwarded::client(peer, fields))
    }

    /// Whether its document's links may be delivered at all.
    pub(super) fn delivers(&self) -> bool {
        let is_off = self.route().is_none_or(|route| route.push.delivery == Delivery::Off);
        !is_off && self.client().is_some()
    }

    /// What is known of pushes to its client, over HTTP/2 only.
    pub(super) fn client(&self) -> Option<&Arc<PushState>> {
        if self.is_update {
            return None;
        }
        self.connection.as_ref()?.http2.as_ref()
    }
}
