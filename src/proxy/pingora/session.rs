//! Takes out of Pingora's session what rules are to know of it.

use std::sync::Arc;

use http::header;
use pingora_proxy::Session;

use crate::{
    peer::{ClientConnection, Scheme},
    proxy::{exchange::Exchange, rules::cache::status::CacheFacts},
    upstream::pace::arrived,
};

/// Returns the client's connection.
pub(super) fn connection(session: &Session) -> Option<&Arc<ClientConnection>> {
    let facts = session.digest()?.proxy_digest.as_ref()?.user_data.as_ref()?;
    facts.downcast_ref()
}

/// Takes the facts of the connection and, of our own promises, their document.
pub(super) fn take_facts(session: &mut Session, exchange: &mut Exchange) {
    exchange.connection = connection(session).cloned();
    if session.subrequest_ctx.is_some() {
        exchange.is_update = true;
        let request = session.downstream_session.req_header_mut();
        let told = request.remove_header(&Scheme::FIELD);
        let is_http2 = exchange
            .connection
            .as_ref()
            .is_some_and(|connection| connection.http2.is_some());
        if is_http2 && told.is_some_and(|scheme| scheme == Scheme::Https.name()) {
            exchange.scheme = Some(Scheme::Https);
        }
        // A stored response is for everybody.
        request.remove_header(&header::COOKIE);
    }
    if let Some(since) = arrived() {
        exchange.started = since;
    }
    exchange.take(session.downstream_session.req_header_mut().extensions_mut());
}

/// Returns what Pingora's cache says of the request.
pub(super) fn cache(session: &Session) -> CacheFacts<'_> {
    CacheFacts {
        phase: session.cache.phase(),
        meta: session.cache.maybe_cache_meta(),
        predicted: session.cache.predicted_uncacheable_reason(),
    }
}
