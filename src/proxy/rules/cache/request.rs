//! Decides which requests get stored responses: what Pingora's cache asks before the origin is asked.

use std::time::{Instant, SystemTime};

use http::{HeaderMap, header, request::Parts};
use pingora_cache::{CacheKey, CacheMeta, ForcedFreshness, key::HashBinary};

use crate::{
    cache::{self, Passed, RequestFacts, Store, UrlHash, url_text},
    proxy::{
        edge::Edge,
        exchange::{Exchange, Lookup, Storing, Validation},
        rules::failure::FailureSide,
    },
    push::{self, Credentials, Mention},
    route::{CachePolicy, Caching},
};

/// Returns the policy of the route for a request in which the cache may have a part, as far as its head tells.
pub(in crate::proxy) fn policy(request: &Parts, exchange: &mut Exchange) -> Option<CachePolicy> {
    let policy = exchange.route()?.cache;
    if policy.caching == Caching::Off {
        return None;
    }
    exchange.passed = Passed::check(&request.method, &request.headers).err();
    exchange.passed.is_none().then_some(policy)
}

/// Returns whether the cache has a part in a request by this [policy], with or without content.
pub(in crate::proxy) fn takes_part(
    edge: &Edge,
    request: &Parts,
    (policy, has_content): (CachePolicy, bool),
    exchange: &mut Exchange,
) -> bool {
    let hash = if has_content {
        Err(Passed::Content)
    } else {
        hash(edge, request, policy.caching, exchange)
    };
    match hash {
        Ok(url) => {
            exchange.storing = Some(Box::new(Storing {
                url,
                asked: RequestFacts::with(&request.headers, policy.cookies, edge.cache.store.object_limit()),
                lookup: Lookup::Nothing,
                validation: Validation::Pending,
                has_failed: false,
                received: 0,
            }));
            true
        }
        Err(passed) => {
            exchange.passed = Some(passed);
            false
        }
    }
}

/// Returns the hash of the URL of a request in which the cache has a part.
fn hash(edge: &Edge, request: &Parts, caching: Caching, exchange: &Exchange) -> Result<UrlHash, Passed> {
    let store = edge.cache.store;
    let url = exchange.url(request);
    let hash = store.hasher().url(url.scheme, url.authority, url.path_and_query);
    if exchange.pushed_by.is_some() {
        // Each promise is for an asset.
        store.assets().note(hash);
    } else if caching == Caching::Assets && !store.assets().contains(hash) {
        return Err(Passed::NoAsset);
    }
    let hash = as_told(store, hash, request, exchange).ok_or(Passed::Peer)?;
    if cache::asks_for_less(&request.method, &request.headers) && !store.has(hash) {
        return Err(Passed::Part);
    }
    Ok(hash)
}

/// Returns the hash of a URL with what a trusted peer says of it; of a promise, what the peer said of its document.
pub(in crate::proxy) fn as_told(store: &Store, hash: UrlHash, request: &Parts, exchange: &Exchange) -> Option<UrlHash> {
    if let Some(received) = &exchange.received {
        return store.hasher().as_told(hash, received.fields());
    }
    match &exchange.connection {
        Some(connection) if connection.peer.is_trusted => store.hasher().as_told(hash, &request.headers),
        _ => Some(hash),
    }
}

/// Returns the key of a request in which the cache has a part.
pub(in crate::proxy) fn key(edge: &Edge, request: &Parts, exchange: &Exchange) -> CacheKey {
    let store = edge.cache.store;
    let url = exchange.url(request);
    let hash = match &exchange.storing {
        Some(storing) => storing.url,
        None => store.hasher().url(url.scheme, url.authority, url.path_and_query),
    };
    let text = url_text(url.scheme, url.authority, url.path_and_query);
    let upstream = exchange.pool().map_or("", |pool| &pool.policy().name);
    let mut key = cache::cache_key(store, hash, text, upstream);
    if exchange
        .storing
        .as_ref()
        .is_some_and(|storing| storing.asked.with_cookie)
    {
        cache::note_cookie(&mut key);
    }
    key
}

