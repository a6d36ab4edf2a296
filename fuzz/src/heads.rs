//! The reader of HTML heads.

use crate::{
    html::{End, Found, HtmlReader, HtmlReason, Limits, ReaderState, ResponseFields},
    input::Input,
    link::{Document, parse},
};

/// Reads a body whole and in pieces, under fields that the first bytes choose.
pub fn heads(bytes: &[u8]) {
    let mut input = Input(bytes);
    let content_type = input.pick(&[
        "text/html",
        "text/html; charset=utf-8",
        "text/html; charset=windows-1252",
        "text/html; charset=shift_jis",
        "text/html; charset=iso-2022-jp",
        "text/html; charset=utf-16",
    ]);
    // Most bodies are plain: few bytes of a fuzzer are of a coding.
    let content_encoding = input.pick(&["", "", "", "", "gzip", "deflate", "br", "zstd"]);
    let limits = Limits {
        body_bytes: 1 << input.number() % 14,
        text_bytes: 1 << input.number() % 14,
        tags: input.number(),
        links: input.number() % 16,
        attribute_bytes: input.number(),
    };
    let (length, end) = (input.number().max(1), input.pick(&[End::Whole, End::BrokenOff]));
    let fields = ResponseFields {
        content_type: content_type.as_bytes(),
        content_encoding: content_encoding.as_bytes(),
        content_disposition: b"",
    };
    let body = input.rest();
    let document = Document::new("https", "a.example", "/p/page?q").expect("a document");
    let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut reader = HtmlReader::new(limits, &document, fields);
        for piece in pieces {
            let before = reader.state();
            let state = reader.feed(piece);
            assert!(before == ReaderState::Reading || state == before, "an outcome stays");
        }
        reader.finish(end)
    };
    let found = read(&mut body.chunks(length));
    for (other, how) in [
        (read(&mut std::iter::once(body)), "in one piece"),
        (read(&mut body.chunks(1)), "byte by byte"),
    ] {
        // A head may come out of a broken coding before it is noticed: how much does depends on how the decoder is called.
        let is_broken = [&other, &found].contains(&&Err(HtmlReason::Corrupt));
        assert!(
            is_broken && !content_encoding.is_empty() || other == found,
            "{how}: {other:?} for {found:?}"
        );
    }
    if let Ok(found) = found {
        check(&found, &document, limits);
    } else if found == Err(HtmlReason::BrokenOff) {
        assert_eq!(end, End::BrokenOff);
    }
}

/// Each link is one field value that says the same, and all of them together are no larger than what was read allows.
fn check(found: &Found, document: &Document, limits: Limits) {
    assert!(found.links.len() <= limits.links && found.skipped.len() <= limits.links);
    for (at, link) in found.links.iter().enumerate() {
        let value = link.field_value();
        assert!(value.bytes().all(|b| b.is_ascii_graphic() || b == b' '));
        let mut links = parse(value.as_bytes());
        let read = links.next().expect("a link").expect("a good one");
        assert!(links.next().is_none(), "one link");
        assert_eq!(read.raw, value.as_bytes());
        assert_eq!(document.resolve(read.target).as_ref(), Ok(&link.target));
        assert!(read.has_relation(link.relation.name()));
        assert_eq!(read.destination(), link.destination.map(str::as_bytes));
        assert_eq!(
            read.fetch_priority(),
            link.priority.map(|priority| priority.name().as_bytes())
        );
        assert!(!read.nopush() && read.anchor().is_none());
        assert!(!document.is_itself(&link.target));
        assert!(found.links[..at].iter().all(|before| !before.is_one_fetch(link)));
    }
    let policies: usize = found.policies.iter().map(|policy| policy.len()).sum();
    assert!(policies <= 17 * 1024);
    // A character of an attribute is at most nine bytes of a URL (`%E2%82%AC`), a base counts with each link, and an attribute
    // is bounded.
    let memory = found.links.iter().map(|link| link.field_value().len());
    let skipped = found.skipped.iter().map(|skipped| skipped.target.len());
    let each = 9 * 2 * limits.attribute_bytes + 256;
    assert!(
        memory
            .chain(skipped)
            .all(|length| length <= each + crate::link::MAX_TARGET)
    );
}
