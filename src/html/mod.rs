//! Finds what the head of an HTML document makes a browser fetch: bytes of a response body -> links. Pure.
//!
//! An [`HtmlReader`] takes a copy of the body piece by piece, decodes its content coding and its character encoding, and
//! reads the text by the HTML standard up to the end of the head. [`HtmlReader::finish`] returns the fetches in the
//! order in which a browser needs them, each as an [`HtmlLink`] that can be written as one `Link` field value. A body
//! that cannot be read up to the end of its head gives an [`HtmlReason`] and no links.
//!
//! Reading order: `reader` (the stages, and their bounds), `content` (from the body to text), `head` (from text to
//! elements, and to their fetches), `link` (one fetch, and its field value), `reason` (why a document or an element is
//! skipped).
//!
//! ```
//! use linkpush::html::{End, Limits, HtmlReader, ResponseFields};
//! use linkpush::link::Document;
//!
//! let document = Document::new("https", "shop.example", "/p/index.html")?;
//! let fields = ResponseFields { content_type: b"text/html; charset=utf-8", ..ResponseFields::default() };
//! let mut reader = HtmlReader::new(Limits::default(), &document, fields);
//! reader.feed(b"<!doctype html><title>t</title><script defer src=app.js></script>");
//! reader.feed(b"<link rel=stylesheet href=/main.css crossorigin></head>");
//! let found = reader.finish(End::Whole)?;
//! let fields: Vec<String> = found.links.iter().map(|link| link.field_value()).collect();
//! assert_eq!(fields, [
//!     "<https://shop.example/main.css>; rel=preload; as=style; crossorigin",
//!     "<https://shop.example/p/app.js>; rel=preload; as=script",
//! ]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod content;
mod head;
mod link;
mod reader;
mod reason;
#[cfg(test)]
mod tests;

pub use link::{FetchPriority, HtmlLink, Tier};
pub use reader::{End, Found, HtmlReader, Limits, ReaderState, ResponseFields, Skipped, content_type};
pub use reason::{HtmlReason, HtmlSkip};
