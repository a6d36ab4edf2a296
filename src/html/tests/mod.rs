//! Tests the links of whole documents; holds the helpers of the files below.

mod cases;
mod codings;
mod hostile;
mod rules;

use super::*;
use crate::link::Document;

fn document(url: &str) -> Document {
    let (scheme, rest) = url.split_once("://").expect("a scheme");
    let at = rest.find('/').expect("a path");
    let (authority, path) = rest.split_at(at);
    Document::new(scheme, authority, path).expect("a document")
}

fn page() -> Document {
    document("https://site.test/p/page")
}

const HTML: ResponseFields<'static> = ResponseFields {
    content_type: b"text/html; charset=utf-8",
    content_encoding: b"",
    content_disposition: b"",
};

fn read_pieces<'a>(
    fields: ResponseFields<'_>,
    limits: Limits,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Found, HtmlReason> {
    let mut reader = HtmlReader::new(limits, &page(), fields);
    for piece in pieces {
        reader.feed(piece);
    }
    reader.finish(End::Whole)
}

fn read(html: &[u8]) -> Result<Found, HtmlReason> {
    read_pieces(HTML, Limits::default(), [html])
}

/// Returns the field values of a head's links.
fn values(html: &str) -> Vec<String> {
    let found = read(html.as_bytes()).expect("a head");
    found.links.iter().map(HtmlLink::field_value).collect()
}

/// Returns the paths of a head's links, in order.
fn paths(html: &str) -> Vec<String> {
    let found = read(html.as_bytes()).expect("a head");
    let paths = found.links.iter().map(|link| link.target.path_and_query().to_owned());
    paths.collect()
}

/// Returns the skipped URLs, each with its reason.
fn skips(html: &str) -> Vec<(String, &'static str)> {
    let found = read(html.as_bytes()).expect("a head");
    let skipped = found.skipped.into_iter();
    skipped.map(|skip| (skip.target.into(), skip.reason.label())).collect()
}

fn only<T>(all: &[T]) -> &T {
    assert_eq!(all.len(), 1);
    all.first().expect("one")
}
