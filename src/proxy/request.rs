//! The request: its client, its route, and what can be delivered before the origin is asked.

use std::{cell::LazyCell, sync::Arc};

use http::{Method, StatusCode, header, request::Parts};
use pingora::{Error, Result, http::ResponseHeader};
use pingora_proxy::Session;

use super::{Context, Edge, cache, learn, page, response};
use crate::{
    forwarded::Received,
    learn::Links,
    peer::{ClientConnection, Scheme},
    push::{self, Plan, PushedBy, Source},
    route,
    upstream::pace,
};

/// Finds the route; answers 404 where there is none. `true` ends the request.
pub(super) async fn filter(edge: &Edge, session: &mut Session, context: &mut Context) -> Result<bool> {
    take_facts(session, context);
    if session.downstream_session.as_http1().is_some() {
        let http1 = &mut session.downstream_session;
        http1.set_read_timeout(Some(context.live.timeouts.read));
        http1.set_write_timeout(Some(context.live.timeouts.write));
        // Some HTTP/1.x clients take a 103 for the answer (rule 14); an awaited 100 still passes.
        http1.set_ignore_info_resp(true);
    }
    let request = session.req_header();
    let url = Url::of(request, context);
    context.route = route::find(&context.live.routes, &request.method, url.authority, url.path).map(|(index, _)| index);
    if let (Some(client), None, &Method::GET) = (context.client(), context.pushed_by, &request.method) {
        client.record_fetched(url.scheme, url.authority, url.path_and_query);
    }
    if context.route().is_none() {
        if context.pushed_by.is_some() {
            response::remember_bad(edge, session, context, true);
            context.failure = Some("no route".to_owned());
            return Err(Error::new(response::NOT_PUSHABLE));
        }
        if request.method == Method::OPTIONS && request.uri.path() == "*" {
            // It asks what the server itself can do (RFC 9110 section 9.3.7).
            let able = ResponseHeader::build_no_case(StatusCode::NO_CONTENT, Some(1))?;
            session.write_response_header(Box::new(able), true).await?;
        } else {
            page::answer(session, 404).await?;
        }
        return Ok(true);
    }
    let learned = learn::begin(edge, session, context);
    let plan = early_plan(edge, session, context, &learned);
    if !plan.is_empty() {
        let mut early = ResponseHeader::build_no_case(StatusCode::EARLY_HINTS, Some(0))?;
        early.extensions_mut().insert(plan);
        session
            .downstream_session
            .write_response_header(Box::new(early))
            .await?;
    }
    Ok(false)
}

/// Plans what is known before the origin is asked: the links that the route names, and the learned ones.
fn early_plan(edge: &Edge, session: &Session, context: &mut Context, learned: &Links) -> Plan {
    let names_links = context.route().is_some_and(|route| !route.push.links.is_empty());
    if !names_links && learned.is_empty() {
        return Plan::default();
    }
    let live = Arc::clone(&context.live);
    let configured = context
        .route
        .and_then(|index| live.routes.get(index))
        .map_or(&[][..], |route| &route.push.links);
    let fields = || {
        let configured = configured.iter().map(|link| (Source::Configured, link.as_bytes()));
        configured.chain(learned.iter().map(|link| (Source::Learned, &**link)))
    };
    let mentions = LazyCell::new(|| push::mentions(fields()));
    let lines = fields().map(|(_, field)| field);
    cache::note_links(edge, session.req_header(), context, lines, || &mentions);
    if !context.delivers() {
        return Plan::default();
    }
    let plan = response::plan(edge, session, context, None, &mentions);
    context.told.clone_from(&plan.hints);
    plan
}

/// The client's connection.
pub(super) fn connection(session: &Session) -> Option<&Arc<ClientConnection>> {
    let facts = session.digest()?.proxy_digest.as_ref()?.user_data.as_ref()?;
    facts.downcast_ref()
}

/// The facts of the connection and, of our own promises, their document.
fn take_facts(session: &mut Session, context: &mut Context) {
    context.connection = connection(session).cloned();
    if session.subrequest_ctx.is_some() {
        context.is_update = true;
        let request = session.downstream_session.req_header_mut();
        let told = request.remove_header(&Scheme::FIELD);
        let is_http2 = context
            .connection
            .as_ref()
            .is_some_and(|connection| connection.http2.is_some());
        if is_http2 && told.is_some_and(|scheme| scheme == Scheme::Https.name()) {
            context.scheme = Some(Scheme::Https);
        }
        // What is kept is for everybody.
        request.remove_header(&header::COOKIE);
    }
    if let Some(since) = pace::arrived() {
        context.started = since;
    }
    let extensions = session.downstream_session.req_header_mut().extensions_mut();
    if !extensions.is_empty() {
        context.pushed_by = extensions.remove::<PushedBy>();
        context.received = extensions.remove::<Arc<Received>>();
        // Pingora copies the request; nothing is to be copied with it.
        *extensions = http::Extensions::new();
    }
}

impl Context {
    /// The scheme that the client of a request used.
    pub(super) fn scheme(&self, request: &Parts) -> Scheme {
        Scheme::of(self.told_scheme(), request)
    }

    fn told_scheme(&self) -> Option<Scheme> {
        let told = self.connection.as_ref().and_then(|connection| connection.peer.scheme);
        told.or(self.scheme)
    }
}

/// The effective request URI in parts (RFC 9110 section 7.1).
#[derive(Debug, Clone, Copy)]
pub(super) struct Url<'r> {
    pub(super) scheme: &'static str,
    pub(super) authority: &'r str,
    pub(super) path: &'r str,
    pub(super) path_and_query: &'r str,
}

impl<'r> Url<'r> {
    pub(super) fn of(request: &'r Parts, context: &Context) -> Self {
        Self::with_scheme(request, context.told_scheme())
    }

    /// The URL of a request whose connection tells this of its scheme.
    pub(super) fn with_scheme(request: &'r Parts, told: Option<Scheme>) -> Self {
        let host = || request.headers.get(header::HOST)?.to_str().ok();
        Self {
            scheme: Scheme::of(told, request).name(),
            authority: request.uri.authority().map(|a| a.as_str()).or_else(host).unwrap_or(""),
            path: request.uri.path(),
            path_and_query: request.uri.path_and_query().map_or("/", |pq| pq.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Version;
    use pingora::http::RequestHeader;

    use super::*;

    #[test]
    fn the_connection_tells_the_scheme_before_the_request_does() {
        let told = |told, version, uri: &str| {
            let mut request = RequestHeader::build("GET", b"/", None).expect("a request");
            request.set_version(version);
            request.set_uri(uri.parse().expect("a URI"));
            Scheme::of(told, &request)
        };
        let (http, https) = (Scheme::Http, Scheme::Https);
        assert_eq!(told(None, Version::HTTP_2, "https://a/"), https);
        assert_eq!(told(None, Version::HTTP_2, "http://a/"), http);
        assert_eq!(told(None, Version::HTTP_2, "/"), http);
        assert_eq!(told(None, Version::HTTP_11, "/"), http);
        assert_eq!(told(None, Version::HTTP_11, "https://a/"), http);
        assert_eq!(told(Some(http), Version::HTTP_2, "https://a/"), http);
        assert_eq!(told(Some(https), Version::HTTP_2, "http://a/"), https);
        assert_eq!(told(Some(https), Version::HTTP_11, "/"), https);
    }
}
