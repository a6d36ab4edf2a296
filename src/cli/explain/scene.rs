//! Goes through a response as the server does, with the same rules, for one client.

use std::sync::Arc;

use http::{HeaderValue, Method};

use super::{
    args::ClientKind, explanation::Explanation, html::ParsedPage, learned::LearnedLimits, request::Request,
    stored::Stored,
};
use crate::{
    link::Target,
    push::{self, Csp, Facts, PushState, SkipReason, Source},
    route::Route,
};

/// The client, and all links by the moment at which linkpush sees them.
pub(super) struct Scene<'a> {
    pub(super) client: ClientKind,
    /// Whether the document is itself a pushed response.
    pub(super) pushed_parent: bool,
    /// Links known before the origin is asked, without the route's own links.
    pub(super) known: Vec<(Source, &'a [u8])>,
    /// The `Link` lines of each 103 of the origin.
    pub(super) early: Vec<Vec<&'a [u8]>>,
    /// The `Link` lines of the final response.
    pub(super) last: Vec<&'a [u8]>,
    /// The page whose elements that are passed over are told.
    pub(super) page: Option<&'a ParsedPage>,
    /// The policies of the document's previous response.
    pub(super) csp: Option<&'a Csp>,
    /// Whether a pushed response of this URL could not be used.
    pub(super) is_bad: &'a dyn Fn(&Target) -> bool,
    /// Whether a browser could not reuse the last response of this URL.
    pub(super) is_not_reusable: &'a dyn Fn(&Target) -> bool,
    /// Largest content that the cache stores, bytes.
    pub(super) limit: u32,
}

/// Explains what a client gets: from what is known before the origin is asked, from each 103, from the final header.
pub(super) fn explain(scene: &Scene<'_>, request: &Request, route: Option<&Route>) -> Explanation {
    let mut explanation = Explanation {
        route: Some(route.map(|route| route.name.to_string())),
        ..Explanation::default()
    };
    let Some(route) = route else { return explanation };
    let response = request.response.as_ref();
    explanation.cache = response.map(|response| Stored::of(request, response, route, scene.limit));
    let client = Arc::new(PushState::new(usize::from(u16::MAX)));
    client.set_enable_push(scene.client == ClientKind::Push);
    if request.method == Method::GET {
        let path_and_query = request.uri.path_and_query().map_or("/", |pq| pq.as_str());
        client.record_fetched(&request.scheme, &request.authority, path_and_query);
    }
    let mut sent = Vec::new();
    let configured = route.push.links.iter();
    let configured = configured.map(|link| (Source::Configured, link.as_bytes()));
    let known = configured.chain(scene.known.iter().copied()).collect();
    let early = scene.early.iter().map(|lines| (None, of_source(Source::Early, lines)));
    let last = (Some(request.status), of_source(Source::Response, &scene.last));
    let steps = std::iter::once((None, known)).chain(early).chain(std::iter::once(last));
    explanation.add_page(scene.page);
    let mut told: Vec<HeaderValue> = Vec::new();
    for (status, fields) in steps {
        let mut mentions = push::mentions(fields);
        let limits = LearnedLimits::of(&mentions);
        mentions.retain(|mention| match limits.check(mention) {
            Ok(()) => true,
            Err((target, reason)) => {
                explanation.skip(target, reason);
                false
            }
        });
        let facts = Facts {
            method: &request.method,
            status,
            request: &request.headers,
            pushed_parent: scene.pushed_parent,
            promised: explanation.promises.len(),
            hinted: explanation.hints.len(),
            told: &told,
            returning: route.learn.returning.skips(&request.headers),
            http2: None,
            is_bad: scene.is_bad,
            is_not_reusable: scene.is_not_reusable,
            csp: scene.csp,
        };
        let mut skip = |target: &[u8], reason: SkipReason| explanation.skip(target, reason);
        let plan = match scene.client {
            ClientKind::Http1 => push::plan(&route.push, &facts, &request.document, &mentions, &mut skip),
            ClientKind::Push | ClientKind::Hint => client.plan(|http2| {
                let facts = Facts {
                    http2: Some(*http2),
                    ..facts
                };
                push::plan(&route.push, &facts, &request.document, &mentions, &mut skip)
            }),
        };
        explanation.add(&plan);
        told.extend(plan.hints.iter().cloned());
        // Kept, so that the diary remembers as after a real promise.
        sent.push(plan);
    }
    explanation
}

/// Returns the lines of one head with their source.
fn of_source<'a>(source: Source, lines: &[&'a [u8]]) -> Vec<(Source, &'a [u8])> {
    lines.iter().map(|line| (source, *line)).collect()
}
