//! Which answers of the origin are kept, and what they say of the one that was found.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use http::{StatusCode, header};
use pingora::{Error, ErrorType, Result, http::ResponseHeader};
use pingora_cache::{
    CacheMeta, CachePhase, NoCacheReason,
    RespCacheable::{self, Cacheable, Uncacheable},
};
use pingora_proxy::Session;

use super::{Found, key, variance};
use crate::{
    cache::{self, FillSource, NotStorable, OtherResponse, RequestFacts, Update},
    proxy::{Context, Edge, change, hops},
};

/// What the origin says of the answer that was found.
#[derive(Debug)]
pub(super) enum Said {
    /// Nothing yet, or another answer.
    Nothing,
    /// A 304.
    Unchanged(Update),
    /// A 304 about another answer.
    Other(OtherResponse),
    /// A 304 that nobody can tell the end of.
    Bad,
}

/// A 304 that is not about the answer in memory; the proxy knows errors by this name.
pub(in crate::proxy) const NOT_VALIDATED: ErrorType = ErrorType::Custom("NotValidated");

/// Looks at the origin's header before it is kept.
pub(in crate::proxy) fn answered(session: &Session, response: &ResponseHeader, context: &mut Context) {
    let Some(kept) = &mut context.kept else { return };
    if response.status.is_informational() || !session.cache.enabled() {
        return;
    }
    kept.said = Said::Nothing;
    if let (StatusCode::NOT_MODIFIED, Some(meta)) = (response.status, session.cache.maybe_cache_meta()) {
        let mut said = response.clone();
        hops::strip(&mut said);
        kept.said = match Update::of(meta.headers(), said.headers.clone()) {
            Ok(update) => Said::Unchanged(update),
            Err(other) => Said::Other(other),
        };
    }
    kept.asked.revalidated = matches!(kept.said, Said::Unchanged(_));
}

/// The origin's header is refused. Pingora goes on with the answer that was found if it was a 304.
pub(in crate::proxy) fn refused(response: &ResponseHeader, context: &mut Context) {
    if let (StatusCode::NOT_MODIFIED, Some(kept)) = (response.status, &mut context.kept) {
        kept.said = Said::Bad;
    }
}

/// Decides whether the origin's answer is kept, and as what; what it says of the answer that was found is done.
pub(in crate::proxy) fn decide(
    edge: &Edge,
    session: &Session,
    response: &ResponseHeader,
    context: &mut Context,
) -> RespCacheable {
    let found = session.cache.maybe_cache_meta().map(CacheMeta::response_header);
    let mut decided = admit(edge, session, keep(response, found, context), context);
    if let (Cacheable(meta), true) = (&mut decided, found.is_some()) {
        let variance = variance(edge, meta, session.req_header());
        cache::revalidated(meta, variance);
    }
    if response.status.is_server_error() {
        note_failure(edge, context);
    }
    if let (Uncacheable(why), Some(kept)) = (&decided, &context.kept) {
        let says_nothing = matches!(why, NoCacheReason::UpstreamError | NoCacheReason::InternalError);
        let is_other = matches!(kept.said, Said::Other(_));
        if is_other || !says_nothing && kept.found != Found::Nothing {
            // The origin's last word counts (RFC 9111 section 4.3.3). That it fails says nothing of what is kept.
            change::forget(edge, session.req_header(), context);
            edge.keeper.retries.succeeded(kept.url);
        }
    }
    decided
}

