//! Decides which responses of the origin are stored, and what they say of the stored one that was found.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use http::{StatusCode, header, request::Parts};
use pingora::http::ResponseHeader;
use pingora_cache::{
    CacheMeta, CachePhase, NoCacheReason,
    RespCacheable::{self, Cacheable, Uncacheable},
};

use super::{
    invalidate,
    request::variance,
    status::{CacheFacts, is_enabled},
};
use crate::{
    cache::{self, FillSource, NotStorable, RequestFacts, Update},
    proxy::{
        edge::Edge,
        exchange::{Exchange, Lookup, Validation},
        rules::{failure::RuleRefusal, head::hops},
    },
};

/// Looks at the origin's head before it is stored: what a 304 says of the stored response that was found.
pub(in crate::proxy) fn note_head(cache: &CacheFacts<'_>, response: &ResponseHeader, exchange: &mut Exchange) {
    let Some(storing) = &mut exchange.storing else { return };
    if response.status.is_informational() || !is_enabled(cache.phase) {
        return;
    }
    storing.validation = Validation::Pending;
    if let (StatusCode::NOT_MODIFIED, Some(meta)) = (response.status, cache.meta) {
        let mut fields = response.headers.clone();
        hops::strip(&mut fields);
        storing.validation = match Update::of(meta.headers(), fields) {
            Ok(update) => Validation::Unchanged(update),
            Err(other) => Validation::Other(other),
        };
    }
    storing.asked.revalidated = matches!(storing.validation, Validation::Unchanged(_));
}

/// Notes that the origin's head was refused. Pingora goes on with the stored response that was found if it was a 304.
pub(in crate::proxy) fn refused(status: StatusCode, exchange: &mut Exchange) {
    if let (StatusCode::NOT_MODIFIED, Some(storing)) = (status, &mut exchange.storing) {
        storing.validation = Validation::Unclear;
    }
}

/// Decides whether the origin's response is stored, and as what, and does what it says of the stored one that was
/// found.
pub(in crate::proxy) fn decide(
    edge: &Edge,
    cache: &CacheFacts<'_>,
    request: &Parts,
    response: &ResponseHeader,
    exchange: &mut Exchange,
) -> RespCacheable {
    let found = cache.meta.map(CacheMeta::response_header);
    let mut decided = admit(edge, cache, store(response, found, exchange), exchange);
    if let (Cacheable(meta), true) = (&mut decided, found.is_some()) {
        let variance = variance(edge, meta, request);
        cache::revalidated(meta, variance);
    }
    if response.status.is_server_error() {
        note_failure(edge, exchange);
    }
    if let (Uncacheable(why), Some(storing)) = (&decided, &exchange.storing) {
        let says_nothing = matches!(why, NoCacheReason::UpstreamError | NoCacheReason::InternalError);
        let is_other = matches!(storing.validation, Validation::Other(_));
        if is_other || !says_nothing && storing.lookup != Lookup::Nothing {
            // The origin's last word counts (RFC 9111 section 4.3.3). A failure says nothing of the stored response.
            invalidate::forget(edge, request, exchange);
            edge.cache.retries.succeeded(storing.url);
        }
    }
    decided
}

