//! Looks up what a document linked to before the origin is asked, and learns what it links to once its header is there.
//!
//! The learned links go first, in the first 103: browsers use no other. An origin that sends a 103 of its own most likely
//! sent an equal one the last time, and what is new in it goes out in a second.

use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, Method, StatusCode, header, request::Parts};
use log::{debug, info};

use crate::{
    forwarded::ask_for_another,
    learn::{DocumentKey, Evidence, LearnPolicy, Learning, Links, Observation, VisitorFacts},
    link::spelling,
    proxy::{
        edge::Edge,
        exchange::{DocumentObservation, Exchange},
    },
    push::Mention,
};

/// Begins to observe the document of a request where its route learns; returns the links that are to be delivered at once.
pub(in crate::proxy) fn begin(edge: &Edge, request: &Parts, exchange: &mut Exchange) -> Links {
    let Some(route) = exchange.route() else {
        return Links::default();
    };
    let policy = &route.learn;
    if policy.learning == Learning::Off
        || exchange.pushed_by.is_some()
        || exchange.is_update
        || request.method != Method::GET
        || ask_for_another(&request.headers)
    {
        return Links::default();
    }
    // A client that is given nothing early waits for a response that teaches: many do not.
    let (key, delivered) = if exchange.delivers() {
        let (key, links) = look_up(edge, request, exchange, policy);
        (Some(key), links)
    } else {
        (None, Links::default())
    };
    let returning = policy.returning.skips(&request.headers);
    exchange.observation = Some(Box::new(DocumentObservation {
        key,
        delivered: Links::clone(&delivered),
        early: Vec::new(),
        returning,
        missed: 0,
    }));
    delivered
}

/// Looks up the document that a request asks for, and the learned links. It counts as a visit.
fn look_up(edge: &Edge, request: &Parts, exchange: &Exchange, policy: &LearnPolicy) -> (DocumentKey, Links) {
    let url = exchange.url(request);
    let document = (url.scheme, url.authority, url.path, request.uri.query());
    let key = edge.manifests.hasher().document(policy, document, &request.headers);
    (key, edge.manifests.links(key, policy, now()).unwrap_or_default())
}

/// Learns from a head of the origin, which mentions these: notes the links of a 103, observes those of a final response.
pub(in crate::proxy) fn observe(
    edge: &Edge,
    request: &Parts,
    (status, fields): (StatusCode, &HeaderMap),
    mentions: &[Mention<'_>],
    exchange: &mut Exchange,
) {
    let Some(mut observation) = exchange.observation.take() else {
        return;
    };
    if status == StatusCode::EARLY_HINTS {
        observation.early.extend(links(mentions).map(Vec::into_boxed_slice));
        observation.early.truncate(MAX_EARLY);
    } else if teaches(status) {
        finish(edge, request, (fields, mentions), exchange, &mut observation);
    }
    exchange.observation = Some(observation);
}

/// Observes the links of a final response, and those of the 103s before it.
fn finish(
    edge: &Edge,
    request: &Parts,
    (response, mentions): (&HeaderMap, &[Mention<'_>]),
    exchange: &Exchange,
    observation: &mut DocumentObservation,
) {
    let (Some(route), Some(address)) = (exchange.route(), exchange.client_address(&request.headers)) else {
        return;
    };
    let now_linked: Vec<Vec<u8>> = links(mentions).collect();
    let mut found: Vec<&[u8]> = Vec::new();
    for link in now_linked
        .iter()
        .map(AsRef::as_ref)
        .chain(observation.early.iter().map(AsRef::as_ref))
    {
        if !found.contains(&link) && found.len() < MAX_EARLY {
            found.push(link);
        }
    }
    if found.is_empty() && !may_be_document(response) {
        return;
    }
    let key = observation
        .key
        .unwrap_or_else(|| look_up(edge, request, exchange, &route.learn).0);
    if found.is_empty() && observation.delivered.is_empty() && edge.manifests.is_unknown(key) {
        return;
    }
    let cookies: Vec<&[u8]> = values(&request.headers, &header::COOKIE);
    let set_cookies: Vec<&[u8]> = values(response, &header::SET_COOKIE);
    let facts = VisitorFacts {
        address,
        cookies: &cookies,
        set_cookies: &set_cookies,
        authorization: request.headers.contains_key(header::AUTHORIZATION),
        query: request.uri.query(),
    };
    let evidence = Evidence::of(&facts, &route.learn.key, edge.manifests.hasher());
    let seen = Observation {
        now: now(),
        evidence: &evidence,
        links: &found,
        delivered: &observation.delivered,
    };
    let verdict = edge.manifests.observe(key, &route.learn, &seen);
    observation.missed = verdict.wrong;
    if verdict.wrong > 0 {
        debug!("{}: {} learned links are gone", request.uri, verdict.wrong);
    }
    if verdict.paused {
        info!(
            "{}: what is learned keeps being wrong, so nothing is for a while",
            request.uri
        );
    }
}

/// Links of one response that are observed.
const MAX_EARLY: usize = 64;

/// Returns whether a response teaches: errors teach nothing and forget nothing, nor does a 304.
fn teaches(status: StatusCode) -> bool {
    (status.is_success() || status.is_redirection()) && status != StatusCode::NOT_MODIFIED
}

/// Returns whether a response may be the document of its URL. A client that asks for JSON gets a response that links to
/// nothing, which says nothing of the document that others get.
fn may_be_document(response: &HeaderMap) -> bool {
    let Some(kind) = response.get(header::CONTENT_TYPE) else {
        return true;
    };
    let essence = kind.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default();
    [&b"text/html"[..], b"application/xhtml+xml"]
        .iter()
        .any(|html| essence.trim_ascii().eq_ignore_ascii_case(html))
}

/// Returns the links that can be delivered early, in their one spelling: printable, with a relation that asks for something.
fn links(mentions: &[Mention<'_>]) -> impl Iterator<Item = Vec<u8>> {
    mentions
        .iter()
        .filter_map(|mention| mention.link.as_ref().ok())
        .filter(|link| RELATIONS.iter().any(|relation| link.has_relation(relation)))
        .map(spelling)
        .filter(|spelled| spelled.iter().all(|b| matches!(b, b' '..=b'~')))
}

const RELATIONS: [&str; 3] = ["preload", "modulepreload", "preconnect"];

/// Returns the lines of a field.
fn values<'h>(fields: &'h HeaderMap, name: &header::HeaderName) -> Vec<&'h [u8]> {
    fields.get_all(name).iter().map(header::HeaderValue::as_bytes).collect()
}

/// Returns the seconds since 1970.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_successes_and_redirections_teach() {
        for (status, expected) in [
            (200, true),
            (206, true),
            (301, true),
            (304, false),
            (404, false),
            (503, false),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(teaches(status), expected, "{status}");
        }
    }

    #[test]
    fn a_response_of_another_type_is_no_document() {
        for (kind, expected) in [
            (None, true),
            (Some("text/html"), true),
            (Some("Text/HTML ; charset=utf-8"), true),
            (Some("application/xhtml+xml"), true),
            (Some("application/json"), false),
            (Some(""), false),
        ] {
            let kind = kind.map(|kind| (header::CONTENT_TYPE, HeaderValue::from_static(kind)));
            assert_eq!(may_be_document(&kind.into_iter().collect()), expected);
        }
    }
}
