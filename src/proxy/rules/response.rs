//! Takes the origin's response: what of it goes on, what its links come to, and whether a pushed one may be delivered.

use std::{cell::LazyCell, time::SystemTime};

use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header, request::Parts};
use log::debug;

use super::{
    attempt::{ended, may_switch},
    cache::{
        invalidate,
        request::note_links,
        status::{self, CacheFacts},
    },
    delivery,
    failure::RuleRefusal,
    head::{ResponseHead, framing},
    learning,
};
use crate::{
    fields::length,
    learn::identities,
    proxy::{edge::Edge, exchange::Exchange},
    push::{self, Plan, Source, Witness},
};

/// Checks a response of the origin before anything else sees it: one that nobody can tell the end of is none.
/// `has_content`: the request has some.
///
/// # Errors
///
/// [`RuleRefusal::Framing`]: its end is not clear.
pub(in crate::proxy) fn check(
    request: &Parts,
    has_content: bool,
    response: &mut impl ResponseHead,
    exchange: &mut Exchange,
) -> Result<(), RuleRefusal> {
    if response.version() == Version::HTTP_10
        && response.fields().contains_key(header::TRANSFER_ENCODING)
        && let Some(origin) = &exchange.origin
    {
        // HTTP/1.0 knows no chunks: where this response ends is a guess (RFC 9112 section 6.1).
        origin.retire();
    }
    framing::check(response, may_switch(request)).inspect_err(|bad| {
        debug!("{}: an origin's response has {bad}", request.uri);
    })?;
    let status = response.status();
    exchange.is_chunked = response.fields().contains_key(header::TRANSFER_ENCODING);
    exchange.drops_content = framing::has_no_content(status);
    if exchange.drops_content {
        framing::empty(response);
    }
    if is_error(status)
        && has_content
        && may_be_large(&request.headers)
        && let Some(origin) = &exchange.origin
    {
        // The origin may have left the content unread, all of which is in the system's buffers.
        origin.retire();
    }
    if !status.is_informational() && (request.method == Method::HEAD || framing::is_empty(response)) {
        ended(exchange);
    }
    if !exchange.route().is_some_and(|route| route.alt_svc) {
        response.remove(&header::ALT_SVC);
    }
    Ok(())
}

/// Returns whether a response refuses its request.
pub(in crate::proxy) fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

/// Returns whether a request's content may be more than an origin reads along with the head.
fn may_be_large(request: &HeaderMap) -> bool {
    const LARGE: u64 = 16 * 1024;
    let length = request.get(header::CONTENT_LENGTH);
    length
        .and_then(|length| length::read(length.as_bytes()))
        .is_none_or(|length| length > LARGE)
}

/// Plans what the links of a 103 or a final response come to; judges the response to a promise. Returns the plan, to be
/// carried out before the response is sent.
///
/// # Errors
///
/// [`RuleRefusal::NotPushable`]: the response to a promise is not delivered.
pub(in crate::proxy) fn filter(
    edge: &Edge,
    cache: &CacheFacts<'_>,
    request: &Parts,
    response: &mut impl ResponseHead,
    exchange: &mut Exchange,
) -> Result<Option<Plan>, RuleRefusal> {
    let Some(route) = exchange.route() else {
        return Ok(None);
    };
    let status = response.status();
    let is_final = !status.is_informational();
    if is_final {
        status::tell(cache, &request.method, response, route);
        invalidate::note(edge, request, (status, response.fields()), exchange);
        if exchange.is_hinted || takes_hints(exchange) && is_asset(&request.headers) {
            note_reuse(edge, request, (status, response.fields()), exchange);
        }
    }
    let fields = response.fields();
    if exchange.pushed_by.is_some() {
        if is_final {
            delivery::judge(edge, request, (status, fields), exchange)?;
        }
        return Ok(None);
    }
    let has_links = fields.contains_key(header::LINK);
    let source = if is_final { Source::Response } else { Source::Early };
    let links = || fields.get_all(header::LINK).iter().map(HeaderValue::as_bytes);
    // Parsed for the first that asks, once for all.
    let mentions = LazyCell::new(|| push::mentions(links().map(|link| (source, link))));
    if has_links {
        note_links(edge, request, exchange, links(), || &mentions);
    }
    if exchange.observation.is_some() {
        learning::observe(edge, request, (status, fields), &mentions, exchange);
    }
    if !has_links || !exchange.delivers() {
        return Ok(None);
    }
    let status = match status {
        StatusCode::EARLY_HINTS => None,
        _ if !is_final => return Ok(None),
        status => Some(status),
    };
    let mut plan = delivery::plan(edge, request, exchange, status, &mentions, &[]);
    let attempt = exchange.attempts;
    if !plan.hints.is_empty() && *exchange.hinting_attempt.get_or_insert(attempt) != attempt {
        // The server that was asked before said it already; clients use the first 103 only.
        exchange.hinted -= plan.hints.len();
        plan.hints.clear();
    }
    if !plan.hints.is_empty() {
        match fields_of_hints(fields) {
            Some(fields) => plan.fields = fields,
            None => {
                exchange.hinted -= plan.hints.len();
                plan.hints.clear();
            }
        }
        exchange.told.extend(plan.hints.iter().cloned());
    }
    Ok(Some(plan).filter(|plan| !plan.is_empty()))
}

