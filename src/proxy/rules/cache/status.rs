//! Tells clients and operators which part the cache had in a response: `Cache-Status` (RFC 9211), `Age`, and the word
//! in the access line.

use std::time::SystemTime;

use http::{HeaderValue, Method, header};
use pingora_cache::{CacheMeta, CachePhase, NoCacheReason};

use crate::{
    cache::NotStorable,
    proxy::{
        exchange::Exchange,
        rules::head::{Fields, name},
    },
    route::{Route, StatusField},
    telemetry::{CacheWord, access::Outcome},
};

/// The facts that Pingora's cache tells of a request.
#[derive(Debug, Clone, Copy)]
pub(in crate::proxy) struct CacheFacts<'c> {
    /// The phase of the request.
    pub(in crate::proxy) phase: CachePhase,
    /// The record of the response, stored or on its way there.
    pub(in crate::proxy) meta: Option<&'c CacheMeta>,
    /// The reason why an earlier response was not stored, where it was remembered.
    pub(in crate::proxy) predicted: Option<NoCacheReason>,
}

/// Returns whether the cache still has a part in the request.
pub(in crate::proxy) const fn is_enabled(cache: CachePhase) -> bool {
    !matches!(cache, CachePhase::Disabled(_) | CachePhase::Bypass)
}

/// Returns which part the cache had in a response, and why none: for the access line.
pub(in crate::proxy) fn outcome(cache: &CacheFacts<'_>, exchange: &Exchange) -> Option<Outcome> {
    let word = match cache.phase {
        CachePhase::Hit if exchange.is_paused() => CacheWord::Stale,
        CachePhase::Hit => CacheWord::Hit,
        CachePhase::Stale | CachePhase::StaleUpdating => CacheWord::Stale,
        CachePhase::Revalidated | CachePhase::RevalidatedNoCache(_) => CacheWord::Revalidated,
        CachePhase::Expired => CacheWord::Expired,
        CachePhase::Miss => CacheWord::Miss,
        CachePhase::Bypass => return Some(Outcome::passed(cache.predicted.map_or("lately", label))),
        CachePhase::Disabled(reason) if reason != NoCacheReason::NeverEnabled => {
            return Some(Outcome::passed(label(reason)));
        }
        CachePhase::Disabled(_) | CachePhase::Uninit | CachePhase::CacheKey => {
            return exchange.passed.map(|passed| Outcome::passed(passed.label()));
        }
    };
    Some(Outcome { word, reason: None })
}

/// Returns why a response is not stored, in our words.
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

/// Writes the fields of a response that tell how it came out of the cache.
pub(in crate::proxy) fn tell(cache: &CacheFacts<'_>, request: &Method, response: &mut impl Fields, route: &Route) {
    let meta = match cache.phase {
        CachePhase::Disabled(_) | CachePhase::Bypass | CachePhase::Uninit | CachePhase::CacheKey => None,
        _ => cache.meta,
    };
    if let (CachePhase::Revalidated, Some(meta)) = (cache.phase, meta) {
        // The 304 says how old it is itself, if it came from another cache.
        if response.fields().contains_key(header::AGE) {
            response.set(&name::AGE, HeaderValue::from(meta.age().as_secs()));
        }
    }
    if route.cache.status == StatusField::On {
        let now = SystemTime::now();
        let ttl = meta.map_or(0, |meta| match meta.fresh_until().duration_since(now) {
            Ok(left) => i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            Err(over) => -i64::try_from(over.duration().as_secs()).unwrap_or(i64::MAX),
        });
        if let Ok(status) = HeaderValue::try_from(cache_status(cache.phase, request, ttl)) {
            response.add(&name::CACHE_STATUS, status);
        }
    }
}

/// Returns our member of `Cache-Status` (RFC 9211 section 2).
fn cache_status(phase: CachePhase, request: &Method, ttl: i64) -> String {
    match phase {
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
        _ if !request.is_safe() => "linkpush; fwd=method".to_owned(),
        _ => "linkpush; fwd=bypass".to_owned(),
    }
}

/// Returns our member of `Cache-Status` for a stored response that is fresh for `ttl` seconds more.
pub(in crate::proxy) fn hit_status(ttl: i64) -> String {
    format!("linkpush; hit; ttl={ttl}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phase_is_told_in_its_own_words() {
        use CachePhase::{Bypass, Disabled, Expired, Hit, Miss, Revalidated, Stale, StaleUpdating};
        for (phase, method, expected) in [
            (Hit, Method::GET, "linkpush; hit; ttl=9"),
            (StaleUpdating, Method::GET, "linkpush; hit; ttl=9; detail=updating"),
            (Stale, Method::GET, "linkpush; fwd=stale; ttl=9; detail=error"),
            (Revalidated, Method::GET, "linkpush; fwd=stale; fwd-status=304; ttl=9"),
            (Expired, Method::GET, "linkpush; fwd=stale; stored; ttl=9"),
            (Miss, Method::HEAD, "linkpush; fwd=miss; stored; ttl=9"),
            (
                Disabled(NoCacheReason::Custom("private")),
                Method::GET,
                "linkpush; fwd=miss; detail=private",
            ),
            (
                Disabled(NoCacheReason::StorageError),
                Method::GET,
                "linkpush; fwd=miss; detail=too_large",
            ),
            (Bypass, Method::GET, "linkpush; fwd=bypass"),
            (
                Disabled(NoCacheReason::NeverEnabled),
                Method::GET,
                "linkpush; fwd=bypass",
            ),
            (
                Disabled(NoCacheReason::NeverEnabled),
                Method::POST,
                "linkpush; fwd=method",
            ),
        ] {
            assert_eq!(cache_status(phase, &method, 9), expected, "{phase:?}");
        }
    }
}
