//! Looks up what a document linked to before the origin is asked, and learns what it links to once its header is there.
//!
//! The learned links go first, in the first 103: browsers use no other. An origin that sends a 103 of its own most likely
//! sent an equal one the last time, and what is new in it goes out in a second.

use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use log::{debug, info};

use crate::{
    forwarded::ask_for_another,
    learn::{DocumentKey, Evidence, KnownDocument, LearnPolicy, Learning, Links, Observation, Observed, VisitorFacts},
    link::{ResourceHint, Spelled},
    proxy::{
        edge::Edge,
        exchange::{DocumentObservation, Exchange},
    },
    push::{Mention, SkipReason},
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
        || !asks_for_document(&request.headers)
    {
        return Links::default();
    }
    // A client that is given nothing early waits for a response that teaches: many do not.
    let (key, known) = if exchange.delivers() {
        let (key, known) = look_up(edge, request, exchange, policy);
        (Some(key), known)
    } else {
        (None, KnownDocument::default())
    };
    let returning = policy.returning.skips(&request.headers);
    for _ in 0..known.waiting {
        exchange.skips.add(SkipReason::WaitingForVisitors);
    }
    exchange.observation = Some(Box::new(DocumentObservation {
        key,
        delivered: Links::clone(&known.links),
        csp: known.csp,
        early: Vec::new(),
        returning,
        missed: 0,
    }));
    known.links
}

/// Looks up the document that a request asks for, and the learned links. It counts as a visit.
fn look_up(edge: &Edge, request: &Parts, exchange: &Exchange, policy: &LearnPolicy) -> (DocumentKey, KnownDocument) {
    let url = exchange.url(request);
    let document = (url.scheme, url.authority, url.path, request.uri.query());
    let key = edge.manifests.hasher().document(policy, document, &request.headers);
    (key, edge.manifests.known(key, policy, now()).unwrap_or_default())
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
        observation.early.extend(links(mentions));
        observation.early.truncate(MAX_EARLY);
    } else if let Some(response) = observed(status, fields, exchange.url(request).authority) {
        finish(edge, request, (response, fields, mentions), exchange, &mut observation);
    }
    exchange.observation = Some(observation);
}