/// Whether the origin's answer is kept, and as what. A 304 is kept with the content of the answer that was found, and with
/// its fields.
fn keep(response: &ResponseHeader, found: Option<&ResponseHeader>, context: &Context) -> RespCacheable {
    let Some(kept) = &context.kept else {
        return Uncacheable(NoCacheReason::InternalError);
    };
    let now = SystemTime::now();
    let mut header = match (&kept.said, found) {
        (Said::Nothing, _) => response.clone(),
        (Said::Unchanged(update), Some(found)) => {
            let mut header = found.clone();
            update.apply(&mut header, now);
            header
        }
        _ => return Uncacheable(NoCacheReason::UpstreamError),
    };
    // What Connection names says nothing to anybody but us as a hop, so nothing of keeping either.
    hops::strip_nominated(&mut header);
    let asked = RequestFacts {
        delay: context.tried_since.elapsed(),
        ..kept.asked
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

/// Room for what is to be kept, and where it comes from. Without room it is not kept this time: it passes.
fn admit(edge: &Edge, session: &Session, kept: RespCacheable, context: &Context) -> RespCacheable {
    let mut meta = match kept {
        Cacheable(meta)
            if context
                .kept
                .as_ref()
                .is_some_and(|kept| matches!(kept.said, Said::Nothing)) =>
        {
            meta
        }
        other => return other,
    };
    let length = cache::announced_length(meta.headers());
    let was_too_large = session.cache.predicted_uncacheable_reason() == Some(NoCacheReason::ResponseTooLarge);
    if length.is_none() && was_too_large && session.cache.bypassing() {
        return Uncacheable(NoCacheReason::ResponseTooLarge);
    }
    let reserved = match length.map(|length| edge.keeper.store.reserve(length)) {
        Some(None) => return Uncacheable(NoCacheReason::Custom(cache::NO_ROOM)),
        Some(reserved) => reserved.map(Arc::new),
        None => None,
    };
    meta.extensions_mut().insert(FillSource {
        valve: context.exchange.as_ref().map(|exchange| Arc::clone(exchange.valve())),
        reserved,
    });
    Cacheable(meta)
}

/// Nobody reads what comes, and nothing keeps it; the proxy knows errors by this name.
pub(in crate::proxy) const NOBODY_READS: ErrorType = ErrorType::Custom("NobodyReads");

/// Counts content of an answer that is to be kept. What turns out to be too large ends what was kept before, and is not
/// waited for next time.
///
/// # Errors
///
/// [`NOBODY_READS`]: it is an update in the background that is not kept, or all who read have left.
pub(in crate::proxy) fn count(
    edge: &Edge,
    session: &Session,
    content: Option<&[u8]>,
    context: &mut Context,
) -> Result<()> {
    let is_update = context.is_update;
    let Some(kept) = &mut context.kept else { return Ok(()) };
    let is_given_up = session.cache.phase() == CachePhase::Disabled(NoCacheReason::StorageError);
    if is_given_up || is_update && !session.cache.enabled() {
        return Error::e_explain(NOBODY_READS, "an answer that is not kept");
    }
    if !session.cache.enabled() {
        return Ok(());
    }
    let before = kept.received;
    kept.received += content.map_or(0, <[u8]>::len);
    let limit = kept.asked.limit;
    if before <= limit && kept.received > limit {
        session
            .cache
            .response_became_uncacheable(NoCacheReason::ResponseTooLarge);
        if kept.found != Found::Nothing {
            change::forget(edge, session.req_header(), context);
        }
        if is_update && let Some(exchange) = &context.exchange {
            // It has no client; others may have begun to read it.
            exchange.valve().note_client_left();
        }
    }
    Ok(())
}

/// After a 304, Pingora answers with what was found. Sees to it that what was not validated is not used, and that what may
/// not be kept any more has the fields of the 304 nevertheless.
///
/// # Errors
///
/// The 304 validates nothing. It was about another answer if the error is [`NOT_VALIDATED`]: the request is then to be
/// repeated, and asks for the whole.
pub(in crate::proxy) fn validated(
    edge: &Edge,
    session: &mut Session,
    response: &mut ResponseHeader,
    context: &mut Context,
) -> Result<()> {
    let Some(kept) = &mut context.kept else { return Ok(()) };
    if !matches!(session.cache.phase(), CachePhase::RevalidatedNoCache(_)) {
        return Ok(());
    }
    match std::mem::replace(&mut kept.said, Said::Nothing) {
        Said::Nothing => Ok(()),
        Said::Unchanged(update) => {
            update.apply(response, SystemTime::now());
            Ok(())
        }
        Said::Bad => Err(Error::explain(ErrorType::InvalidHTTPHeader, "a 304 without a clear end").into_up()),
        Said::Other(other) => {
            if !context.is_update {
                kept.found = Found::Nothing;
                let store = edge.keeper.store;
                session.cache.disable(NoCacheReason::UpstreamError);
                session.cache.enable(store, None, Some(edge.keeper.unkept), None, None);
                session.cache.set_cache_key(key(edge, session, context));
                session.cache.cache_miss();
            }
            Err(Error::explain(NOT_VALIDATED, other.to_string()).into_up())
        }
    }
}

/// The origin failed. If what is in memory was to be renewed, it is not asked again for a while.
pub(in crate::proxy) fn note_failure(edge: &Edge, context: &mut Context) {
    let is_update = context.is_update;
    if let Some(kept) = context.kept.as_mut().filter(|kept| is_update && !kept.has_failed) {
        kept.has_failed = true;
        edge.keeper.retries.failed(kept.url, Instant::now());
    }
}

/// A request has come to its good end.
pub(in crate::proxy) fn note_success(edge: &Edge, session: &Session, context: &Context) {
    let is_renewed = matches!(
        session.cache.phase(),
        CachePhase::Miss | CachePhase::Expired | CachePhase::Revalidated
    );
    if let Some(kept) = context.kept.as_ref().filter(|_| is_renewed) {
        edge.keeper.retries.succeeded(kept.url);
    }
}

/// A request that is to be repeated must not go on with what was begun to be kept of its first answer.
pub(in crate::proxy) fn repeated(session: &mut Session) {
    let was_begun = matches!(session.cache.phase(), CachePhase::Miss | CachePhase::Expired)
        && session.cache.miss_handler().is_some();
    if was_begun {
        session.cache.disable(NoCacheReason::UpstreamError);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;

    use super::{super::Kept, *};
    use crate::{cache::UrlHash, route::CookieResponses};

    #[test]
    fn an_answer_that_may_not_be_kept_says_why() {
        let live = crate::proxy::Live {
            routes: Vec::new(),
            pools: Vec::new(),
            timeouts: crate::proxy::Timeouts {
                read: Duration::ZERO,
                write: Duration::ZERO,
            },
        };
        let mut context = Context::new(Arc::new(live));
        let mut response = ResponseHeader::build(200, None).expect("a header");
        response.insert_header("content-length", "3").expect("a field");
        let reason = |response: &ResponseHeader, context: &Context| match keep(response, None, context) {
            Uncacheable(reason) => Some(reason),
            Cacheable(_) => None,
        };
        assert_eq!(reason(&response, &context), Some(NoCacheReason::InternalError));
        context.kept = Some(Box::new(Kept {
            url: UrlHash::from_bytes([0; 16]),
            asked: RequestFacts::with(&HeaderMap::new(), CookieResponses::Public, 10),
            found: Found::Nothing,
            said: Said::Nothing,
            has_failed: false,
            received: 0,
        }));
        assert_eq!(reason(&response, &context), Some(NoCacheReason::Custom("not_fresh")));
        response.insert_header("cache-control", "max-age=60").expect("a field");
        assert_eq!(reason(&response, &context), None);
        response.insert_header("content-length", "11").expect("a field");
        assert_eq!(reason(&response, &context), Some(NoCacheReason::ResponseTooLarge));
        response.set_status(503).expect("a status");
        assert_eq!(reason(&response, &context), Some(NoCacheReason::UpstreamError));
    }
}