/// Decides whether a response of the origin is stored, and as what. After a 304 the stored response keeps its content,
/// and has the fields of the 304.
fn store(response: &ResponseHeader, found: Option<&ResponseHeader>, exchange: &Exchange) -> RespCacheable {
    let Some(storing) = &exchange.storing else {
        return Uncacheable(NoCacheReason::InternalError);
    };
    let now = SystemTime::now();
    let mut header = match (&storing.validation, found) {
        (Validation::Pending, _) => response.clone(),
        (Validation::Unchanged(update), Some(found)) => {
            let mut header = found.clone();
            update.apply(&mut header, now);
            header
        }
        _ => return Uncacheable(NoCacheReason::UpstreamError),
    };
    // Fields that Connection names are for us as a hop alone, so they say nothing of storing either.
    hops::strip_nominated(&mut header);
    let asked = RequestFacts {
        delay: exchange.tried_since.elapsed(),
        ..storing.asked
    };
    let freshness = match cache::check_storable(header.status, &header.headers, asked, now) {
        Ok(freshness) => freshness,
        Err(NotStorable::TooLarge) => return Uncacheable(NoCacheReason::ResponseTooLarge),
        // The next request may have more luck, and others may wait for it.
        Err(NotStorable::Status(status)) if status.is_server_error() => {
            return Uncacheable(NoCacheReason::UpstreamError);
        }
        Err(why) => return Uncacheable(NoCacheReason::Custom(why.label())),
    };
    hops::strip(&mut header);
    let is_dated = header.headers.contains_key(header::DATE)
        || header.insert_header(header::DATE, httpdate::fmt_http_date(now)).is_ok();
    if !is_dated {
        return Uncacheable(NoCacheReason::InternalError);
    }
    let mut meta = CacheMeta::new(
        freshness.fresh_until,
        now,
        freshness.stale_while_revalidate,
        freshness.stale_if_error,
        header,
    );
    if freshness.epoch != now {
        meta.set_epoch_override(freshness.epoch);
    }
    Cacheable(meta)
}

/// Reserves room for a response that is to be stored, and notes where it comes from. Without room it is not stored this
/// time: it passes.
fn admit(edge: &Edge, cache: &CacheFacts<'_>, decided: RespCacheable, exchange: &Exchange) -> RespCacheable {
    let is_new = exchange
        .storing
        .as_ref()
        .is_some_and(|storing| matches!(storing.validation, Validation::Pending));
    let mut meta = match decided {
        Cacheable(meta) if is_new => meta,
        other => return other,
    };
    let length = cache::announced_length(meta.headers());
    let was_too_large = cache.predicted == Some(NoCacheReason::ResponseTooLarge);
    if length.is_none() && was_too_large && cache.phase == CachePhase::Bypass {
        return Uncacheable(NoCacheReason::ResponseTooLarge);
    }
    let reserved = match length.map(|length| edge.cache.store.reserve(length)) {
        Some(None) => return Uncacheable(NoCacheReason::Custom(cache::NO_ROOM)),
        Some(reserved) => reserved.map(Arc::new),
        None => None,
    };
    meta.extensions_mut().insert::<FillSource>(FillSource {
        valve: exchange.origin.as_ref().map(|origin| Arc::clone(origin.valve())),
        reserved,
    });
    Cacheable(meta)
}

/// The size of a response that is stored, against the limit for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum Size {
    /// It fits, or the response is not stored at all.
    Fits,
    /// It has just become more than the limit: the next request does not wait to see.
    TooLarge,
}

/// Counts content of a response that is to be stored. A response that turns out to be too large ends the stored one.
///
/// # Errors
///
/// [`RuleRefusal::NobodyReads`]: the request renews in the background what is not stored, or all readers have left.
pub(in crate::proxy) fn count(
    edge: &Edge,
    cache: CachePhase,
    request: &Parts,
    length: usize,
    exchange: &mut Exchange,
) -> Result<Size, RuleRefusal> {
    let is_update = exchange.is_update;
    let Some(storing) = &mut exchange.storing else {
        return Ok(Size::Fits);
    };
    let is_given_up = cache == CachePhase::Disabled(NoCacheReason::StorageError);
    if is_given_up || is_update && !is_enabled(cache) {
        return Err(RuleRefusal::NobodyReads);
    }
    if !is_enabled(cache) {
        return Ok(Size::Fits);
    }
    let before = storing.received;
    storing.received += length;
    let limit = storing.asked.limit;
    if before > limit || storing.received <= limit {
        return Ok(Size::Fits);
    }
    if storing.lookup != Lookup::Nothing {
        invalidate::forget(edge, request, exchange);
    }
    if is_update && let Some(origin) = &exchange.origin {
        // It has no client; others may have begun to read it.
        origin.valve().note_client_left();
    }
    Ok(Size::TooLarge)
}

