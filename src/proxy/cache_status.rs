//! What clients and operators are told of how the cache took part in an answer: `Cache-Status` (RFC 9211), `Age`, and the word in
//! the access line.

use std::time::SystemTime;

use http::header;
use pingora::{Result, http::ResponseHeader};
use pingora_cache::{CachePhase, NoCacheReason};
use pingora_proxy::Session;

use super::Context;
use crate::{
    cache::NotStorable,
    route::{Route, StatusField},
    telemetry::access::Outcome,
};

/// How the cache took part in an answer, and why not: for the access line.
pub(super) fn outcome(session: &Session, context: &Context) -> Option<Outcome> {
    let word = match session.cache.phase() {
        CachePhase::Hit if context.is_paused() => "stale",
        CachePhase::Hit => "hit",
        CachePhase::Stale | CachePhase::StaleUpdating => "stale",
        CachePhase::Revalidated | CachePhase::RevalidatedNoCache(_) => "revalidated",
        CachePhase::Expired => "expired",
        CachePhase::Miss => "miss",
        CachePhase::Bypass => {
            let reason = session.cache.predicted_uncacheable_reason();
            return Some(Outcome::passed(reason.map_or("lately", label)));
        }
        CachePhase::Disabled(reason) if reason != NoCacheReason::NeverEnabled => {
            return Some(Outcome::passed(label(reason)));
        }
        CachePhase::Disabled(_) | CachePhase::Uninit | CachePhase::CacheKey => {
            return context.passed.map(|passed| Outcome::passed(passed.label()));
        }
    };
    Some(Outcome { word, reason: None })
}

/// Why an answer is not kept, in our words.
fn label(reason: NoCacheReason) -> &'static str {
    match reason {
        // Pingora's own: a 304 that nobody asked for.
        NoCacheReason::Custom("304 on miss") => "not_modified",
        NoCacheReason::Custom(why) => why,
        NoCacheReason::ResponseTooLarge | NoCacheReason::PredictedResponseTooLarge | NoCacheReason::StorageError => {
            NotStorable::TooLarge.label()
        }
        NoCacheReason::CacheLockTimeout | NoCacheReason::CacheLockRetryLimit => "waited",
        NoCacheReason::CacheLockGiveUp => "not_kept",
        NoCacheReason::UpstreamError => "status",
        NoCacheReason::DeclinedToUpstream => "only_if_cached",
        NoCacheReason::OriginNotCache => "origin",
        NoCacheReason::InternalError | NoCacheReason::Deferred | NoCacheReason::NeverEnabled => "given_up",
    }
}

/// The fields of an answer that tell how it came out of the cache.
///
/// # Errors
///
/// None that a response could cause.
pub(super) fn tell(session: &Session, response: &mut ResponseHeader, route: &Route) -> Result<()> {
    let meta = match session.cache.phase() {
        CachePhase::Disabled(_) | CachePhase::Bypass | CachePhase::Uninit | CachePhase::CacheKey => None,
        _ => session.cache.maybe_cache_meta(),
    };
    if let (CachePhase::Revalidated, Some(meta)) = (session.cache.phase(), meta) {
        // That of the 304, if that came from another cache.
        if response.headers.contains_key(header::AGE) {
            response.insert_header(header::AGE, meta.age().as_secs())?;
        }
    }
    if route.cache.status == StatusField::On {
        let now = SystemTime::now();
        let ttl = meta.map_or(0, |meta| match meta.fresh_until().duration_since(now) {
            Ok(left) => i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            Err(over) => -i64::try_from(over.duration().as_secs()).unwrap_or(i64::MAX),
        });
        response.append_header(CACHE_STATUS, cache_status(session, ttl))?;
    }
    Ok(())
}

pub(super) const CACHE_STATUS: header::HeaderName = header::HeaderName::from_static("cache-status");

/// Our member of `Cache-Status` (RFC 9211 section 2).
fn cache_status(session: &Session, ttl: i64) -> String {
    match session.cache.phase() {
        CachePhase::Hit => hit_status(ttl),
        CachePhase::StaleUpdating => format!("linkpush; hit; ttl={ttl}; detail=updating"),
        CachePhase::Stale => format!("linkpush; fwd=stale; ttl={ttl}; detail=error"),
        CachePhase::Revalidated | CachePhase::RevalidatedNoCache(_) => {
            format!("linkpush; fwd=stale; fwd-status=304; ttl={ttl}")
        }
        CachePhase::Expired => format!("linkpush; fwd=stale; stored; ttl={ttl}"),
        CachePhase::Miss => format!("linkpush; fwd=miss; stored; ttl={ttl}"),
        CachePhase::Disabled(reason) if reason != NoCacheReason::NeverEnabled => {
            format!("linkpush; fwd=miss; detail={}", label(reason))
        }
        _ if !session.req_header().method.is_safe() => "linkpush; fwd=method".to_owned(),
        _ => "linkpush; fwd=bypass".to_owned(),
    }
}

/// The same of an answer from memory that is fresh for some seconds more.
pub(super) fn hit_status(ttl: i64) -> String {
    format!("linkpush; hit; ttl={ttl}")
}
