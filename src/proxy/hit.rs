//! Responds from the cache, without the proxy, to requests and promises for which nothing else has to be done.
//!
//! All other requests go through a driver, which finds the same stored responses: requests for a range, with links to
//! deliver, for a document whose links are learned, with credentials.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version, header, request::Parts};

use super::{
    edge::ProxySnapshot,
    rules::{
        cache::status::hit_status,
        head::{Fields as _, name},
        route::is_part,
        trace::{self, TracedEnd, logged_place},
    },
    span::RequestTrace,
    url::Url,
};
use crate::{
    cache::{Body, Object, Passed, Store, is_unchanged},
    exchange::{OnSent, ResponseSource, StoredResponse},
    forwarded::{self, Received},
    learn::{Learning, ManifestStore as Manifests},
    meter::Label as _,
    peer::{ClientConnection, TlsSession},
    push::{Credentials, PushedBy, Skips},
    route::{self, Caching, Route, StatusField},
    telemetry::{
        CacheWord, ClientProtocol, FinishedRequest, RouteMeter,
        access::{self, Access, AccessDetails, Outcome},
        log::{AccessField, AccessFields},
    },
    trace::{REQUEST_ID, RequestIdPolicy, TraceParent},
};

/// The source of responses that are sent without Pingora.
#[derive(Debug)]
pub struct FreshResponses {
    snapshot: Arc<ArcSwap<ProxySnapshot>>,
    manifests: Arc<Manifests>,
    store: &'static Store,
}

/// A response that is being sent: it is counted at its end, and has an access line.
#[derive(Debug)]
struct SentHit {
    started: Instant,
    status: StatusCode,
    /// The counters of its route; `None` for a promise, which counts where its stream ends.
    meter: Option<Arc<RouteMeter>>,
    /// Boxed: only where lines are logged, or for a request with spans.
    line: Option<Box<HitLine>>,
}

/// The access line of such a response, and the place of its spans.
#[derive(Debug)]
struct HitLine {
    peer: SocketAddr,
    client: IpAddr,
    method: Method,
    scheme: &'static str,
    authority: Box<str>,
    path_and_query: Box<str>,
    route: Box<str>,
    pushed_by: Option<u32>,
    /// The further fields, where the settings ask for any.
    details: Option<Box<HitDetails>>,
    place: Option<RequestTrace>,
}

/// The further fields of an access line.
#[derive(Debug)]
struct HitDetails {
    user_agent: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    request_id: Option<HeaderValue>,
    traceparent: Option<HeaderValue>,
    tls: Option<TlsSession>,
}

impl FreshResponses {
    /// Makes a source of this store's responses, by the rules of the current snapshot.
    #[must_use]
    pub const fn new(snapshot: Arc<ArcSwap<ProxySnapshot>>, manifests: Arc<Manifests>, store: &'static Store) -> Self {
        Self {
            snapshot,
            manifests,
            store,
        }
    }
}

