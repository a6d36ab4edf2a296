//! The origin's answer: what its links come to, and whether a pushed one may be delivered.

use std::{
    cell::LazyCell,
    sync::{Arc, PoisonError},
    time::Instant,
};

use http::{HeaderValue, StatusCode, header};
use log::debug;
use pingora::{
    Error, ErrorType, Result,
    http::{RequestHeader, ResponseHeader},
};
use pingora_proxy::Session;

use super::{Context, Edge, cache, cache_status, change, learn, request::Url};
use crate::{
    forwarded::Received,
    link::Document,
    push::{self, Facts, Mention, Plan, Policy, Source, Witness},
};

/// A pushed answer that is not delivered; the proxy knows errors by this name.
pub(super) const NOT_PUSHABLE: ErrorType = ErrorType::Custom("NotPushable");

/// Plans from a 103 or a final header; judges the answer to a promise.
pub(super) fn filter(
    edge: &Edge,
    session: &Session,
    response: &mut ResponseHeader,
    context: &mut Context,
) -> Result<()> {
    let Some(route) = context.route() else {
        return Ok(());
    };
    let informational = response.status.is_informational();
    if !informational {
        cache_status::tell(session, response, route)?;
        change::note(edge, session.req_header(), response, context);
    }
    if context.pushed_by.is_some() {
        if informational {
            return Ok(());
        }
        let credentials = route.push.credentials;
        return push::check_pushable(response.status, &response.headers, credentials).map_err(|bad| {
            debug!("pushed answer of {} not delivered: {bad}", session.req_header().uri);
            let is_for_everybody = bad.is_for_everybody(credentials);
            remember_bad(edge, session, context, is_for_everybody);
            context.failure = Some(bad.to_string());
            Error::new(NOT_PUSHABLE)
        });
    }
    let has_links = response.headers.contains_key(header::LINK);
    let source = if informational { Source::Early } else { Source::Response };
    let fields = || response.headers.get_all(header::LINK).iter().map(HeaderValue::as_bytes);
    // Parsed by whoever asks first, for all of them.
    let mentions = LazyCell::new(|| push::mentions(fields().map(|field| (source, field))));
    if has_links {
        cache::note_links(edge, session.req_header(), context, fields(), || &mentions);
    }
    if context.lesson.is_some() {
        learn::observe(edge, session, response, &mentions, context);
    }
    if !has_links || !context.delivers() {
        return Ok(());
    }
    let status = match response.status {
        StatusCode::EARLY_HINTS => None,
        _ if informational => return Ok(()),
        status => Some(status),
    };
    let mut plan = plan(edge, session, context, status, &mentions);
    if !plan.hints.is_empty() && *context.hinting_attempt.get_or_insert(context.attempts) != context.attempts {
        // The server that was asked before said it already; clients use the first 103 only.
        context.hinted -= plan.hints.len();
        plan.hints.clear();
    }
    if !plan.is_empty() {
        response.extensions_mut().insert(plan);
    }
    Ok(())
}

/// Plans what Link fields mention for this request's client, and counts what comes of them.
pub(super) fn plan(
    edge: &Edge,
    session: &Session,
    context: &mut Context,
    status: Option<StatusCode>,
    mentions: &[Mention<'_>],
) -> Plan {
    let live = Arc::clone(&context.live);
    let route = context.route.and_then(|index| live.routes.get(index));
    let (Some(route), Some(client)) = (route, context.client().cloned()) else {
        return Plan::default();
    };
    let request = session.req_header();
    let url = Url::of(request, context);
    let Ok(document) = Document::new(url.scheme, url.authority, url.path_and_query) else {
        return Plan::default();
    };
    let now = Instant::now();
    let is_bad = |target: &crate::link::Target| {
        let bad = edge.bad_answers.lock().unwrap_or_else(PoisonError::into_inner);
        bad.contains(target.scheme(), target.authority(), target.path_and_query(), now)
    };
    let skips = &mut context.skips;
    let mut plan = client.plan(|http2| {
        let facts = Facts {
            method: &request.method,
            status,
            request: &request.headers,
            pushed_parent: context.pushed_by.is_some(),
            promised: context.promised,
            hinted: context.hinted,
            told: &context.told,
            returning: context.lesson.as_ref().is_some_and(|lesson| lesson.returning),
            http2: Some(*http2),
            is_bad: &is_bad,
        };
        push::plan(&route.push, &facts, &document, mentions, &mut |_, reason| {
            skips.add(reason)
        })
    });
    if !plan.promises.is_empty() && context.connection.as_ref().is_some_and(|c| c.peer.is_trusted) {
        carry_over(&mut plan, request, url.authority);
    }
    context.promised += plan.promises.len();
    context.hinted += plan.hints.len();
    plan
}

/// The document's client, of whom a trusted peer told, is that of its promises as well.
fn carry_over(plan: &mut Plan, document: &RequestHeader, authority: &str) {
    if let Some(received) = Received::of(&document.headers, authority).map(Arc::new) {
        for promise in &mut plan.promises {
            promise.request.extensions_mut().insert(Arc::clone(&received));
        }
    }
}

/// The URL of this promise is not promised again for a while: to nobody if its answer is bad for everybody, or once several
/// visitors have met it.
pub(super) fn remember_bad(edge: &Edge, session: &Session, context: &Context, is_for_everybody: bool) {
    let witness = match context.client_address(&session.req_header().headers) {
        Some(address) if !is_for_everybody => Witness::Visitor(address),
        _ => Witness::Everybody,
    };
    let url = Url::of(session.req_header(), context);
    // What has no route at all has the default period.
    let period = context
        .route()
        .map_or_else(|| Policy::default().retry_bad_after, |r| r.push.retry_bad_after);
    let now = Instant::now();
    edge.bad_answers.lock().unwrap_or_else(PoisonError::into_inner).record(
        (url.scheme, url.authority, url.path_and_query),
        witness,
        now,
        now + period,
    );
}
