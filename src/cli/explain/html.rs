//! What the page's HTML makes a browser fetch, read from a file.

use std::{fs::File, io::Read as _, path::Path};

use anyhow::Context as _;
use http::{HeaderMap, header};

use crate::{
    html::{End, Found, HtmlReader, HtmlReason, Limits, ResponseFields, preconnects},
    link::Document,
};

/// A page that was read, or why it teaches nothing.
#[derive(Debug)]
pub(super) struct ParsedPage {
    pub(super) found: Result<Found, HtmlReason>,
    /// What it makes a browser fetch, as `Link` field values.
    pub(super) values: Vec<String>,
}

impl ParsedPage {
    /// Reads a page as it was written, without content coding; `-` is the standard input. Of the response's head the media
    /// type and the disposition count; without one it is HTML in an encoding that is not sure.
    pub(super) fn read(file: &Path, document: &Document, head: Option<&HeaderMap>) -> anyhow::Result<Self> {
        let limits = Limits::default();
        let most = u64::try_from(limits.text_bytes)?.saturating_add(1);
        let mut html = Vec::new();
        let read = if file == Path::new("-") {
            std::io::stdin().take(most).read_to_end(&mut html)
        } else {
            File::open(file).and_then(|file| file.take(most).read_to_end(&mut html))
        };
        read.with_context(|| format!("--html {}", file.display()))?;
        let field = |name| head.and_then(|head| head.get(name)).map(http::HeaderValue::as_bytes);
        let fields = ResponseFields {
            content_type: field(header::CONTENT_TYPE).unwrap_or(b"text/html"),
            content_encoding: b"",
            content_disposition: field(header::CONTENT_DISPOSITION).unwrap_or_default(),
        };
        let mut reader = HtmlReader::new(limits, document, fields);
        reader.feed(&html);
        let found = reader.finish(End::Whole);
        let links = found.as_ref().map_or(&[][..], |found| &found.links);
        // Connections first: they are to stand before the fetches that there is no room for.
        let connections = preconnects(links, document, MANY);
        let values = connections.iter().chain(links).map(|link| link.field_value());
        Ok(Self {
            values: values.collect(),
            found,
        })
    }
}

/// Fetches from one other origin from which on a connection to it is hinted, too.
const MANY: usize = 4;