/// Notes that a stored response was found. One that may not be pushed is requested again, so that the response is
/// judged and its promise cancelled. One that could be renewed in the background is used as it is while the origin
/// fails to renew it.
pub(in crate::proxy) fn found(
    edge: &Edge,
    meta: &CacheMeta,
    is_fresh: bool,
    exchange: &mut Exchange,
) -> Option<ForcedFreshness> {
    let may_be_paused = !is_fresh && !exchange.is_update && meta.serve_stale_while_revalidate(SystemTime::now());
    if let Some(storing) = &mut exchange.storing {
        storing.lookup = if !is_fresh && cache::must_be_revalidated(meta.headers()) {
            Lookup::MustBeRevalidated
        } else if may_be_paused && edge.cache.retries.is_paused(storing.url, Instant::now()) {
            Lookup::Paused
        } else {
            Lookup::Usable
        };
    }
    if exchange.pushed_by.is_some() {
        let credentials = exchange
            .route()
            .map_or(Credentials::Omit, |route| route.push.credentials);
        let response = meta.response_header();
        if push::check_pushable(response.status, &response.headers, credentials).is_err() {
            return Some(ForcedFreshness::ForceMiss);
        }
    }
    exchange.is_paused().then_some(ForcedFreshness::ForceFresh)
}

/// Returns what a request has in the fields that a response varies by.
pub(in crate::proxy) fn variance(edge: &Edge, meta: &CacheMeta, request: &Parts) -> Option<HashBinary> {
    edge.cache.store.variance(meta.headers(), &request.headers)
}

/// Returns whether a stale response may be used, which Pingora has found to allow it: while it is validated, or because
/// that failed on this side.
pub(in crate::proxy) fn may_be_stale(exchange: &Exchange, failed: Option<FailureSide>) -> bool {
    !exchange.is_update && failed != Some(FailureSide::Client)
}

/// Returns whether a request wants a stored response or none (RFC 9111 section 5.2.1.7): 504 then.
///
/// The wish says nothing to a route that stores nothing, nor of a method whose responses are never stored.
pub(in crate::proxy) fn wants_stored_only(request: &Parts, exchange: &mut Exchange) -> bool {
    let takes_part = exchange.storing.is_some() || exchange.passed.is_some_and(|passed| passed != Passed::Method);
    if exchange.is_update || !takes_part || !has_directive(&request.headers, "only-if-cached") {
        return false;
    }
    exchange.failure = Some("only-if-cached".to_owned());
    true
}

fn has_directive(fields: &HeaderMap, directive: &str) -> bool {
    let values = fields.get_all(header::CACHE_CONTROL).iter();
    values
        .flat_map(|value| value.as_bytes().split(|&b| b == b','))
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(directive.as_bytes()))
}

/// Notes the URLs that these Link fields of a document preload as assets. `mentions` is asked where the fields are new.
pub(in crate::proxy) fn note_links<'f, 'm>(
    edge: &Edge,
    request: &Parts,
    exchange: &Exchange,
    fields: impl Iterator<Item = &'f [u8]>,
    mentions: impl FnOnce() -> &'m [Mention<'m>],
) {
    let Some(route) = exchange.route() else { return };
    if route.cache.caching == Caching::Off {
        return;
    }
    let url = exchange.url(request);
    let document = (url.scheme, url.authority, url.path_and_query);
    let store = edge.cache.store;
    store
        .assets()
        .note_links(store.hasher(), document, &route.push, fields, mentions);
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_directive_is_found_in_any_line_and_case() {
        for (lines, expected) in [
            (vec![], false),
            (vec!["only-if-cached"], true),
            (vec!["max-age=0, Only-If-Cached"], true),
            (vec!["max-age=0", " only-if-cached ,x"], true),
            (vec!["only-if-cached=1"], false),
            (vec!["no-only-if-cached"], false),
        ] {
            let mut fields = HeaderMap::new();
            for line in &lines {
                fields.append(header::CACHE_CONTROL, HeaderValue::from_static(line));
            }
            assert_eq!(has_directive(&fields, "only-if-cached"), expected, "{lines:?}");
        }
    }
}
