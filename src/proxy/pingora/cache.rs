//! Moves Pingora's cache from one state to the next as the rules have it.

use pingora::{Result, http::ResponseHeader};
use pingora_cache::{CacheOptionOverrides, CachePhase, NoCacheReason};
use pingora_proxy::Session;

use crate::proxy::{
    edge::Edge,
    exchange::Exchange,
    rules::{
        cache::{
            request,
            storing::{self, Size},
        },
        failure::RuleRefusal,
    },
};

/// Turns the cache on for a request in which it has a part.
pub(super) fn begin(edge: &Edge, session: &mut Session, exchange: &mut Exchange) {
    let Some(policy) = request::policy(session.req_header(), exchange) else {
        return;
    };
    let has_content = !session.is_body_empty();
    if !request::takes_part(edge, session.req_header(), (policy, has_content), exchange) {
        return;
    }
    // A response that is stored comes as fast as the origin gives it, and goes out as fast as the client takes it.
    session.set_proxy_tasks_enabled(true);
    let mut waiting = CacheOptionOverrides::default();
    waiting.wait_timeout = Some(policy.wait);
    let parts = &edge.cache;
    session.cache.enable(
        parts.store,
        None,
        Some(parts.uncacheable),
        Some(parts.lock),
        Some(waiting),
    );
}

/// Counts content of a response that is to be stored.
pub(super) fn count(edge: &Edge, session: &Session, length: usize, exchange: &mut Exchange) -> Result<()> {
    if storing::count(edge, session.cache.phase(), session.req_header(), length, exchange)? == Size::TooLarge {
        session
            .cache
            .response_became_uncacheable(NoCacheReason::ResponseTooLarge);
    }
    Ok(())
}

/// Checks the stored response with which Pingora goes on after a 304. If the 304 was about another one, the request is
/// repeated as if nothing was found.
pub(super) fn validated(
    edge: &Edge,
    session: &mut Session,
    response: &mut ResponseHeader,
    exchange: &mut Exchange,
) -> Result<()> {
    let checked = storing::validated(session.cache.phase(), response, exchange);
    if matches!(checked, Err(RuleRefusal::NotValidated(_))) && !exchange.is_update {
        session.cache.disable(NoCacheReason::UpstreamError);
        let parts = &edge.cache;
        session
            .cache
            .enable(parts.store, None, Some(parts.uncacheable), None, None);
        let key = request::key(edge, session.req_header(), exchange);
        session.cache.set_cache_key(key);
        session.cache.cache_miss();
    }
    Ok(checked?)
}

/// Sees to it that a request which is repeated does not go on with what was stored so far of its first response.
pub(super) fn repeated(session: &mut Session) {
    let was_begun = matches!(session.cache.phase(), CachePhase::Miss | CachePhase::Expired)
        && session.cache.miss_handler().is_some();
    if was_begun {
        session.cache.disable(NoCacheReason::UpstreamError);
    }
}
