//! Reads a page's HTML from a file, and finds the assets that it makes a browser fetch.

use std::{fs::File, io::Read as _, path::Path};

use anyhow::Context as _;
use http::{HeaderMap, header};

use crate::{
    html::{End, Found, HtmlReader, HtmlReason, Limits, ResponseFields, content_type},
    link::{Document, Spelled},
};

/// A page that was read.
#[derive(Debug)]
pub(super) struct ParsedPage {
    /// The assets in its head, or why the page teaches nothing.
    pub(super) found: Result<Found, HtmlReason>,
    /// The links that would be learned.
    pub(super) links: Vec<Spelled>,
    /// The policies of its `meta` elements.
    pub(super) policies: Vec<Box<str>>,
}

impl ParsedPage {
    /// Reads a page from a file, as [`Self::of`] does, but always without content coding; `-` is the standard input.
    pub(super) fn read(file: &Path, document: &Document, head: Option<&HeaderMap>, bytes: u32) -> anyhow::Result<Self> {
        let most = u64::try_from(Limits::of_bytes(bytes).text_bytes)?.saturating_add(1);
        let mut html = Vec::new();
        let read = if file == Path::new("-") {
            std::io::stdin().take(most).read_to_end(&mut html)
        } else {
            File::open(file).and_then(|file| file.take(most).read_to_end(&mut html))
        };
        read.with_context(|| format!("--html {}", file.display()))?;
        let mut head = head.cloned();
        if let Some(head) = &mut head {
            head.remove(header::CONTENT_ENCODING);
        }
        Ok(Self::of(&html, document, head.as_ref(), bytes))
    }

    /// Reads a page with the content coding that `head` names. Without a `head` the page is HTML without one, in an
    /// encoding that is guessed. `bytes`: largest number of bytes that the route reads.
    pub(super) fn of(content: &[u8], document: &Document, head: Option<&HeaderMap>, bytes: u32) -> Self {
        let fields = ResponseFields {
            content_type: head.and_then(content_type).unwrap_or(b"text/html"),
            ..head.map(ResponseFields::of).unwrap_or_default()
        };
        let mut reader = HtmlReader::new(Limits::of_bytes(bytes), document, fields);
        reader.feed(content);
        let found = reader.finish(End::Whole);
        Self {
            policies: found
                .as_ref()
                .map_or_else(|_| Vec::new(), |found| found.policies.clone()),
            links: found
                .as_ref()
                .map_or_else(|_| Vec::new(), |found| found.learnable(document)),
            found,
        }
    }
}
