//! Tests documents that try to cost time or memory.

use super::*;

/// Feeds a gigabyte, or until the reader needs no more.
fn flood(head: &[u8], piece: &[u8]) -> (usize, Result<Found, HtmlReason>) {
    let mut reader = HtmlReader::new(Limits::default(), &page(), HTML);
    reader.feed(head);
    let (mut fed, mut wanted) = (0, 0);
    while fed < 1 << 30 {
        let state = reader.feed(piece);
        fed += piece.len();
        if state == ReaderState::Reading {
            wanted = fed;
        }
    }
    (wanted, reader.finish(End::Whole))
}

#[test]
fn the_reading_of_endless_documents_ends() {
    let piece = 64 * 1024;
    for (name, head, repeated, reason) in [
        ("white space", "<head>", " ", HtmlReason::TooLong),
        ("an attribute", "<link rel=stylesheet href=\"", "a", HtmlReason::TooLong),
        ("a name of an attribute", "<link ", "a", HtmlReason::TooLong),
        ("a name of a tag", "<a", "a", HtmlReason::TooLong),
        ("a comment", "<!--", "-", HtmlReason::TooLong),
        ("a doctype", "<!doctype ", "a", HtmlReason::TooLong),
        ("a title", "<title>", "&lt;", HtmlReason::TooLong),
        ("a script", "<script>", "<!-- <script>", HtmlReason::TooLong),
        ("attributes", "<link ", "rel=a ", HtmlReason::TooLong),
        ("references", "<link href=\"", "&am", HtmlReason::TooLong),
        ("a number", "<link href=\"&#", "9", HtmlReason::TooLong),
        ("tags", "<head>", "<meta>", HtmlReason::TooManyTags),
        ("end tags", "<head>", "</a>", HtmlReason::TooManyTags),
        ("templates", "<head>", "<template>", HtmlReason::TooDeep),
        ("foreign elements", "<template>", "<svg>", HtmlReason::TooDeep),
    ] {
        let (wanted, outcome) = flood(head.as_bytes(), &repeated.as_bytes().repeat(piece / repeated.len()));
        assert_eq!(outcome, Err(reason), "{name}");
        assert!(wanted <= Limits::default().body_bytes, "{name}: {wanted}");
    }
}

#[test]
fn the_links_take_no_more_bytes_than_the_text_read() {
    let escaped: String = (0..9000)
        .map(|n| format!("<link rel=preload as=fetch href=' {n}'>"))
        .collect();
    let limits = Limits {
        links: usize::MAX,
        tags: usize::MAX,
        ..Limits::default()
    };
    let html = escaped.get(..limits.text_bytes).expect("as long as is read");
    let found = read_pieces(HTML, limits, [html.as_bytes()]).expect("a head");
    assert!(found.links.len() > 3000);
    let base = "https://site.test/p/".len();
    let bytes: usize = found.links.iter().map(|link| link.target.url().len() - base).sum();
    assert!(bytes < html.len());
}

#[test]
fn a_reader_is_send_and_sync() {
    fn check<T: Send + Sync>() {}
    check::<HtmlReader>();
}

#[test]
fn many_elements_are_bounded() {
    let links: String = (0..3000).map(|n| format!("<link rel=stylesheet href=/{n}>")).collect();
    assert_eq!(read(links.as_bytes()), Err(HtmlReason::TooManyLinks));
    let skipped: String = (0..3000).map(|_| "<link rel=stylesheet>").collect();
    assert_eq!(
        read(skipped.as_bytes()).expect("a head").skipped.len(),
        Limits::default().links
    );
    let same = "<link rel=stylesheet href=/a>".repeat(3000);
    assert_eq!(read(same.as_bytes()).expect("a head").links.len(), 1);
    let pairs = "<template></template>".repeat(1000);
    assert_eq!(read(pairs.as_bytes()), Ok(Found::default()));
}

#[test]
fn the_bounds_are_exact() {
    let html = b"<link rel=stylesheet href=/a>";
    let limits = |bytes| Limits {
        body_bytes: bytes,
        ..Limits::default()
    };
    let whole = read(html).expect("a head");
    assert_eq!(read_pieces(HTML, limits(html.len()), [&html[..]]), Ok(whole.clone()));
    assert_eq!(
        read_pieces(HTML, limits(html.len() - 1), [&html[..]]),
        Err(HtmlReason::TooLong)
    );
    let limits = Limits {
        text_bytes: html.len() - 1,
        ..Limits::default()
    };
    assert_eq!(read_pieces(HTML, limits, html.chunks(1)), Err(HtmlReason::TooLong));
    let limits = |attribute_bytes| Limits {
        attribute_bytes,
        ..Limits::default()
    };
    assert_eq!(read_pieces(HTML, limits(10), [&html[..]]), Ok(whole));
    let cut = read_pieces(HTML, limits(10), [&b"<link rel=stylesheet href=/0123456789>"[..]]).expect("a head");
    let skipped = only(&cut.skipped);
    assert_eq!((&*skipped.target, skipped.reason), ("/012345678", HtmlSkip::TooLong));
    let icon = format!(
        "<link rel=icon href=data:{}><link rel=stylesheet href=/a>",
        "x".repeat(50_000)
    );
    assert_eq!(paths(&icon), ["/a"], "a long attribute elsewhere costs nothing");
}

#[test]
fn broken_encodings_are_read() {
    let links = b"<link rel=stylesheet href=/a><link rel=stylesheet href=\"/\xff\xfe\xed\xa0\x80\">";
    for charset in [
        "utf-8",
        "shift_jis",
        "gb18030",
        "iso-2022-jp",
        "euc-kr",
        "big5",
        "windows-1252",
    ] {
        let content_type = format!("text/html; charset={charset}");
        let fields = ResponseFields {
            content_type: content_type.as_bytes(),
            ..HTML
        };
        let whole = read_pieces(fields, Limits::default(), [&links[..]]).expect("a head");
        let first = whole.links.first().expect("a link");
        assert_eq!(first.target.path_and_query(), "/a", "{charset}");
        assert_eq!(
            read_pieces(fields, Limits::default(), links.chunks(1)),
            Ok(whole),
            "{charset}"
        );
    }
    let wide: Vec<u8> = "\u{feff}<link rel=stylesheet href=/\u{e4}>"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let found = read_pieces(HTML, Limits::default(), wide.chunks(3)).expect("a head");
    assert_eq!(only(&found.links).target.path_and_query(), "/%C3%A4");
}
