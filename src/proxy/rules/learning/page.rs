//! Reads the HTML of a document from a copy of its content as it passes, where no `Link` field names a stylesheet (rule
//! 20).
//!
//! The content itself is never touched, buffered or delayed. A page that broke off, or whose head is longer than is
//! read, teaches nothing rather than half.

use http::{HeaderMap, header};

use crate::{
    html::{End, HtmlReader, Limits, ReaderState, ResponseFields, content_type},
    learn::{DocumentPlace, Evidence, LearnPolicy, LearnSource},
    link::{Document, Need, Spelled},
    proxy::{exchange::PageObservation, url::Url},
};

/// The outcome of reading a page.
#[derive(Debug)]
pub(super) enum Read {
    /// The links that its head names, and the policies of its `meta` elements.
    Links {
        links: Vec<Spelled>,
        policies: Vec<Box<str>>,
    },
    /// Nothing is known of its head.
    Nothing,
}

/// Returns whether a route learns from the HTML of a response with these fields.
fn is_readable(policy: &LearnPolicy, fields: &HeaderMap) -> bool {
    let is_html =
        |kind: &[u8]| kind.len() >= HTML.len() && kind.iter().zip(HTML).all(|(a, b)| a.eq_ignore_ascii_case(b));
    policy.from.contains(&LearnSource::Html)
        && content_type(fields).is_some_and(|kind| is_html(kind.trim_ascii_start()))
}

const HTML: &[u8] = b"text/html";

/// Begins to read a page whose `Link` fields name the links in `found`; `None` if its content cannot be read.
/// `is_chunked`: the origin sent it in chunks.
pub(super) fn begin(
    url: &Url<'_>,
    (fields, is_chunked): (&HeaderMap, bool),
    policy: &LearnPolicy,
    found: &[Spelled],
    (place, evidence, network): (&DocumentPlace, &Evidence, u64),
) -> Option<PageObservation> {
    let document = Document::new(url.scheme, url.authority, url.path_and_query).ok()?;
    let reader = HtmlReader::new(
        Limits::of_bytes(policy.html_bytes),
        &document,
        ResponseFields::of(fields),
    );
    (reader.state() == ReaderState::Reading).then(|| PageObservation {
        reader: Some(reader),
        fields: found.to_vec(),
        has_content: false,
        end: end(fields, is_chunked),
        document,
        place: place.clone(),
        evidence: evidence.clone(),
        network,
        policies: fields
            .get_all(header::CONTENT_SECURITY_POLICY)
            .iter()
            .cloned()
            .collect(),
    })
}

/// Returns whether the HTML of a response with these fields is read beside these links of its `Link` fields: where none
/// of them is a stylesheet.
#[must_use]
pub fn reads_page(of_fields: &[Spelled], policy: &LearnPolicy, fields: &HeaderMap) -> bool {
    !of_fields.iter().any(|link| link.need() == Need::Rendering) && is_readable(policy, fields)
}

/// Returns the links of the `Link` fields, then those that the HTML alone names: the application's own word about a link
/// counts.
#[must_use]
pub fn joined_links(document: &Document, of_fields: &[Spelled], html: Vec<Spelled>) -> Vec<Spelled> {
    let resolved = |link: &Spelled| document.resolve(link.target()).ok();
    // In whatever spelling of its target.
    let is_named = |link: &Spelled| {
        let target = resolved(link);
        of_fields
            .iter()
            .any(|known| known == link || known.is_alike(link) && resolved(known) == target)
    };
    let mut links = of_fields.to_vec();
    links.extend(html.into_iter().filter(|link| !is_named(link)));
    links
}

/// Returns how the content of a response with these fields ends where nothing fails. The end of a connection may be the
/// end of the content, or a failure of the origin. `is_chunked`: the origin sent it in chunks, the last of which is told.
fn end(fields: &HeaderMap, is_chunked: bool) -> End {
    if is_chunked || fields.contains_key(header::CONTENT_LENGTH) {
        End::Whole
    } else {
        End::BrokenOff
    }
}

/// Reads the next piece; returns what came of it once the head, or the whole page, has ended.
pub(super) fn read(page: &mut PageObservation, data: Option<&[u8]>, is_end: bool) -> Option<Read> {
    let data = data.unwrap_or_default();
    page.has_content |= !data.is_empty();
    let state = page.reader.as_mut()?.feed(data);
    if state == ReaderState::Reading && !is_end {
        return None;
    }
    let found = page.reader.take()?.finish(page.end);
    let Some(found) = found.ok().filter(|_| page.has_content) else {
        return Some(Read::Nothing);
    };
    Some(Read::Links {
        links: found.learnable(&page.document),
        policies: found.policies,
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_a_told_end_is_sure() {
        let with_length = HeaderMap::from_iter([(header::CONTENT_LENGTH, HeaderValue::from_static("5"))]);
        // Pingora adds the field where the end of the connection ends the content.
        let with_coding = HeaderMap::from_iter([(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"))]);
        for (fields, is_chunked, expected) in [
            (&with_length, false, End::Whole),
            (&with_coding, true, End::Whole),
            (&with_coding, false, End::BrokenOff),
            (&HeaderMap::new(), false, End::BrokenOff),
        ] {
            assert_eq!(end(fields, is_chunked), expected, "{fields:?}");
        }
    }
}
