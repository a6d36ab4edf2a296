//! Begins a request: finds its route, and plans what can be delivered before the origin is asked.

use std::{cell::LazyCell, sync::Arc, time::Instant};

use http::{HeaderMap, Method, request::Parts};

use super::{cache, delivery, failure::RuleRefusal, learning, via};
use crate::{
    learn::Links,
    proxy::{edge::Edge, exchange::Exchange},
    push::{self, Plan, PushCancel, SkipReason, Source},
    route,
};

/// The way on which a request goes after its beginning.
#[derive(Debug)]
pub(in crate::proxy) enum BegunRequest {
    /// To the store or the origin, once this plan is delivered.
    Routed(Plan),
    /// Back to the client with 204: it asks for the abilities of the server itself (RFC 9110 section 9.3.7).
    AsksServer,
    /// Back to the client with 404: the request has no route.
    NoRoute,
    /// Back to the client with 508: the request comes back to this process again and again.
    Loop,
}

/// Finds the route of a request.
///
/// # Errors
///
/// [`RuleRefusal::NotPushable`]: a promise of ours has no route.
pub(in crate::proxy) fn begin(
    edge: &Edge,
    request: &Parts,
    exchange: &mut Exchange,
) -> Result<BegunRequest, RuleRefusal> {
    let url = exchange.url(request);
    let found = route::find(&exchange.snapshot.routes, &request.method, url.authority, url.path);
    exchange.route = found.map(|(index, _)| index);
    if let (Some(client), None, &Method::GET) = (exchange.client(), exchange.pushed_by, &request.method) {
        client.record_fetched(url.scheme, url.authority, url.path_and_query);
        exchange.is_hinted = client.has_hints()
            && is_part(&request.headers)
            && client.count_hinted((url.scheme, url.authority, url.path_and_query), Instant::now);
    }
    if via::is_loop(&request.headers) {
        exchange.failure = Some("loop: by Via, the request has passed here twice before".to_owned());
        return Ok(BegunRequest::Loop);
    }
    if exchange.route().is_some() {
        let learned = learning::begin(edge, request, exchange);
        return Ok(BegunRequest::Routed(early_plan(edge, request, exchange, &learned)));
    }
    if exchange.pushed_by.is_some() {
        delivery::remember_bad(edge, request, exchange, true);
        exchange.meter().push.cancelled.increment(PushCancel::NoRoute);
        exchange.failure = Some("no route".to_owned());
        return Err(RuleRefusal::NotPushable);
    }
    let asks_server = request.method == Method::OPTIONS && request.uri.path() == "*";
    Ok(if asks_server {
        BegunRequest::AsksServer
    } else {
        BegunRequest::NoRoute
    })
}

/// Returns whether a request may be for a part of a document: all but navigations.
pub(in crate::proxy) fn is_part(fields: &HeaderMap) -> bool {
    fields.get("sec-fetch-mode").is_none_or(|mode| mode != "navigate")
}

/// Plans what is known before the origin is asked: the links that the route names, and the learned ones.
fn early_plan(edge: &Edge, request: &Parts, exchange: &mut Exchange, learned: &Links) -> Plan {
    let names_links = exchange.route().is_some_and(|route| !route.push.links.is_empty());
    if !names_links && learned.is_empty() {
        return Plan::default();
    }
    let snapshot = Arc::clone(&exchange.snapshot);
    let configured = exchange
        .route
        .and_then(|index| snapshot.routes.get(index))
        .map_or(&[][..], |route| &route.push.links);
    let fields = || {
        let configured = configured.iter().map(|link| (Source::Configured, link.as_bytes()));
        configured.chain(learned.iter().map(|link| (link.source, link.as_ref())))
    };
    let mentions = LazyCell::new(|| {
        let mut mentions = push::mentions(fields());
        let of_learned = mentions
            .iter_mut()
            .filter(|mention| mention.source != Source::Configured);
        for (mention, known) in of_learned.zip(learned.iter()) {
            mention.withheld = known.withheld;
        }
        mentions
    });
    let lines = fields().map(|(_, field)| field);
    cache::request::note_links(edge, request, exchange, lines, || &mentions);
    if !exchange.delivers() {
        return Plan::default();
    }
    if let (false, Some(reason)) = (names_links, delivery::early_refusal(request, exchange)) {
        // Learned links are well-formed, so that no plan is needed to say what becomes of them.
        for known in learned.iter() {
            let is_fetch = known.link.is_fetch();
            exchange.skips.add(if is_fetch { reason } else { SkipReason::Relation });
        }
        return Plan::default();
    }
    let plan = delivery::plan(edge, request, exchange, None, &mentions, learned);
    exchange.told.clone_from(&plan.hints);
    plan
}
