//! Plans what a document's links come to, and judges whether a pushed response may be delivered.

use std::{sync::Arc, time::Instant};

use http::{HeaderMap, StatusCode, request::Parts};
use log::debug;

use super::{failure::RuleRefusal, trace};
use crate::{
    forwarded::Received,
    learn::LearnedLink,
    link::{Document, Target},
    proxy::{edge::Edge, exchange::Exchange},
    push::{self, Facts, HintedUrl, Mention, Plan, Policy, PushMeter, PushState, SkipReason, Source, Witness},
    trace::TraceParent,
};

/// Plans what Link fields mention for the client of a request, and counts what comes of them. `status` is that of the
/// final response, if it is there. `learned`: the links that the mentions of that source stand for, in order.
pub(in crate::proxy) fn plan(
    edge: &Edge,
    request: &Parts,
    exchange: &mut Exchange,
    status: Option<StatusCode>,
    mentions: &[Mention<'_>],
    learned: &[LearnedLink],
) -> Plan {
    let snapshot = Arc::clone(&exchange.snapshot);
    let route = exchange.route.and_then(|index| snapshot.routes.get(index));
    let (Some(route), Some(client)) = (route, exchange.client().cloned()) else {
        return Plan::default();
    };
    let url = exchange.url(request);
    let Ok(document) = Document::new(url.scheme, url.authority, url.path_and_query) else {
        return Plan::default();
    };
    let now = Instant::now();
    let is_bad = |target: &Target| {
        let url = (target.scheme(), target.authority(), target.path_and_query());
        edge.unpushable().contains(url.0, url.1, url.2, now)
    };
    let skips = &mut exchange.skips;
    let observation = exchange.observation.as_ref();
    let mut plan = client.plan(|http2| {
        let facts = Facts {
            method: &request.method,
            status,
            request: &request.headers,
            pushed_parent: exchange.pushed_by.is_some(),
            promised: exchange.promised,
            hinted: exchange.hinted,
            told: &exchange.told,
            returning: observation.is_some_and(|observation| observation.returning),
            http2: Some(*http2),
            is_bad: &is_bad,
            is_not_reusable: &|target| edge.is_not_reusable(target),
            csp: observation.and_then(|observation| observation.csp.as_deref()),
        };
        push::plan(&route.push, &facts, &document, mentions, &mut |_, reason| {
            skips.add(reason)
        })
    });
    if !plan.promises.is_empty() && exchange.connection.as_ref().is_some_and(|c| c.peer.is_trusted) {
        carry_over(&mut plan, &request.headers, url.authority);
    }
    let place = exchange.trace.as_ref().map(|trace| trace.place);
    if let Some(place) = place.filter(|place| place.is_sampled) {
        for promise in &mut plan.promises {
            promise.request.extensions_mut().insert::<TraceParent>(place);
        }
        if !plan.hints.is_empty() {
            trace::hints(plan.hints.len(), exchange);
        }
    }
    let address = || exchange.client_address(&request.headers);
    let network = || address().map_or(0, |address| edge.manifests.hasher().network(address));
    let meter = &exchange.meter().push;
    for promise in &plan.promises {
        if let Some(slot) = &promise.slot {
            slot.count_with(meter, promise.source);
        }
    }
    note_hinted(&client, &mut plan, (mentions, learned), network, meter);
    exchange.promised += plan.promises.len();
    exchange.hinted += plan.hints.len();
    plan
}

/// Returns the reason for which the client of a document is given no link before the response; `None` if it may be.
pub(in crate::proxy) fn early_refusal(request: &Parts, exchange: &Exchange) -> Option<SkipReason> {
    let (route, client) = (exchange.route()?, exchange.client()?);
    push::early_refusal(
        &route.push,
        &request.headers,
        (client.accepts_push(), client.refusals()),
    )
}

/// Has the connection count what becomes of the links of a 103.
fn note_hinted(
    client: &PushState,
    plan: &mut Plan,
    (mentions, learned): (&[Mention<'_>], &[LearnedLink]),
    network: impl FnOnce() -> u64,
    meter: &Arc<PushMeter>,
) {
    if plan.hinted.is_empty() {
        return;
    }
    let is_learned = |mention: &&Mention<'_>| matches!(mention.source, Source::Learned | Source::Html);
    let hinted = plan.hinted.drain(..).map(|(key, place)| {
        let mention = mentions.get(place);
        let nth = mention
            .filter(is_learned)
            .map(|_| mentions.iter().take(place).filter(is_learned).count());
        let uses = nth.and_then(|nth| Some(Arc::clone(&learned.get(nth)?.uses)));
        HintedUrl {
            key,
            uses: uses.unwrap_or_default(),
            source: mention.map_or(Source::Response, |mention| mention.source),
        }
    });
    client.note_hinted(hinted, network(), meter, Instant::now());
}

/// Tells each promise of the document's client, of whom a trusted peer told.
fn carry_over(plan: &mut Plan, document: &HeaderMap, authority: &str) {
    if let Some(received) = Received::of(document, authority).map(Arc::new) {
        for promise in &mut plan.promises {
            let extensions = promise.request.extensions_mut();
            extensions.insert::<Arc<Received>>(Arc::clone(&received));
        }
    }
}

/// Checks whether the response to a promise may be delivered; if not, its URL is not promised again for a while.
///
/// # Errors
///
/// [`RuleRefusal::NotPushable`]: it may not.
pub(in crate::proxy) fn judge(
    edge: &Edge,
    request: &Parts,
    (status, fields): (StatusCode, &HeaderMap),
    exchange: &mut Exchange,
) -> Result<(), RuleRefusal> {
    let Some(route) = exchange.route() else {
        return Ok(());
    };
    let credentials = route.push.credentials;
    push::check_pushable(status, fields, credentials).map_err(|bad| {
        debug!("pushed response of {} not delivered: {bad}", request.uri);
        exchange.meter().push.cancelled.increment(bad.into());
        remember_bad(edge, request, exchange, bad.is_for_everybody(credentials));
        exchange.failure = Some(bad.to_string());
        RuleRefusal::NotPushable
    })
}

/// Has the URL of a promise not promised again for a while: to nobody if its response is bad for everybody, or once
/// several visitors have met it.
pub(in crate::proxy) fn remember_bad(edge: &Edge, request: &Parts, exchange: &Exchange, is_for_everybody: bool) {
    let witness = match exchange.client_address(&request.headers) {
        Some(address) if !is_for_everybody => Witness::Visitor(address),
        _ => Witness::Everybody,
    };
    let url = exchange.url(request);
    // A URL without a route has the default period.
    let period = exchange
        .route()
        .map_or_else(|| Policy::default().retry_bad_after, |r| r.push.retry_bad_after);
    let now = Instant::now();
    let url = (url.scheme, url.authority, url.path_and_query);
    edge.unpushable().record(url, witness, now, now + period);
}
