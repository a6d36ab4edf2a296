//! Holds one response as a manifest observes it, and the verdict on the links that were delivered for it.

use super::entry::LearnedLink;
use crate::{learn::visitor::Evidence, link::Spelled, push::Source};

/// The relation of a response to the document of its URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observed {
    /// HTML, or a response without a media type.
    Document,
    /// A response of another media type: counts as the document only if the URL never had HTML.
    Other,
    /// A redirect within the site: its links count, but it is no evidence against links that it lacks.
    Redirect,
}

/// One complete response to a document.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// Seconds since 1970.
    pub now: u64,
    /// The visitor that got the response.
    pub evidence: &'a Evidence,
    /// The mark of the client's network.
    pub network: u64,
    /// The relation of the response to the document.
    pub response: Observed,
    /// The links that may be learned, each once: of the 103s and the final header, or of the HTML.
    pub links: &'a [Spelled],
    /// Where links were looked for: [`Source::Learned`] for `Link` fields, [`Source::Html`] for those and the HTML.
    pub source: Source,
    /// Number of links, the first ones, that stood in `Link` fields.
    pub fields: usize,
    /// The links that were delivered early for this response.
    pub delivered: &'a [LearnedLink],
    /// The response's `Content-Security-Policy` fields.
    pub policies: &'a [&'a [u8]],
    /// The policies of `meta` elements; `None` if the HTML was not read.
    pub page_policies: Option<&'a [&'a [u8]]>,
    /// The request's query.
    pub query: Option<&'a str>,
}

/// The result of an early delivery.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Number of delivered links that the response had.
    pub right: u32,
    /// Number of delivered links that the response lacked.
    pub wrong: u32,
    /// Whether this response began a pause.
    pub paused: bool,
    /// Whether an equal response would change nothing.
    pub is_settled: bool,
    /// The query parameter by which the documents of the key are divided from now on.
    pub divided_by: Option<Box<str>>,
}
