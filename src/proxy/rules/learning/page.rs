//! Reads the HTML of a document from a copy of its content as it passes, where no `Link` field names anything (rule
//! 20).
//!
//! The content itself is never touched, buffered or delayed. A page that broke off, or whose head is longer than is
//! read, teaches nothing rather than half.

use http::{HeaderMap, header};

use crate::{
    html::{End, HtmlReader, Limits, ReaderState, ResponseFields},
    learn::{DocumentKey, Evidence, LearnPolicy, LearnSource},
    link::{Document, Spelled},
    proxy::{exchange::PageObservation, url::Url},
};

/// The outcome of reading a page.
#[derive(Debug)]
pub(super) enum Read {
    /// The links that its head names.
    Links(Vec<Spelled>),
    /// Nothing is known of its head.
    Nothing,
}

/// Returns whether a route learns from the HTML of a response with these fields.
#[must_use]
pub fn is_readable(policy: &LearnPolicy, fields: &HeaderMap) -> bool {
    let is_html =
        |kind: &[u8]| kind.len() >= HTML.len() && kind.iter().zip(HTML).all(|(a, b)| a.eq_ignore_ascii_case(b));
    policy.from.contains(&LearnSource::Html)
        && fields
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| is_html(kind.as_bytes().trim_ascii_start()))
}

const HTML: &[u8] = b"text/html";

/// Begins to read a page; `None` if its content cannot be read.
pub(super) fn begin(
    url: &Url<'_>,
    fields: &HeaderMap,
    (key, evidence, network): (DocumentKey, Evidence, u64),
) -> Option<PageObservation> {
    let document = Document::new(url.scheme, url.authority, url.path_and_query).ok()?;
    let field = |name| fields.get(name).map_or(&[][..], http::HeaderValue::as_bytes);
    let of_response = ResponseFields {
        content_type: field(header::CONTENT_TYPE),
        content_encoding: field(header::CONTENT_ENCODING),
        content_disposition: field(header::CONTENT_DISPOSITION),
    };
    let reader = HtmlReader::new(Limits::default(), &document, of_response);
    (reader.state() == ReaderState::Reading).then(|| PageObservation {
        reader: Some(reader),
        has_content: false,
        document,
        key,
        evidence,
        network,
        policies: fields
            .get_all(header::CONTENT_SECURITY_POLICY)
            .iter()
            .cloned()
            .collect(),
    })
}

/// Reads the next piece; returns what came of it once the head, or the whole page, has ended.
pub(super) fn read(page: &mut PageObservation, data: Option<&[u8]>, is_end: bool) -> Option<Read> {
    let data = data.unwrap_or_default();
    page.has_content |= !data.is_empty();
    let state = page.reader.as_mut()?.feed(data);
    if state == ReaderState::Reading && !is_end {
        return None;
    }
    let found = page.reader.take()?.finish(End::Whole);
    let Some(found) = found.ok().filter(|_| page.has_content) else {
        return Some(Read::Nothing);
    };
    Some(Read::Links(found.learnable(&page.document)))
}
