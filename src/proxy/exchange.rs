//! Holds what is known of one request and its response from one phase to the next.
//!
//! A driver makes one [`Exchange`] for each request and gives it to each rule. The heads themselves stay with the
//! driver.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use http::{Extensions, HeaderMap, HeaderValue, request::Parts};

use super::{edge::ProxySnapshot, running::OpenRequest, span::RequestTrace, url::Url};
use crate::{
    cache::{OtherResponse, Passed, RequestFacts, Update, UrlHash},
    forwarded::{self, Received},
    html::{self, HtmlReader},
    learn::{DocumentPlace, Evidence, Links},
    link::{Document, Spelled},
    peer::{ClientConnection, Scheme},
    push::{Csp, Delivery, PushState, PushedBy, Skips},
    route::Route,
    telemetry::RouteMeter,
    trace::TraceParent,
    upstream::{self, InFlight, OriginFailure, OriginServer, Pool},
};

/// The state of one request.
#[derive(Debug)]
pub struct Exchange {
    /// The time when the request came.
    pub(super) started: Instant,
    /// The configuration of that moment.
    pub(super) snapshot: Arc<ProxySnapshot>,
    /// Index of the request's route.
    pub(super) route: Option<usize>,
    /// The connection of the client.
    pub(super) connection: Option<Arc<ClientConnection>>,
    /// The stream of the document, if the request is a promise of ours.
    pub(super) pushed_by: Option<PushedBy>,
    /// The fields in which a trusted peer told of the client of that document.
    pub(super) received: Option<Arc<Received>>,
    /// `true` if the content that the origin sends goes no further.
    pub(super) drops_content: bool,
    /// Whether the origin's last response had Transfer-Encoding, before Pingora adds one for clients.
    pub(super) is_chunked: bool,
    /// `true` for a request of our own, which renews a stored response in the background.
    pub(super) is_update: bool,
    /// The scheme of the request, where its connection cannot tell any more.
    pub(super) scheme: Option<Scheme>,
    /// The part of the cache, if it has one.
    pub(super) storing: Option<Box<Storing>>,
    /// The reason why the cache has no part, where the route caches.
    pub(super) passed: Option<Passed>,
    /// The chosen server, which counts the request as under way.
    pub(super) server: Option<InFlight>,
    /// Our end of the connection to the server.
    pub(super) origin: Option<Arc<upstream::OriginExchange>>,
    /// The last server at which the request failed.
    pub(super) failed_server: Option<SocketAddr>,
    /// Servers at which the request failed, and to which it is not sent again.
    pub(super) tried: Vec<Arc<OriginServer>>,
    /// Servers chosen so far: more than one after a failure.
    pub(super) tries: u32,
    /// The time when the last of them was chosen.
    pub(super) tried_since: Instant,
    /// Requests sent to origin servers: more than one after a connection was lost.
    pub(super) attempts: u32,
    /// The attempt whose 103 was the first to be passed on.
    pub(super) hinting_attempt: Option<u32>,
    /// Promises planned for the document.
    pub(super) promised: usize,
    /// Whether a 103 on the connection named the URL of the request.
    pub(super) is_hinted: bool,
    /// Links in the 103s of the document.
    pub(super) hinted: usize,
    /// The hinted links, in the order of the 103s.
    pub(super) told: Vec<HeaderValue>,
    /// The links of the document, where its route learns.
    pub(super) observation: Option<Box<DocumentObservation>>,
    /// The copy of the document's HTML, while it is read.
    pub(super) page: Option<Box<PageObservation>>,
    /// Links that were not delivered.
    pub(super) skips: Skips,
    /// The reason why the pushed response was not delivered, or the request failed.
    pub(super) failure: Option<String>,
    /// The failures of attempts at servers, where the access line has them.
    pub(super) failures: Vec<String>,
    /// The time from the choice of the last server to the head of its response, where the access line has it.
    pub(super) origin_time: Option<Duration>,
    /// The id of the request.
    pub(super) request_id: Option<HeaderValue>,
    /// The place of a promise's document in a trace.
    pub(super) document_place: Option<TraceParent>,
    /// The place of the request in a trace, if there are traces.
    pub(super) trace: Option<Box<RequestTrace>>,
    /// Counts the request as running.
    pub(super) running: Option<OpenRequest>,
}

/// The part that the cache has in one exchange.
#[derive(Debug)]
pub(super) struct Storing {
    /// The hash of the request's URL.
    pub(super) url: UrlHash,
    /// The request, as far as storing its response depends on it.
    pub(super) asked: RequestFacts,
    /// The stored response.
    pub(super) lookup: Lookup,
    /// The origin's word on the stored response.
    pub(super) validation: Validation,
    /// `true` once the origin has failed to renew the stored response.
    pub(super) has_failed: bool,
    /// Bytes of content that have come from the origin.
    pub(super) received: usize,
}

/// The stored response that was found for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lookup {
    /// None.
    Nothing,
    /// One that is used, or validated.
    Usable,
    /// A stale one that must be validated before it is used.
    MustBeRevalidated,
    /// A stale one that is used: the origin failed to renew it, and is not asked again yet.
    Paused,
}

/// The origin's word on the stored response that was found.
#[derive(Debug)]
pub(super) enum Validation {
    /// None yet, or a whole response.
    Pending,
    /// A 304.
    Unchanged(Update),
    /// A 304 about another response.
    Other(OtherResponse),
    /// A 304 whose end is not clear.
    Unclear,
}