/// Sees to it that a stored response that was not validated is not sent: after a 304, Pingora sends what was found. A
/// response that may not be stored any more has the fields of the 304 nevertheless.
///
/// # Errors
///
/// The 304 validates nothing. After [`RuleRefusal::NotValidated`] the request is to be repeated, and asks for the
/// whole: a client's request then has [nothing](Lookup::Nothing) stored.
pub(in crate::proxy) fn validated(
    cache: CachePhase,
    response: &mut ResponseHeader,
    exchange: &mut Exchange,
) -> Result<(), RuleRefusal> {
    let Some(storing) = &mut exchange.storing else {
        return Ok(());
    };
    if !matches!(cache, CachePhase::RevalidatedNoCache(_)) {
        return Ok(());
    }
    match std::mem::replace(&mut storing.validation, Validation::Pending) {
        Validation::Pending => Ok(()),
        Validation::Unchanged(update) => {
            update.apply(response, SystemTime::now());
            Ok(())
        }
        Validation::Unclear => Err(RuleRefusal::UnclearNotModified),
        Validation::Other(other) => {
            if !exchange.is_update {
                storing.lookup = Lookup::Nothing;
            }
            Err(other.into())
        }
    }
}

/// Notes that the origin failed. A stored response that was to be renewed is not requested again for a while.
pub(in crate::proxy) fn note_failure(edge: &Edge, exchange: &mut Exchange) {
    let is_update = exchange.is_update;
    let storing = exchange.storing.as_mut();
    if let Some(storing) = storing.filter(|storing| is_update && !storing.has_failed) {
        storing.has_failed = true;
        edge.cache.retries.failed(storing.url, Instant::now());
    }
}

/// Notes that a request has come to its good end.
pub(in crate::proxy) fn note_success(edge: &Edge, cache: CachePhase, exchange: &Exchange) {
    let is_renewed = matches!(cache, CachePhase::Miss | CachePhase::Expired | CachePhase::Revalidated);
    if let Some(storing) = exchange.storing.as_ref().filter(|_| is_renewed) {
        edge.cache.retries.succeeded(storing.url);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::{
        cache::UrlHash,
        proxy::{ProxySnapshot, exchange::Storing},
        route::CookieResponses,
    };

    #[test]
    fn a_response_that_may_not_be_stored_says_why() {
        let mut exchange = Exchange::new(Arc::new(ProxySnapshot::empty()));
        let mut response = ResponseHeader::build(200, None).expect("a header");
        response.insert_header("content-length", "3").expect("a field");
        let reason = |response: &ResponseHeader, exchange: &Exchange| match store(response, None, exchange) {
            Uncacheable(reason) => Some(reason),
            Cacheable(_) => None,
        };
        assert_eq!(reason(&response, &exchange), Some(NoCacheReason::InternalError));
        exchange.storing = Some(Box::new(Storing {
            url: UrlHash::from_bytes([0; 16]),
            asked: RequestFacts::with(&HeaderMap::new(), CookieResponses::Public, 10),
            lookup: Lookup::Nothing,
            validation: Validation::Pending,
            has_failed: false,
            received: 0,
        }));
        assert_eq!(reason(&response, &exchange), Some(NoCacheReason::Custom("not_fresh")));
        response.insert_header("cache-control", "max-age=60").expect("a field");
        assert_eq!(reason(&response, &exchange), None);
        response.insert_header("content-length", "11").expect("a field");
        assert_eq!(reason(&response, &exchange), Some(NoCacheReason::ResponseTooLarge));
        response.set_status(503).expect("a status");
        assert_eq!(reason(&response, &exchange), Some(NoCacheReason::UpstreamError));
    }
}
