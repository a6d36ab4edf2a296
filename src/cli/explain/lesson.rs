//! Decides what linkpush would know of a document after visitors got this response, with the rules of the server. Pure
//! but for the clock.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::{HeaderMap, header};

use super::request::Request;
use super::response::Response;
use crate::{
    forwarded::ask_for_another,
    learn::{
        DividedBy, LearnPolicy, LearnSource, Learning, ManifestLimits, ManifestStore, Observation, Observed,
        VisitorFacts, identities,
    },
    link::Spelled,
    proxy::{
        asks_for_document, dividing_fields, joined_links, learnable_links, most_needed, observed, reads_page,
        varies_by_address,
    },
    push::{self, Csp, Source},
};

/// The knowledge that a server has of a document after some visits.
#[derive(Debug, Default)]
pub(super) struct Lesson {
    /// Visitors whose responses taught it; 0 where nothing is learned.
    pub(super) visitors: usize,
    /// The links that are delivered before the origin is asked.
    pub(super) links: Vec<(Source, Spelled)>,
    /// The policies by which they are delivered.
    pub(super) csp: Option<Arc<Csp>>,
}

/// Returns what is known once each visitor that it takes got this response, after 103s with these `Link` lines. Where
/// the application may know the visitor, each one has cookies of its own.
pub(super) fn lesson(policy: &LearnPolicy, request: &Request, response: &Response, early: &[Vec<&[u8]>]) -> Lesson {
    let asks =
        policy.learning != Learning::Off && !ask_for_another(&request.headers) && asks_for_document(&request.headers);
    let observed = observed(response.status, &response.headers, &request.authority);
    let (true, Some(observed)) = (asks, observed) else {
        return Lesson::default();
    };
    let (links, of_fields, source) = links(policy, request, (observed, response), early);
    let store = ManifestStore::new(ManifestLimits::default(), (1, 2));
    let document = (
        &*request.scheme,
        &*request.authority,
        request.uri.path(),
        request.uri.query(),
    );
    let key = store.hasher().document(policy, document, &request.headers);
    let policies: Vec<&[u8]> = lines(&response.headers, &header::CONTENT_SECURITY_POLICY);
    let page = request.page.as_ref().filter(|_| source == Source::Html);
    let of_page: Option<Vec<&[u8]>> = page.map(|page| page.policies.iter().map(|policy| policy.as_bytes()).collect());
    for visitor in 1..=policy.min_visitors.max(1) {
        let visitor_number = u8::try_from(visitor).unwrap_or(u8::MAX);
        // A network and a cookie of its own.
        let address = IpAddr::V4(Ipv4Addr::new(10, 0, visitor_number, 1));
        let own = |fields: Vec<&[u8]>| -> Vec<Vec<u8>> {
            let cookie = format!("visitor={visitor:0>16}").into_bytes();
            fields.first().map(|_| cookie).into_iter().collect()
        };
        let cookies = own(lines(&request.headers, &header::COOKIE));
        let set_cookies = own(lines(&response.headers, &header::SET_COOKIE));
        let query = request.uri.query().map(|query| own_query(query, visitor));
        let divided_by = DividedBy {
            query: query.as_deref(),
            fields: &request.headers,
        };
        let varied = || {
            let (place, _) = store.find(key, divided_by, policy, NOW)?;
            place.varied(dividing_fields(&response.headers, policy)?, divided_by, store.hasher())
        };
        // A document for one visitor alone, as Vary says.
        let Some(place) = varied() else {
            return Lesson::default();
        };
        let identities: Vec<_> = identities(&request.headers, &policy.identity).collect();
        let facts = VisitorFacts {
            authority: &request.authority,
            address,
            cookies: &cookies.iter().map(Vec::as_slice).collect::<Vec<_>>(),
            set_cookies: &set_cookies.iter().map(Vec::as_slice).collect::<Vec<_>>(),
            is_for_address: varies_by_address(&response.headers, policy),
            authorization: request.headers.contains_key(header::AUTHORIZATION),
            identities: &identities,
            query: query.as_deref(),
            division: place.division(),
        };
        let evidence = store.evidence(&facts, policy, NOW);
        let seen = Observation {
            now: NOW,
            evidence: &evidence,
            network: store.hasher().network(address),
            response: observed,
            links: &links,
            source,
            fields: of_fields,
            delivered: &[],
            policies: &policies,
            page_policies: of_page.as_deref(),
            query: query.as_deref(),
        };
        store.observe(&place, policy, &seen);
        let Some((_, known)) = store.find(key, divided_by, policy, NOW) else {
            continue;
        };
        if !known.links.is_empty() && known.waiting == 0 {
            let links = known.links.iter();
            return Lesson {
                visitors: visitor,
                links: links.map(|known| (known.source, known.link.clone())).collect(),
                csp: known.csp,
            };
        }
    }
    Lesson::default()
}

/// Returns the links of a response that may be learned, how many of them stand in its fields, and where the others stand.
fn links(
    policy: &LearnPolicy,
    request: &Request,
    (observed, response): (Observed, &Response),
    early: &[Vec<&[u8]>],
) -> (Vec<Spelled>, usize, Source) {
    let mut found: Vec<Spelled> = Vec::new();
    if policy.from.contains(&LearnSource::Link) {
        let last = lines(&response.headers, &header::LINK);
        for lines in std::iter::once(&last).chain(early) {
            let mentions = push::mentions(lines.iter().map(|line| (Source::Response, *line)));
            found.extend(learnable_links(&mentions));
        }
        found = most_needed(found.into_iter());
    }
    let page = request.page.as_ref();
    let is_read = observed == Observed::Document && reads_page(&found, policy, &response.headers);
    match page.filter(|_| is_read) {
        Some(page) => {
            let of_fields = found.len();
            let links = joined_links(&request.document, &found, page.links.clone());
            (links, of_fields, Source::Html)
        }
        None => {
            let of_fields = found.len();
            (found, of_fields, Source::Learned)
        }
    }
}

/// Returns a query with the same parameters, whose values are one visitor's.
fn own_query(query: &str, visitor: usize) -> String {
    let names = query.split('&').map(|part| part.split('=').next().unwrap_or_default());
    let parts: Vec<_> = names.map(|name| format!("{name}={visitor:0>16}")).collect();
    parts.join("&")
}

/// Returns the lines of a field.
fn lines<'h>(fields: &'h HeaderMap, name: &header::HeaderName) -> Vec<&'h [u8]> {
    fields.get_all(name).iter().map(header::HeaderValue::as_bytes).collect()
}

/// The time of all visits, in seconds since 1970: nothing expires between them.
const NOW: u64 = 1_000_000_000;