/// The links of one document, as they become known while it is requested.
#[derive(Debug)]
pub(super) struct DocumentObservation {
    /// The document among those of its key, if it was looked up.
    pub(super) place: Option<DocumentPlace>,
    /// Learned links that were delivered.
    pub(super) delivered: Links,
    /// The Content-Security-Policy that the document had the last time.
    pub(super) csp: Option<Arc<Csp>>,
    /// Links of the origin's 103s.
    pub(super) early: Vec<Spelled>,
    /// `true` if the visitor has a copy of the document, and is not pushed links that were only learned.
    pub(super) returning: bool,
    /// Links that were delivered and that the response did not have.
    pub(super) missed: u32,
}

/// The HTML of a document that is read as it passes, and what its observation takes besides.
#[derive(Debug)]
pub(super) struct PageObservation {
    /// `None` once the head has ended.
    pub(super) reader: Option<HtmlReader>,
    /// The links that its `Link` fields name.
    pub(super) fields: Vec<Spelled>,
    /// Whether any content has come: a 304 has none, and says nothing of the page.
    pub(super) has_content: bool,
    /// How the content ends where nothing has failed: the end of a connection is no sure one.
    pub(super) end: html::End,
    pub(super) document: Document,
    /// The document among those of its key.
    pub(super) place: DocumentPlace,
    /// The kind of visitor that gets the document.
    pub(super) evidence: Evidence,
    /// The mark of the client's network.
    pub(super) network: u64,
    /// Its `Content-Security-Policy` fields.
    pub(super) policies: Vec<HeaderValue>,
}

impl Exchange {
    /// Returns the state of a request that begins now.
    pub(super) fn new(snapshot: Arc<ProxySnapshot>) -> Self {
        let started = Instant::now();
        Self {
            started,
            snapshot,
            route: None,
            connection: None,
            pushed_by: None,
            received: None,
            drops_content: false,
            is_chunked: false,
            is_update: false,
            scheme: None,
            storing: None,
            passed: None,
            server: None,
            origin: None,
            failed_server: None,
            tried: Vec::new(),
            tries: 0,
            tried_since: started,
            attempts: 0,
            hinting_attempt: None,
            promised: 0,
            is_hinted: false,
            hinted: 0,
            told: Vec::new(),
            observation: None,
            page: None,
            skips: Skips::default(),
            failure: None,
            failures: Vec::new(),
            origin_time: None,
            request_id: None,
            document_place: None,
            trace: None,
            running: None,
        }
    }

    /// Takes what rides in the extensions of a promise's request, and leaves them empty: nothing is to be copied with
    /// the request.
    pub(super) fn take(&mut self, extensions: &mut Extensions) {
        if !extensions.is_empty() {
            self.pushed_by = extensions.remove::<PushedBy>();
            self.received = extensions.remove::<Arc<Received>>();
            self.document_place = extensions.remove::<TraceParent>();
            *extensions = Extensions::new();
        }
    }

    /// Returns the route of the request.
    pub(super) fn route(&self) -> Option<&Route> {
        self.snapshot.routes.get(self.route?)
    }

    /// Returns the counters of the request's route.
    pub(super) fn meter(&self) -> &Arc<RouteMeter> {
        self.snapshot.meters.of(self.route)
    }

    /// Counts a failure at an origin server of the request's pool.
    pub(super) fn count_origin_failure(&self, failure: OriginFailure) {
        if let Some(pool) = self.pool() {
            pool.meter().failures.increment(failure);
        }
    }

    /// Returns the pool of the request's route.
    pub(super) fn pool(&self) -> Option<&Arc<Pool>> {
        self.snapshot.pools.get(self.route()?.upstream)
    }

    /// Returns the target URI of the client's request.
    pub(super) fn url<'r>(&self, request: &'r Parts) -> Url<'r> {
        Url::with_scheme(request, self.told_scheme())
    }

    /// Returns the scheme that the client used.
    pub(super) fn scheme(&self, request: &Parts) -> Scheme {
        Scheme::of(self.told_scheme(), request)
    }

    fn told_scheme(&self) -> Option<Scheme> {
        let told = self.connection.as_ref().and_then(|connection| connection.peer.scheme);
        told.or(self.scheme)
    }

    /// Returns the address on whose behalf a request with these fields came.
    pub(super) fn client_address(&self, fields: &HeaderMap) -> Option<IpAddr> {
        let peer = &self.connection.as_ref()?.peer;
        // The client of a promise is its document's.
        let fields = self.received.as_ref().map_or(fields, |received| received.fields());
        Some(forwarded::client(peer, fields))
    }

    /// Returns whether the links of the document may be delivered at all.
    pub(super) fn delivers(&self) -> bool {
        let is_off = self.route().is_none_or(|route| route.push.delivery == Delivery::Off);
        !is_off && self.client().is_some()
    }

    /// Returns what is known of pushes to the client, which only HTTP/2 has.
    pub(super) fn client(&self) -> Option<&Arc<PushState>> {
        if self.is_update {
            return None;
        }
        self.connection.as_ref()?.http2.as_ref()
    }

    /// Returns whether a stale response is used without asking the origin, which failed to renew it.
    pub(super) fn is_paused(&self) -> bool {
        self.has_found(Lookup::Paused)
    }

    /// Returns whether a failure of the origin leaves 504 as the only response (RFC 9111 section 5.2.2.2).
    pub(super) fn is_cut_off(&self) -> bool {
        self.has_found(Lookup::MustBeRevalidated)
    }

    fn has_found(&self, lookup: Lookup) -> bool {
        self.storing.as_ref().is_some_and(|storing| storing.lookup == lookup)
    }
}