/// Returns the fields of an origin's 103 by which a browser fetches what its links name (HTML, "process early hint
/// headers").
/// `None` where they are too long for a 103: clients limit its size, and links without their policy may do harm.
fn fields_of_hints(fields: &HeaderMap) -> Option<HeaderMap> {
    const MOST: usize = 4096;
    let mut length = 0;
    let mut taken = HeaderMap::new();
    for name in [header::CONTENT_SECURITY_POLICY, header::REFERRER_POLICY] {
        for value in fields.get_all(&name) {
            length += value.len();
            taken.append(&name, value.clone());
        }
    }
    (length <= MOST).then_some(taken)
}

/// Returns whether the client gets hints and not pushes.
fn takes_hints(exchange: &Exchange) -> bool {
    exchange.client().is_some_and(|client| !client.accepts_push())
}

/// Returns whether a browser asks for a part of a document that could be a link's target.
fn is_asset(fields: &HeaderMap) -> bool {
    let destination = fields.get("sec-fetch-dest").map(HeaderValue::as_bytes);
    matches!(destination, Some(b"style" | b"script" | b"font" | b"image"))
}

/// Remembers whether the response of an asset can be used again: a hint of one that cannot makes browsers fetch it
/// twice.
fn note_reuse(edge: &Edge, request: &Parts, (status, fields): (StatusCode, &HeaderMap), exchange: &Exchange) {
    let asked = &request.headers;
    if request.method != Method::GET || asked.contains_key(header::AUTHORIZATION) {
        return;
    }
    let Some(is_reusable) = push::is_reusable(status, fields, asked, SystemTime::now()) else {
        return;
    };
    // It matters only who met what cannot be reused.
    let may_be_own = || asked.contains_key(header::COOKIE) || has_identity(asked, exchange);
    let witness = match exchange.client_address(asked) {
        Some(address) if !is_reusable && may_be_own() => Witness::Visitor(address),
        _ => Witness::Everybody,
    };
    let url = exchange.url(request);
    edge.note_reusable((url.scheme, url.authority, url.path_and_query), witness, is_reusable);
}

/// Returns whether another field than `Cookie` tells the application who asks.
fn has_identity(asked: &HeaderMap, exchange: &Exchange) -> bool {
    let more = exchange.route().map_or(&[][..], |route| &route.learn.identity);
    identities(asked, more).next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_large_unless_its_length_says_otherwise() {
        for (length, expected) in [
            (None, true),
            (Some("0"), false),
            (Some("16384"), false),
            (Some("16385"), true),
            (Some("many"), true),
        ] {
            let length = length.map(|length| (header::CONTENT_LENGTH, HeaderValue::from_static(length)));
            assert_eq!(may_be_large(&length.into_iter().collect()), expected);
        }
    }
}
