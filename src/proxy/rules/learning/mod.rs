//! Looks up what a document linked to before the origin is asked, and learns what it links to once its header is there.
//!
//! `document` tells which requests and responses are about the document of their URL, `page` reads its HTML.
//!
//! The learned links go first, in the first 103: browsers use no other. An origin that sends a 103 of its own most
//! likely sent an equal one the last time, and what is new in it goes out in a second.

mod document;
mod page;

use std::{
    net::IpAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use log::{debug, info};

pub use self::document::{asks_for_document, dividing_fields, observed, varies_by_address};
pub use self::page::{joined_links, reads_page};
use crate::{
    forwarded::ask_for_another,
    learn::{
        DividedBy, DocumentPlace, Evidence, KnownDocument, LearnPolicy, LearnSource, Learning, Links, Observation,
        Observed, Verdict, VisitorFacts, identities,
    },
    link::{ResourceHint, Spelled},
    proxy::{
        edge::Edge,
        exchange::{DocumentObservation, Exchange, PageObservation},
    },
    push::{Mention, SkipReason, Source},
    telemetry::LearnedVerdict,
};

/// Begins to observe the document of a request where its route learns; returns the links that are to be delivered at
/// once.
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
    let (place, known) = if exchange.delivers() {
        let Some((place, known)) = look_up(edge, request, exchange, policy) else {
            return Links::default();
        };
        (Some(place), known)
    } else {
        (None, KnownDocument::default())
    };
    let returning = policy.returning.skips(&request.headers);
    for _ in 0..known.waiting {
        exchange.skips.add(SkipReason::WaitingForVisitors);
    }
    exchange.observation = Some(Box::new(DocumentObservation {
        place,
        delivered: Links::clone(&known.links),
        csp: known.csp,
        early: Vec::new(),
        returning,
        missed: 0,
    }));
    known.links
}

/// Looks up the document that a request asks for, and the learned links; `None` if it is none that could be learned. It
/// counts as a visit.
fn look_up(
    edge: &Edge,
    request: &Parts,
    exchange: &Exchange,
    policy: &LearnPolicy,
) -> Option<(DocumentPlace, KnownDocument)> {
    let url = exchange.url(request);
    let document = (url.scheme, url.authority, url.path, request.uri.query());
    let key = edge.manifests.hasher().document(policy, document, &request.headers);
    edge.manifests.find(key, divided_by(request), policy, now())
}

fn divided_by(request: &Parts) -> DividedBy<'_> {
    DividedBy {
        query: request.uri.query(),
        fields: &request.headers,
    }
}

/// Learns from a head of the origin, which mentions these: notes the links of a 103, observes those of a final
/// response.
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
        let early = std::mem::take(&mut observation.early);
        observation.early = most_needed(early.into_iter().chain(learnable_links(mentions)));
    } else if let Some(response) = observed(status, fields, exchange.url(request).authority) {
        exchange.page = finish(edge, request, (response, fields), mentions, exchange, &mut observation).map(Box::new);
    } else if is_gone(status) && !request.headers.contains_key(header::AUTHORIZATION) {
        let network = exchange.client_address(&request.headers);
        let network = network.map(|address| edge.manifests.hasher().network(address));
        if let (Some(place), Some(network)) = (&observation.place, network) {
            note_silence(edge, place, network, &observation);
        }
    }
    exchange.observation = Some(observation);
}

/// Returns whether a document is not there any more. Other errors may pass.
fn is_gone(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE)
}

/// Counts a response that teaches nothing, where links were delivered early for it.
fn note_silence(edge: &Edge, place: &DocumentPlace, network: u64, observation: &DocumentObservation) {
    if !observation.delivered.is_empty() {
        edge.manifests.note_silence(place, network);
    }
}