impl ResponseSource for FreshResponses {
    fn find(
        &self,
        request: &Parts,
        connection: &ClientConnection,
        pushed_by: Option<PushedBy>,
    ) -> Option<StoredResponse> {
        if request.method != Method::GET && request.method != Method::HEAD {
            return None;
        }
        let url = Url::with_scheme(request, connection.peer.scheme);
        let asset = self.store.hasher().url(url.scheme, url.authority, url.path_and_query);
        let hash = if connection.peer.is_trusted {
            let fields = told_by_peer(request);
            self.store.hasher().as_told(asset, fields)?
        } else {
            asset
        };
        if !self.store.has(hash)
            || !is_usual(&request.headers)
            || Passed::check(&request.method, &request.headers).is_err()
        {
            return None;
        }
        let snapshot = self.snapshot.load();
        let (index, route) = route::find(&snapshot.routes, &request.method, url.authority, url.path)?;
        let is_storable = match route.cache.caching {
            Caching::Off => false,
            Caching::Assets => pushed_by.is_some() || self.store.assets().contains(asset),
            Caching::All => true,
        };
        if !is_storable {
            return None;
        }
        let upstream = &snapshot.pools.get(route.upstream)?.policy().name;
        let object = self.store.find(hash, upstream, &request.headers)?;
        let now = SystemTime::now();
        let is_usable = object.is_fresh(now)
            && match pushed_by {
                Some(_) => object.is_pushable() && route.push.credentials == Credentials::Omit,
                None => !self.has_more_to_do(request, &url, route, &object),
            };
        if !is_usable {
            return None;
        }
        let head = object.head();
        let is_unchanged = is_unchanged(&request.method, &request.headers, head.status, &head.fields);
        if let (Some(client), None, &Method::GET) = (&connection.http2, pushed_by, &request.method) {
            client.record_fetched(url.scheme, url.authority, url.path_and_query);
            if client.has_hints() && is_part(&request.headers) {
                client.count_hinted((url.scheme, url.authority, url.path_and_query), Instant::now);
            }
        }
        let mut response = response(&object, route, now, is_unchanged);
        let has_content = !is_unchanged && request.method != Method::HEAD;
        let id = request_id(&snapshot, request, connection);
        if let (Some(id), RequestIdPolicy::Respond) = (&id, snapshot.request_ids.policy) {
            response.headers_mut().set(&name::X_REQUEST_ID, id.clone());
        }
        let document = request.extensions.get::<TraceParent>().copied();
        let place = trace::place(&snapshot, request, connection.peer.is_trusted, document, Instant::now());
        let is_recorded = place.as_ref().is_some_and(|place| place.recorded.is_some());
        let line = || HitLine::new(request, connection, &url, route, (id, place), pushed_by);
        let meter = snapshot.meters.of(Some(index));
        meter.cache.increment(CacheWord::Hit);
        Some(StoredResponse {
            on_sent: Some(Box::new(SentHit {
                started: Instant::now(),
                status: response.status(),
                meter: pushed_by.is_none().then(|| Arc::clone(meter)),
                line: (access::is_enabled() || is_recorded).then(|| Box::new(line())),
            })),
            body: if has_content {
                object.body().clone()
            } else {
                Body::default()
            },
            head: response,
        })
    }
}

impl FreshResponses {
    /// Returns whether the response has links that may be delivered, or is one of a document that is learned.
    fn has_more_to_do(&self, request: &Parts, url: &Url<'_>, route: &Route, object: &Object) -> bool {
        if request.method != Method::GET {
            return false;
        }
        let learns = || {
            let document = (url.scheme, url.authority, url.path, request.uri.query());
            let key = self
                .manifests
                .hasher()
                .document(&route.learn, document, &request.headers);
            !self.manifests.is_unknown(key)
        };
        object.head().fields.contains_key(header::LINK)
            || !route.push.links.is_empty()
            || route.learn.learning == Learning::On && learns()
    }
}

/// Returns whether a request has neither `Range` nor `Expect`, which the proxy handles.
fn is_usual(fields: &HeaderMap) -> bool {
    !fields.contains_key(header::RANGE) && !fields.contains_key(header::EXPECT)
}

/// Returns the fields in which a peer describes its client; for a promise, those of the document's request.
fn told_by_peer(request: &Parts) -> &HeaderMap {
    let received = request.extensions.get::<Arc<Received>>();
    received.map_or(&request.headers, |received| received.fields())
}

/// Makes the head of the response that a request gets.
fn response(object: &Object, route: &Route, now: SystemTime, is_unchanged: bool) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = object.head().status;
    *response.version_mut() = Version::HTTP_2;
    let mut fields = object.head().fields.clone();
    fields.insert(header::AGE, HeaderValue::from(object.age(now)));
    if route.cache.status == StatusField::On {
        let ttl = i64::try_from(object.time_left(now)).unwrap_or(i64::MAX);
        if let Ok(status) = HeaderValue::try_from(hit_status(ttl)) {
            fields.add(&name::CACHE_STATUS, status);
        }
    }
    if is_unchanged {
        // Pingora removes these from its 304 responses, too.
        for name in [
            header::CONTENT_LENGTH,
            header::CONTENT_TYPE,
            header::CONTENT_ENCODING,
            header::ACCEPT_RANGES,
        ] {
            fields.remove(name);
        }
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    *response.headers_mut() = fields;
    response
}

