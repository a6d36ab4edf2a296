//! What a document linked to lately is looked up before the origin is asked; what it links to now is
//! learned once its header is there.
//!
//! The learned links go first, in the first 103: browsers use no other. An origin that sends a 103 of
//! its own sent the same one the last time, most likely, and what is new in it goes out in a second.

use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, Method, StatusCode, header};
use log::{debug, info};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;

use super::{Context, Edge, request::Url};
use crate::{
    forwarded::ask_for_another,
    learn::{DocumentKey, Evidence, LearnPolicy, Learning, Links, Observation, VisitorFacts},
    link::spelling,
    push::Mention,
};

/// What one request is to teach.
#[derive(Debug)]
pub(super) struct Lesson {
    /// Its document, if that was looked up.
    key: Option<DocumentKey>,
    /// What was known of the document.
    pub(super) delivered: Links,
    /// Links of the origin's 103s.
    early: Vec<Box<[u8]>>,
    /// The visitor has a copy of the document, and is not pushed what was only learned.
    pub(super) returning: bool,
    /// Links that were delivered and that the response did not have.
    pub(super) missed: u32,
}

/// Begins the lesson of a request where its route learns; returns what is to be delivered at once.
pub(super) fn begin(edge: &Edge, session: &Session, context: &mut Context) -> Links {
    let request = session.req_header();
    let Some(route) = context.route() else {
        return Links::default();
    };
    let policy = &route.learn;
    if policy.learning == Learning::Off
        || context.pushed_by.is_some()
        || context.is_update
        || request.method != Method::GET
        || ask_for_another(&request.headers)
    {
        return Links::default();
    }
    // Who is given nothing early waits for an answer that teaches: many do not.
    let (key, delivered) = if context.delivers() {
        let (key, links) = look_up(edge, request, context, policy);
        (Some(key), links)
    } else {
        (None, Links::default())
    };
    let returning = policy.returning.skips(&request.headers);
    context.lesson = Some(Box::new(Lesson {
        key,
        delivered: Links::clone(&delivered),
        early: Vec::new(),
        returning,
        missed: 0,
    }));
    delivered
}

/// The document that a request asks for, and what was learned of it. It counts as a visit.
fn look_up(edge: &Edge, request: &RequestHeader, context: &Context, policy: &LearnPolicy) -> (DocumentKey, Links) {
    let url = Url::of(request, context);
    let document = (url.scheme, url.authority, url.path, request.uri.query());
    let key = edge.manifests.hasher().document(policy, document, &request.headers);
    (key, edge.manifests.links(key, policy, now()).unwrap_or_default())
}

/// Learns from a header of the origin, which mentions these: notes the links of a 103, observes those of a
/// final answer.
pub(super) fn observe(
    edge: &Edge,
    session: &Session,
    response: &ResponseHeader,
    mentions: &[Mention<'_>],
    context: &mut Context,
) {
    let Some(mut lesson) = context.lesson.take() else {
        return;
    };
    if response.status == StatusCode::EARLY_HINTS {
        lesson.early.extend(links(mentions).map(Vec::into_boxed_slice));
        lesson.early.truncate(MAX_EARLY);
    } else if teaches(response.status) {
        finish(edge, session, (response, mentions), context, &mut lesson);
    }
    context.lesson = Some(lesson);
}

fn finish(
    edge: &Edge,
    session: &Session,
    (response, mentions): (&ResponseHeader, &[Mention<'_>]),
    context: &Context,
    lesson: &mut Lesson,
) {
    let request = session.req_header();
    let (Some(route), Some(address)) = (context.route(), context.client_address(&request.headers)) else {
        return;
    };
    let now_linked: Vec<Vec<u8>> = links(mentions).collect();
    let mut found: Vec<&[u8]> = Vec::new();
    for link in now_linked
        .iter()
        .map(AsRef::as_ref)
        .chain(lesson.early.iter().map(AsRef::as_ref))
    {
        if !found.contains(&link) && found.len() < MAX_EARLY {
            found.push(link);
        }
    }
    if found.is_empty() && !may_be_document(&response.headers) {
        return;
    }
    let key = lesson
        .key
        .unwrap_or_else(|| look_up(edge, request, context, &route.learn).0);
    if found.is_empty() && lesson.delivered.is_empty() && edge.manifests.is_unknown(key) {
        return;
    }
    let cookies: Vec<&[u8]> = values(&request.headers, &header::COOKIE);
    let set_cookies: Vec<&[u8]> = values(&response.headers, &header::SET_COOKIE);
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
        delivered: &lesson.delivered,
    };
    let verdict = edge.manifests.observe(key, &route.learn, &seen);
    lesson.missed = verdict.wrong;
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

/// Links of one response that are looked at.
const MAX_EARLY: usize = 64;

/// Errors teach nothing and forget nothing, nor does an answer that says only that nothing has changed.
fn teaches(status: StatusCode) -> bool {
    (status.is_success() || status.is_redirection()) && status != StatusCode::NOT_MODIFIED
}

/// Whether a response may be the document of its URL. Whoever asks the same URL for JSON gets an answer that links to
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

/// The links that can be delivered early, as they are always spelled: printable, with a relation that asks for something.
fn links(mentions: &[Mention<'_>]) -> impl Iterator<Item = Vec<u8>> {
    mentions
        .iter()
        .filter_map(|mention| mention.link.as_ref().ok())
        .filter(|link| RELATIONS.iter().any(|relation| link.has_relation(relation)))
        .map(spelling)
        .filter(|spelled| spelled.iter().all(|b| matches!(b, b' '..=b'~')))
}

const RELATIONS: [&str; 3] = ["preload", "modulepreload", "preconnect"];

fn values<'h>(fields: &'h HeaderMap, name: &header::HeaderName) -> Vec<&'h [u8]> {
    fields.get_all(name).iter().map(header::HeaderValue::as_bytes).collect()
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