/// Observes the links of a final response, and those of the 103s before it.
fn finish(
    edge: &Edge,
    request: &Parts,
    (response, fields, mentions): (Observed, &HeaderMap, &[Mention<'_>]),
    exchange: &Exchange,
    observation: &mut DocumentObservation,
) {
    let (Some(route), Some(address)) = (exchange.route(), exchange.client_address(&request.headers)) else {
        return;
    };
    let mut found: Vec<Spelled> = Vec::new();
    for link in links(mentions).chain(observation.early.drain(..)) {
        if !found.contains(&link) && found.len() < MAX_EARLY {
            found.push(link);
        }
    }
    if found.is_empty() && response != Observed::Document {
        return;
    }
    let key = observation
        .key
        .unwrap_or_else(|| look_up(edge, request, exchange, &route.learn).0);
    if found.is_empty() && observation.delivered.is_empty() && edge.manifests.is_unknown(key) {
        return;
    }
    let cookies: Vec<&[u8]> = values(&request.headers, &header::COOKIE);
    let set_cookies: Vec<&[u8]> = values(fields, &header::SET_COOKIE);
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
        network: edge.manifests.hasher().network(address),
        response,
        links: &found,
        delivered: &observation.delivered,
        policies: &values(fields, &header::CONTENT_SECURITY_POLICY),
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

/// Returns what a final response is to the document of its URL; `None` for one that says nothing of it: errors and parts,
/// a 304, a redirect to another site.
fn observed(status: StatusCode, fields: &HeaderMap, authority: &str) -> Option<Observed> {
    if status == StatusCode::OK {
        return Some(if may_be_document(fields) {
            Observed::Document
        } else {
            Observed::Other
        });
    }
    let stays = || is_within_site(fields.get(header::LOCATION)?.as_bytes(), authority).then_some(Observed::Redirect);
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308).then(stays)?
}

/// Returns whether a redirect leads to a URL of the same host, or of a host below or above it.
fn is_within_site(location: &[u8], authority: &str) -> bool {
    let Some(location) = str::from_utf8(location).ok() else {
        return false;
    };
    let rest = match location.split_once("//") {
        Some((scheme, rest)) if scheme.is_empty() || matches!(scheme, "http:" | "https:") => rest,
        _ => {
            let has_scheme = location
                .split(['/', '?', '#'])
                .next()
                .is_some_and(|start| start.contains(':'));
            return !has_scheme && !location.contains('\\');
        }
    };
    let host = |authority: &str| {
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        host.to_ascii_lowercase()
    };
    let to = host(rest.split(['/', '?', '#']).next().unwrap_or_default());
    let from = host(authority);
    let is_below = |host: &str, other: &str| host.strip_suffix(other).is_some_and(|rest| rest.ends_with('.'));
    to == from || is_below(&to, &from) || is_below(&from, &to)
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

/// Returns whether a request is for a document as a browser shows it: no part, no frame, and not what a front-end framework
/// fetches under the same URL.
fn asks_for_document(fields: &HeaderMap) -> bool {
    let is_document = |destination: &HeaderValue| destination == "document";
    fields.get("sec-fetch-dest").is_none_or(is_document)
        && !fields.contains_key(header::RANGE)
        && !OF_FRAMEWORKS.iter().any(|name| fields.contains_key(*name))
        && accepts_html(fields)
}

/// Request fields of frameworks that fetch data or fragments under the URL of a document: Next.js, htmx, Inertia, Turbo, Unpoly,
/// pjax, and what jQuery and others send.
const OF_FRAMEWORKS: [&str; 10] = [
    "rsc",
    "next-router-state-tree",
    "next-router-prefetch",
    "hx-request",
    "x-inertia",
    "turbo-frame",
    "x-up-version",
    "x-pjax",
    "x-requested-with",
    "x-sveltekit-invalidated",
];

fn accepts_html(fields: &HeaderMap) -> bool {
    let mut lines = fields.get_all(header::ACCEPT).iter().peekable();
    if lines.peek().is_none() {
        return true;
    }
    lines
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .any(|range| {
            let essence = range
                .split(|&byte| byte == b';')
                .next()
                .unwrap_or_default()
                .trim_ascii();
            [&b"text/html"[..], b"application/xhtml+xml", b"text/*", b"*/*"]
                .iter()
                .any(|html| essence.eq_ignore_ascii_case(html))
        })
}

/// Returns the links that can be delivered early, in their one spelling: printable, with a relation that asks for something.
fn links(mentions: &[Mention<'_>]) -> impl Iterator<Item = Spelled> {
    mentions
        .iter()
        .filter_map(|mention| ResourceHint::of(mention.link.as_ref().ok()?))
        .map(|link| link.spelled())
        .filter(|spelled| spelled.text().iter().all(|b| matches!(b, b' '..=b'~')))
}

/// Returns the lines of a field.
fn values<'h>(fields: &'h HeaderMap, name: &header::HeaderName) -> Vec<&'h [u8]> {
    fields.get_all(name).iter().map(HeaderValue::as_bytes).collect()
}

/// Returns the seconds since 1970.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_document_or_a_redirect_within_the_site_teaches() {
        let html = ("content-type", "text/html");
        for (status, field, expected) in [
            (200, html, Some(Observed::Document)),
            (200, ("x", "y"), Some(Observed::Document)),
            (200, ("content-type", "application/json"), Some(Observed::Other)),
            (201, html, None),
            (206, html, None),
            (304, html, None),
            (404, html, None),
            (503, html, None),
            (301, ("location", "/b"), Some(Observed::Redirect)),
            (302, ("location", "https://www.h.example/"), Some(Observed::Redirect)),
            (302, ("location", "http://H.example:8080/x"), Some(Observed::Redirect)),
            (302, ("location", "//h.example"), Some(Observed::Redirect)),
            (303, ("location", "?a=//b"), Some(Observed::Redirect)),
            (302, ("location", "https://other.example/"), None),
            (302, ("location", "https://xh.example/"), None),
            (302, ("location", "//other.example/"), None),
            (302, ("location", "page?x=:"), Some(Observed::Redirect)),
            (302, ("location", "javascript:x"), None),
            (302, ("location", "/\\other.example"), None),
            (302, ("x", "y"), None),
        ] {
            let fields = HeaderMap::from_iter([(
                header::HeaderName::from_static(field.0),
                HeaderValue::from_static(field.1),
            )]);
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(observed(status, &fields, "h.example"), expected, "{status} {field:?}");
        }
    }

    #[test]
    fn fetches_of_scripts_are_no_documents() {
        for (name, value, expected) in [
            ("x", "y", true),
            ("sec-fetch-dest", "document", true),
            ("sec-fetch-dest", "iframe", false),
            ("sec-fetch-dest", "empty", false),
            ("range", "bytes=0-1", false),
            ("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", true),
            ("accept", "*/*", true),
            ("accept", "application/json, text/plain", false),
            ("accept", "text/x-component", false),
            ("rsc", "1", false),
            ("hx-request", "true", false),
            ("x-inertia", "true", false),
            ("turbo-frame", "messages", false),
        ] {
            let fields =
                HeaderMap::from_iter([(header::HeaderName::from_static(name), HeaderValue::from_static(value))]);
            assert_eq!(asks_for_document(&fields), expected, "{name}: {value}");
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