impl HitLine {
    fn new(
        request: &Parts,
        connection: &ClientConnection,
        url: &Url<'_>,
        route: &Route,
        (id, place): (Option<HeaderValue>, Option<RequestTrace>),
        pushed_by: Option<PushedBy>,
    ) -> Self {
        let fields = told_by_peer(request);
        let further = access::fields();
        Self {
            peer: connection.peer.address,
            client: forwarded::client(&connection.peer, fields),
            method: request.method.clone(),
            scheme: url.scheme,
            authority: url.authority.into(),
            path_and_query: url.path_and_query.into(),
            route: route.name.clone(),
            pushed_by: pushed_by.map(|pushed| pushed.parent),
            details: (!further.is_empty())
                .then(|| Box::new(HitDetails::new(further, request, connection, (id, place.as_ref())))),
            place,
        }
    }
}

impl HitDetails {
    fn new(
        fields: AccessFields,
        request: &Parts,
        connection: &ClientConnection,
        (request_id, place): (Option<HeaderValue>, Option<&RequestTrace>),
    ) -> Self {
        let field = |field, name| request.headers.get(name).filter(|_| fields.has(field)).cloned();
        let received = || field(AccessField::RequestId, REQUEST_ID);
        Self {
            user_agent: field(AccessField::UserAgent, header::USER_AGENT),
            referer: field(AccessField::Referer, header::REFERER),
            request_id: request_id
                .filter(|_| fields.has(AccessField::RequestId))
                .or_else(received),
            traceparent: fields
                .has(AccessField::Traceparent)
                .then(|| logged_place(request, place))
                .flatten(),
            tls: connection.tls.filter(|_| fields.has(AccessField::Tls)),
        }
    }

    fn as_logged(&self) -> AccessDetails<'_> {
        AccessDetails {
            user_agent: self.user_agent.as_ref(),
            referer: self.referer.as_ref(),
            request_id: self.request_id.as_ref(),
            traceparent: self.traceparent.as_ref(),
            tls: self.tls,
            ..AccessDetails::default()
        }
    }
}

/// Returns the id of a request, where the response or the access line has one.
fn request_id(snapshot: &ProxySnapshot, request: &Parts, connection: &ClientConnection) -> Option<HeaderValue> {
    let is_used = match snapshot.request_ids.policy {
        RequestIdPolicy::Off => false,
        RequestIdPolicy::On => access::fields().has(AccessField::RequestId),
        RequestIdPolicy::Respond => true,
    };
    is_used.then(|| trace::request_id(snapshot, request, connection.peer.is_trusted))
}

impl OnSent for SentHit {
    fn sent(self: Box<Self>, bytes: usize, failure: Option<&str>) {
        let duration = self.started.elapsed();
        if let Some(meter) = &self.meter {
            meter.count(&FinishedRequest {
                protocol: ClientProtocol::Http2,
                status: Some(self.status).into(),
                bytes,
                duration,
            });
        }
        if let Some(line) = &self.line {
            line.write(self.status, duration, bytes, failure);
        }
    }
}

impl HitLine {
    /// Gives the spans of the request away.
    fn record(&self, place: &RequestTrace, status: StatusCode, bytes: usize, failure: Option<&str>) {
        let url = Url {
            scheme: self.scheme,
            authority: &self.authority,
            path: self.path_and_query.split('?').next().unwrap_or_default(),
            path_and_query: &self.path_and_query,
        };
        let end = TracedEnd {
            status: Some(status),
            route: Some(&self.route),
            cache: Some(CacheWord::Hit.label()),
            promises: 0,
            bytes,
            failure,
        };
        trace::record(place, (&self.method, &url), &end);
    }

    /// Writes the line, and gives the spans away.
    fn write(&self, status: StatusCode, duration: Duration, bytes: usize, failure: Option<&str>) {
        if let Some(place) = &self.place {
            self.record(place, status, bytes, failure);
        }
        if !access::is_enabled() {
            return;
        }
        access::write(&Access {
            peer: Some(self.peer),
            client: Some(self.client),
            method: self.method.as_str(),
            scheme: self.scheme,
            authority: &self.authority,
            path_and_query: &self.path_and_query,
            status: Some(status.as_u16()),
            route: Some(&self.route),
            protocol: access::protocol(Version::HTTP_2),
            duration,
            bytes,
            promises: 0,
            hints: 0,
            skips: &Skips::default(),
            learned: 0,
            missed: 0,
            pushed_by: self.pushed_by,
            cache: Some(Outcome::HIT),
            server: None,
            tries: 0,
            failure,
            details: self
                .details
                .as_deref()
                .map_or_else(AccessDetails::default, HitDetails::as_logged),
        });
    }
}