/// Observes the links of a final response, and those of the 103s before it; returns what reads its HTML where none of
/// them is a stylesheet: frameworks name fonts, images or an API in `Link`, and leave to the HTML what blocks rendering.
fn finish(
    edge: &Edge,
    request: &Parts,
    (response, fields): (Observed, &HeaderMap),
    mentions: &[Mention<'_>],
    exchange: &Exchange,
    observation: &mut DocumentObservation,
) -> Option<PageObservation> {
    let route = exchange.route()?;
    let address = exchange.client_address(&request.headers)?;
    let may_pass = response == Observed::Document
        && observation.early.is_empty()
        && fields.contains_key(header::LINK)
        && !request.headers.contains_key(header::AUTHORIZATION);
    let settled_on = may_pass.then(|| edge.manifests.hasher().of_links(fields));
    if let (Some(fields), Some(place)) = (settled_on, &observation.place) {
        let request_facts = (&route.learn, request.uri.query());
        let response_facts = (fields, &*observation.delivered);
        if let Some(verdict) = edge.manifests.passes(place, request_facts, response_facts, now()) {
            note_verdict(request, &verdict, exchange, observation);
            return None;
        }
    }
    let mut found = most_needed(learnable_links(mentions).chain(observation.early.drain(..)));
    if !route.learn.from.contains(&LearnSource::Link) {
        found.clear();
    }
    if found.is_empty() && response != Observed::Document {
        return None;
    }
    let place = match observation.place.take() {
        Some(place) => place,
        None => look_up(edge, request, exchange, &route.learn)?.0,
    };
    if request.headers.contains_key(header::AUTHORIZATION) {
        // It teaches nothing, and is no reading of a page either.
        return None;
    }
    let hasher = edge.manifests.hasher();
    let place = place.varied(dividing_fields(fields, &route.learn)?, divided_by(request), hasher)?;
    let reads_html = reads_page(&found, &route.learn, fields);
    if found.is_empty() && !reads_html && observation.delivered.is_empty() && edge.manifests.is_unknown(place.key()) {
        return None;
    }
    let network = hasher.network(address);
    let evidence = || evidence(edge, request, fields, (address, &place), (&route.learn, exchange));
    if reads_html {
        // Where the HTML is not read, nobody looks at what this response names: it speaks neither for nor against a link.
        let policies = values(fields, &header::CONTENT_SECURITY_POLICY);
        let fingerprint = hasher.fingerprint(fields, &found);
        let key = place.key();
        if !edge
            .manifests
            .is_html_due(key, fingerprint, evidence, network, &policies)
        {
            return None;
        }
    }
    let evidence = evidence();
    if reads_html {
        let url = exchange.url(request);
        let of_content = (fields, exchange.is_chunked);
        let page = page::begin(&url, of_content, &route.learn, &found, (&place, &evidence, network));
        if page.is_some() {
            return page;
        }
        if !stands_alone(&found, observation) {
            note_silence(edge, &place, network, observation);
            return None;
        }
    }
    let seen = Observation {
        now: now(),
        evidence: &evidence,
        network,
        response,
        links: &found,
        source: Source::Learned,
        fields: found.len(),
        delivered: &observation.delivered,
        policies: &values(fields, &header::CONTENT_SECURITY_POLICY),
        page_policies: None,
        query: request.uri.query(),
    };
    let verdict = edge.manifests.observe(&place, &route.learn, &seen);
    if let (true, Some(fields)) = (verdict.is_settled, settled_on) {
        edge.manifests.settle(&place, fields);
    }
    note_verdict(request, &verdict, exchange, observation);
    None
}

/// Returns whether the links of a document's `Link` fields teach something though its HTML cannot be read: not where it
/// was read before, since it would seem to lack what its HTML named then.
fn stands_alone(found: &[Spelled], observation: &DocumentObservation) -> bool {
    !found.is_empty() && observation.delivered.iter().all(|known| known.source != Source::Html)
}

/// Returns for whom a response is, as far as its request and its own fields tell.
fn evidence(
    edge: &Edge,
    request: &Parts,
    response: &HeaderMap,
    (address, place): (IpAddr, &DocumentPlace),
    (policy, exchange): (&LearnPolicy, &Exchange),
) -> Evidence {
    let cookies: Vec<&[u8]> = values(&request.headers, &header::COOKIE);
    let set_cookies: Vec<&[u8]> = values(response, &header::SET_COOKIE);
    let identities: Vec<_> = identities(&request.headers, &policy.identity).collect();
    let facts = VisitorFacts {
        authority: exchange.url(request).authority,
        address,
        cookies: &cookies,
        set_cookies: &set_cookies,
        is_for_address: varies_by_address(response, policy),
        authorization: request.headers.contains_key(header::AUTHORIZATION),
        identities: &identities,
        query: request.uri.query(),
        division: place.division(),
    };
    edge.manifests.evidence(&facts, policy, now())
}

/// Reads the next piece of a document's content, as the client gets it from the origin or the store, where its HTML is
/// read. `data`: `None` where only the end is told.
pub(in crate::proxy) fn read(edge: &Edge, request: &Parts, data: Option<&[u8]>, is_end: bool, exchange: &mut Exchange) {
    let Some(read) = exchange.page.as_mut().and_then(|page| page::read(page, data, is_end)) else {
        return;
    };
    let (Some(page), Some(mut observation)) = (exchange.page.take(), exchange.observation.take()) else {
        return;
    };
    let fields = page.fields.len();
    let (source, links, of_page) = match read {
        page::Read::Links { links, policies } => (
            Source::Html,
            Some(joined_links(&page.document, &page.fields, links)),
            Some(policies),
        ),
        page::Read::Nothing => {
            let links = stands_alone(&page.fields, &observation).then(|| page.fields.clone());
            (Source::Learned, links, None)
        }
    };
    if links.is_none() {
        note_silence(edge, &page.place, page.network, &observation);
    }
    if let (Some(links), Some(route)) = (links, exchange.route()) {
        let policies: Vec<&[u8]> = page.policies.iter().map(HeaderValue::as_bytes).collect();
        let of_page: Option<Vec<&[u8]>> = of_page
            .as_ref()
            .map(|policies| policies.iter().map(|policy| policy.as_bytes()).collect());
        let seen = Observation {
            now: now(),
            evidence: &page.evidence,
            network: page.network,
            response: Observed::Document,
            links: &links,
            source,
            fields,
            delivered: &observation.delivered,
            policies: &policies,
            page_policies: of_page.as_deref(),
            query: request.uri.query(),
        };
        let verdict = edge.manifests.observe(&page.place, &route.learn, &seen);
        note_verdict(request, &verdict, exchange, &mut observation);
    }
    exchange.observation = Some(observation);
}

fn note_verdict(request: &Parts, verdict: &Verdict, exchange: &Exchange, observation: &mut DocumentObservation) {
    let meter = exchange.meter();
    observation.missed = verdict.wrong;
    meter.learned.add(LearnedVerdict::Right, verdict.right.into());
    meter.learned.add(LearnedVerdict::Wrong, verdict.wrong.into());
    if verdict.wrong > 0 {
        debug!("{}: {} learned links are gone", exchange.url(request), verdict.wrong);
    }
    if verdict.paused {
        meter.pauses.increment();
        info!(
            "{}: what is learned keeps being wrong, so nothing is for a while",
            exchange.url(request)
        );
    }
    if let Some(parameter) = &verdict.divided_by {
        info!(
            "{}: the links depend on the query parameter {parameter}, so its values are documents of their own from now \
             on; learn.key: [{parameter}] makes them so from the start",
            request.uri.path()
        );
    }
}

/// Links of one response that are observed.
const MAX_EARLY: usize = 64;

/// Returns the links that can be delivered early, in their one spelling: printable, with a relation that asks for
/// something.
pub fn learnable_links(mentions: &[Mention<'_>]) -> impl Iterator<Item = Spelled> {
    mentions
        .iter()
        .filter_map(|mention| ResourceHint::of(mention.link.as_ref().ok()?))
        .map(|link| link.spelled())
        .filter(|spelled| spelled.text().iter().all(|b| matches!(b, b' '..=b'~')))
}

/// Returns the first 64 links, each once; of a crowd, those of the most urgent [`Need`](crate::link::Need).
#[must_use]
pub fn most_needed(links: impl Iterator<Item = Spelled>) -> Vec<Spelled> {
    let mut links: Vec<Spelled> = links.collect();
    if links.len() > MAX_EARLY {
        // The sort is stable.
        links.sort_by_key(Spelled::need);
    }
    let mut found: Vec<Spelled> = Vec::with_capacity(links.len().min(MAX_EARLY));
    for link in links {
        if found.len() == MAX_EARLY {
            break;
        }
        if !found.contains(&link) {
            found.push(link);
        }
    }
    found
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

    fn links(kind: &str, count: usize) -> Vec<Spelled> {
        let link = |n| Spelled::read(format!("</{kind}/{n}>; rel=preload; as={kind}").as_bytes());
        (0..count).map(|n| link(n).expect("a link")).collect()
    }

    #[test]
    fn a_stylesheet_is_found_behind_any_number_of_other_links() {
        for (images, styles, expected) in [(3, 1, 4), (63, 1, 64), (64, 1, 64), (200, 2, 64), (0, 70, 64)] {
            let (images, styles) = (links("image", images), links("style", styles));
            let all = || images.iter().chain(&styles).cloned();
            let found = most_needed(all());
            assert_eq!(found.len(), expected);
            assert!(styles.iter().take(MAX_EARLY).all(|style| found.contains(style)));
            // Each link once, in the order of the page within one need.
            assert_eq!(most_needed(all().chain(found.clone())).len(), expected);
            let places = found
                .iter()
                .filter_map(|link| images.iter().position(|image| image == link));
            assert!(places.eq(0..expected - styles.len().min(expected)));
        }
    }
}
