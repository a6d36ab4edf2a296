//! Tests the rules of the HTML standard, one table each, and properties of any document.

use proptest::prelude::*;

use super::*;
use crate::html::link::preconnects;
use crate::link::{Spelled, parse};

#[test]
fn the_head_ends_where_tree_construction_ends_it() {
    for (html, expected) in [
        ("<link rel=stylesheet href=/a><link rel=stylesheet href=/b>", 2),
        (
            " \n<html>\t<head>\r\n<link rel=stylesheet href=/a></head><link rel=stylesheet href=/b>",
            1,
        ),
        ("text<link rel=stylesheet href=/a>", 0),
        ("<link rel=stylesheet href=/a>x<link rel=stylesheet href=/b>", 1),
        ("<link rel=stylesheet href=/a>&#32;<link rel=stylesheet href=/b>", 2),
        ("<link rel=stylesheet href=/a>&nbsp;<link rel=stylesheet href=/b>", 1),
        ("<link rel=stylesheet href=/a>\0<link rel=stylesheet href=/b>", 1),
        ("<link rel=stylesheet href=/a><p><link rel=stylesheet href=/b>", 1),
        (
            "<link rel=stylesheet href=/a></p></div></link><link rel=stylesheet href=/b>",
            2,
        ),
        ("<link rel=stylesheet href=/a></br><link rel=stylesheet href=/b>", 1),
        ("</head><link rel=stylesheet href=/a>", 0),
        ("<link rel=stylesheet href=/a></body><link rel=stylesheet href=/b>", 1),
        (
            "<html><link rel=stylesheet href=/a><head><html lang=x><link rel=stylesheet href=/b>",
            2,
        ),
        ("<link rel=stylesheet href=/a><svg><link rel=stylesheet href=/b>", 1),
        ("<link rel=stylesheet href=/a><body><link rel=stylesheet href=/b>", 1),
        (
            "<link rel=stylesheet href=/a><frameset><link rel=stylesheet href=/b>",
            1,
        ),
        ("<basefont><bgsound><meta><link rel=stylesheet href=/a>", 1),
        ("<?xml version='1.0'?><!-- x --><link rel=stylesheet href=/a>", 1),
        ("<!doctype html public 'x' 'y'><link rel=stylesheet href=/a>", 1),
        (
            "<!-- <link rel=stylesheet href=/a> --!><link rel=stylesheet href=/b>",
            1,
        ),
        ("<!--><link rel=stylesheet href=/a>-->", 1),
        ("<link rel=stylesheet href=/a><!-- <link rel=stylesheet href=/b>", 1),
        ("<linkrel=stylesheet href=/a>", 0),
    ] {
        assert_eq!(paths(html).len(), expected, "{html:?}");
    }
}

#[test]
fn text_and_templates_contain_no_fetches() {
    for inside in [
        "<title>LINK</title>",
        "<title>LINK</titles>LINK</title >",
        "<style>LINK</style>",
        "<script>LINK</script>",
        "<script><!-- <script><link rel=stylesheet href=/no></script><link rel=stylesheet href=/no> --></script>",
        "<script type=text/template>LINK</script>",
        "<noscript>LINK</noscript>",
        "<noscript><!-- LINK </noscript>",
        "<noframes>LINK</noframes>",
        "<template>LINK</template>",
        "<template>text LINK<p>LINK</head>LINK</body>LINK</template>",
        "<template><template>LINK</template>LINK</template>",
        "<template><title></template>LINK</title>LINK</template>",
        "<template><textarea></template>LINK</textarea>LINK</template>",
        "<template><svg><title></template>",
        "<template><svg><style></template>",
        "<template><svg><template></template>LINK</svg>LINK</template>",
        "<template><svg><template/></template>",
        "<template><svg><![CDATA[</template>]]>LINK</svg></template>",
        "<template><svg><desc><style></template></style>LINK</desc></svg></template>",
        "<template><svg><p><style></template></style>LINK</template>",
        "<template><svg><font><style></template>",
        "<template><svg><font color=red><style></template></style>LINK</template>",
        "<template><math><mi><style></template></style></mi></math></template>",
        "<template><math><mi><mglyph><style></template>",
        "<template><math><annotation-xml encoding=text/html><style></template></style></annotation-xml></math></template>",
        "<template><math><annotation-xml><style></template>",
        "<template><svg></p><style></template></style></template>",
        "<template><svg/><style></template></style></template>",
        "</template>",
    ] {
        let html = [inside, "<link rel=stylesheet href=/a>"].concat();
        let html = html.replace("LINK", "<link rel=stylesheet href=/no><script src=/no></script>");
        assert_eq!(paths(&html), ["/a"], "{html}");
    }
    assert!(paths("<template><plaintext></template><link rel=stylesheet href=/a>").is_empty());
    assert!(paths("<template><link rel=stylesheet href=/a>").is_empty());
    assert_eq!(
        paths("<template><base href=/x/></template><link rel=stylesheet href=a>"),
        ["/p/a"]
    );
}

#[test]
fn attributes_are_decoded_as_in_a_browser() {
    for (href, expected) in [
        ("/a?x=1&amp;y=2", "/a?x=1&y=2"),
        ("/a?x=1&#038;y=2", "/a?x=1&y=2"),
        ("/a?x=1&#x26;y=2", "/a?x=1&y=2"),
        ("/a?x=1&copy=4", "/a?x=1&copy=4"),
        ("/a?x=1&copy;", "/a?x=1%C2%A9"),
        ("/a?x=1&copyy", "/a?x=1&copyy"),
        ("/a?x=1&copy", "/a?x=1%C2%A9"),
        ("/a?&CounterClockwiseContourIntegral;", "/a?%E2%88%B3"),
        (
            "/a?&CounterClockwiseContourIntegra",
            "/a?&CounterClockwiseContourIntegra",
        ),
        ("/a,b;c.css", "/a,b;c.css"),
        ("  /a\n\t/b  ", "/a/b"),
        ("../x/./y", "/x/y"),
        ("\\x\\y", "/x/y"),
        ("/a#b", "/a"),
        ("/a&#13;&#10;b", "/ab"),
    ] {
        assert_eq!(
            paths(&format!("<link rel=stylesheet href=\"{href}\">")),
            [expected],
            "{href}"
        );
    }
    assert_eq!(paths("<LINK HREF=/a REL=STYLESHEET HREF=/b rel=icon>"), ["/a"]);
}

#[test]
fn stylesheets_that_block_are_fetched() {
    for attributes in [
        "rel=stylesheet",
        "rel='x StyleSheet y'",
        "rel=stylesheet media",
        "rel=stylesheet media=all",
        "rel=stylesheet media=' Screen '",
        "rel=stylesheet media='screen, print'",
        "rel=stylesheet media='only screen'",
        "rel=stylesheet type=text/css",
        "rel=stylesheet type='text/css; charset=x'",
        "rel=stylesheet type=''",
        "rel=stylesheet title=x",
        "rel='stylesheet preload'",
    ] {
        let found = read(format!("<link {attributes} href=/a>").as_bytes()).expect("a head");
        let links = found.links.iter().map(|link| (link.tier, link.destination));
        assert_eq!(
            links.collect::<Vec<_>>(),
            [(Tier::Blocking, Some("style"))],
            "{attributes}"
        );
    }
    for (attributes, reason) in [
        ("rel=stylesheet media=print", "media"),
        ("rel=stylesheet media='(min-width: 1px)'", "media"),
        ("rel=stylesheet media='screen and (min-width: 1px)'", "media"),
        ("rel=stylesheet media='not all'", "media"),
        ("rel=stylesheet disabled", "disabled"),
        ("rel='alternate stylesheet' title=x", "alternate"),
        ("rel=stylesheet type=text/less", "type"),
        ("rel=stylesheet loading=lazy", "lazy"),
    ] {
        let html = format!("<link {attributes} href=/a>");
        assert!(paths(&html).is_empty(), "{attributes}");
        assert_eq!(skips(&html), [("/a".to_owned(), reason)], "{attributes}");
    }
    let sets = "<link rel=stylesheet title=one href=/a><link rel=stylesheet title=two href=/b>\
                <link rel=stylesheet href=/c><link rel=stylesheet title=one href=/d>";
    assert_eq!(paths(sets), ["/a", "/c", "/d"]);
    let preferred = format!("<meta http-equiv=Default-Style content=two>{sets}");
    assert_eq!(paths(&preferred), ["/b", "/c"]);
}

#[test]
fn preloads_are_those_of_a_link_field() {
    for (attributes, expected) in [
        ("rel=preload as=font crossorigin", "preload; as=font; crossorigin"),
        (
            "rel=preload as=FONT type=font/woff2 crossorigin=x",
            "preload; as=font; crossorigin",
        ),
        (
            "rel=preload as=fetch crossorigin=USE-CREDENTIALS",
            "preload; as=fetch; crossorigin=use-credentials",
        ),
        (
            "rel=preload as=image type=image/avif",
            "preload; as=image; type=\"image/avif\"",
        ),
        (
            "rel=preload as=script type=text/javascript fetchpriority=LOW",
            "preload; as=script; fetchpriority=low",
        ),
        ("rel=preload as=style fetchpriority=auto", "preload; as=style"),
        ("rel=preload as=style media=all", "preload; as=style"),
        ("rel=modulepreload", "modulepreload"),
        ("rel=modulepreload as=''", "modulepreload"),
        ("rel=modulepreload as=worker", "modulepreload; as=worker"),
        (
            "rel=modulepreload integrity='sha256-a\n sha384-b'",
            "modulepreload; integrity=\"sha256-a sha384-b\"",
        ),
    ] {
        let html = format!("<link {attributes} href=/a>");
        assert_eq!(
            values(&html),
            [format!("<https://site.test/a>; rel={expected}")],
            "{attributes}"
        );
    }
    for (attributes, reason) in [
        ("rel=preload href=/a", "as"),
        ("rel=preload as href=/a", "as"),
        ("rel=preload as=video href=/a", "as"),
        ("rel=preload as=document href=/a", "as"),
        ("rel=preload as=image imagesrcset='/a 1x' href=/a", "srcset"),
        ("rel=preload as=image media='(min-width: 1px)' href=/a", "media"),
        ("rel=preload as=image type=image/jxl href=/a", "type"),
        ("rel=preload as=script type=module href=/a", "type"),
        ("rel=preload as=style type=text/less href=/a", "type"),
        ("rel=preload as=font type=text/css href=/a", "type"),
        ("rel=preload as=style integrity='a\"b' href=/a", "integrity"),
        ("rel=preload as=style href=''", "no_url"),
        ("rel=preload as=style", "no_url"),
        ("rel=modulepreload as=style href=/a", "as"),
        ("rel=preconnect href=/", "itself"),
        ("rel=preconnect href=https://site.test:443", "itself"),
    ] {
        let html = format!("<link {attributes}>");
        assert!(paths(&html).is_empty(), "{attributes}");
        assert_eq!(
            skips(&html).first().map(|(_, reason)| *reason),
            Some(reason),
            "{attributes}"
        );
    }
    for relation in ["icon", "prefetch", "dns-prefetch", "manifest", "next", "", "pre load"] {
        let html = format!("<link rel='{relation}' href=/a as=style>");
        assert!(paths(&html).is_empty() && skips(&html).is_empty(), "{relation}");
    }
    let connection = "<link rel='dns-prefetch PreConnect' href=//cdn.test>";
    assert_eq!(values(connection), ["<https://cdn.test/>; rel=preconnect"]);
}

#[test]
fn scripts_are_those_that_run() {
    for (attributes, tier) in [
        ("", Tier::Blocking),
        ("type", Tier::Blocking),
        ("type=' Text/JavaScript '", Tier::Blocking),
        ("type=text/javascript1.5", Tier::Blocking),
        ("language=JavaScript1.2", Tier::Blocking),
        ("language", Tier::Blocking),
        ("type=text/javascript language=vbscript", Tier::Blocking),
        ("for=window event='onload()'", Tier::Blocking),
        ("for=window", Tier::Blocking),
        ("async blocking='x Render'", Tier::Blocking),
        ("async", Tier::Lower),
        ("defer=false", Tier::Lower),
    ] {
        let found = read(format!("<script {attributes} src=/a></script>").as_bytes()).expect("a head");
        let tiers: Vec<_> = found.links.iter().map(|link| (link.tier, link.relation)).collect();
        assert_eq!(tiers, [(tier, crate::link::Relation::Preload)], "{attributes}");
    }
    for attributes in [
        "type=module",
        "type=' MODULE '",
        "type=module nomodule",
        "type=module for=x event=y",
    ] {
        let html = format!("<script {attributes} src=/a></script>");
        assert_eq!(
            values(&html),
            ["<https://site.test/a>; rel=modulepreload"],
            "{attributes}"
        );
    }
    for (attributes, reason) in [
        ("type=' '", "type"),
        ("type=text/babel", "type"),
        ("type=importmap", "type"),
        ("type=speculationrules", "type"),
        ("type='text/javascript; charset=utf-8'", "type"),
        ("type='' language=vbscript nomodule", "nomodule"),
        ("language=vbscript", "type"),
        ("nomodule", "nomodule"),
        ("for=x event=onload", "event"),
        ("for=window event=onclick", "event"),
        ("loading=lazy", "lazy"),
    ] {
        let html = format!("<script {attributes} src=/a></script>");
        assert!(paths(&html).is_empty(), "{attributes}");
        assert_eq!(skips(&html), [("/a".to_owned(), reason)], "{attributes}");
    }
    assert!(paths("<script type=module>import '/a'</script>").is_empty());
    assert!(
        paths("<script src=/a>").is_empty(),
        "a script that is never closed is not run"
    );
    assert!(paths("<script src=/a><!-- <script></script>").is_empty());
}

#[test]
fn the_first_base_with_a_url_counts_from_there_on() {
    for (bases, expected) in [
        ("<base href=/x/>", "https://site.test/x/a"),
        (
            "<base target=_top><base href=/x/><base href=/y/>",
            "https://site.test/x/a",
        ),
        ("<base href=//cdn.test/x>", "https://cdn.test/a"),
        ("<base href=https://><base href=/y/>", "https://site.test/p/a"),
        ("<base href=data:,x><base href=/y/>", "https://site.test/p/a"),
        ("<base href=javascript:x>", "https://site.test/p/a"),
        ("<base href>", "https://site.test/p/a"),
        ("<BASE HREF=' x/ '>", "https://site.test/p/x/a"),
    ] {
        let html = format!("{bases}<link rel=stylesheet href=a>");
        assert_eq!(
            values(&html),
            [format!("<{expected}>; rel=preload; as=style")],
            "{bases}"
        );
    }
}

#[test]
fn urls_that_may_not_be_requested_are_skipped() {
    for (href, reason) in [
        ("data:text/css,x", "scheme"),
        ("javascript:x", "scheme"),
        ("blob:https://site.test/1", "scheme"),
        ("https://", "bad_url"),
        ("https://a b/", "bad_url"),
        ("https://u:p@site.test/", "userinfo"),
        ("//u@site.test/", "userinfo"),
        ("http://site.test/x", "mixed_content"),
        ("#x", "itself"),
        (" ", "itself"),
        ("page", "itself"),
        ("/%zz", "bad_url"),
        ("/%00", "bad_url"),
        ("/%0d%0aset-cookie:x", "bad_url"),
        ("/?a={b}", "bad_url"),
        ("/\u{fffd}", "charset"),
    ] {
        let html = format!("<link rel=stylesheet href=\"{href}\">");
        assert!(paths(&html).is_empty(), "{href}");
        assert_eq!(skips(&html), [(href.to_owned(), reason)], "{href}");
    }
}

#[test]
fn only_ascii_urls_are_read_in_an_uncertain_encoding() {
    let links = "<link rel=stylesheet href=/\u{e4}?\u{e4}><link rel=stylesheet href=/a>";
    let utf8 = links.as_bytes();
    let latin1: Vec<u8> = links.chars().map(|c| u8::try_from(c).expect("Latin-1")).collect();
    let table: [(&str, Vec<u8>, &[&str]); 8] = [
        ("text/html; charset=utf-8", utf8.to_vec(), &["/%C3%A4?%C3%A4", "/a"]),
        ("Text/HTML ;Charset=\"UTF-8\"", utf8.to_vec(), &["/%C3%A4?%C3%A4", "/a"]),
        ("text/html; charset=iso-8859-1", latin1.clone(), &["/%C3%A4?%E4", "/a"]),
        ("text/html; charset=utf-8", latin1, &["/a"]),
        ("text/html", utf8.to_vec(), &["/a"]),
        ("text/html; charset=nonsense", utf8.to_vec(), &["/a"]),
        (
            "text/html",
            [b"<meta charset=utf-8>", utf8].concat(),
            &["/%C3%A4?%C3%A4", "/a"],
        ),
        (
            "text/html",
            [&[b' '; 1024][..], b"<meta charset=utf-8>", utf8].concat(),
            &["/a"],
        ),
    ];
    for (content_type, html, expected) in table {
        let fields = ResponseFields {
            content_type: content_type.as_bytes(),
            ..HTML
        };
        let found = read_pieces(fields, Limits::default(), [&*html]).expect("a head");
        let found: Vec<_> = found.links.iter().map(|link| link.target.path_and_query()).collect();
        assert_eq!(found, expected, "{content_type}");
    }
    let base = ResponseFields {
        content_type: b"text/html",
        ..HTML
    };
    let html = "<base href=/\u{e4}/><link rel=stylesheet href=a><link rel=stylesheet href=https://site.test/b>";
    let found = read_pieces(base, Limits::default(), [html.as_bytes()]).expect("a head");
    assert_eq!(
        found.links.len(),
        1,
        "what is relative to a base that is not sure is not sure"
    );
    assert_eq!(only(&found.skipped).reason, HtmlSkip::Charset);
}

#[test]
fn other_responses_are_not_read() {
    for (fields, reason) in [
        (
            ResponseFields {
                content_type: b"",
                ..HTML
            },
            HtmlReason::NotHtml,
        ),
        (
            ResponseFields {
                content_type: b"application/xhtml+xml",
                ..HTML
            },
            HtmlReason::NotHtml,
        ),
        (
            ResponseFields {
                content_type: b"text/html2",
                ..HTML
            },
            HtmlReason::NotHtml,
        ),
        (
            ResponseFields {
                content_disposition: b"Attachment; filename=x",
                ..HTML
            },
            HtmlReason::Attachment,
        ),
        (
            ResponseFields {
                content_encoding: b"compress",
                ..HTML
            },
            HtmlReason::ContentCoding,
        ),
        (
            ResponseFields {
                content_encoding: b"gzip, br",
                ..HTML
            },
            HtmlReason::ContentCoding,
        ),
    ] {
        let mut reader = HtmlReader::new(Limits::default(), &page(), fields);
        assert_eq!(
            reader.feed(b"<link rel=stylesheet href=/a></head>"),
            ReaderState::Failed
        );
        assert_eq!(reader.finish(End::Whole), Err(reason));
    }
    let inline = ResponseFields {
        content_disposition: b" inline; filename=x",
        ..HTML
    };
    assert!(read_pieces(inline, Limits::default(), []).is_ok());
}

#[test]
fn an_asset_that_two_elements_fetch_is_one_link() {
    for (html, expected) in [
        (
            "<link rel=preload as=script href=/a fetchpriority=low><script async src=/a></script>",
            &["</a>; rel=preload; as=script; fetchpriority=low"][..],
        ),
        (
            "<script async src=/a></script><script src=/b></script><script src=/a></script>",
            &["</a>; rel=preload; as=script", "</b>; rel=preload; as=script"],
        ),
        (
            "<link rel=modulepreload href=/a><script type=module crossorigin src=/a></script>",
            &["</a>; rel=modulepreload"],
        ),
        (
            "<link rel=preload as=script crossorigin href=/a><script type=module src=/a></script>",
            &["</a>; rel=preload; as=script; crossorigin"],
        ),
        (
            // The preload has another CORS mode, so the browser fetches both.
            "<link rel=preload as=style href=/a><link rel=stylesheet crossorigin href=/a>",
            &[
                "</a>; rel=preload; as=style",
                "</a>; rel=preload; as=style; crossorigin",
            ],
        ),
        (
            "<link rel=stylesheet href=/a><link rel=preload as=fetch href=/a>",
            &["</a>; rel=preload; as=style", "</a>; rel=preload; as=fetch"],
        ),
    ] {
        let expected: Vec<_> = expected
            .iter()
            .map(|value| value.replace("</", "<https://site.test/"))
            .collect();
        assert_eq!(values(html), expected, "{html}");
    }
}

#[test]
fn a_connection_is_opened_early_to_an_origin_of_several_links() {
    let html = "<link rel=stylesheet href=//a.test/1><link rel=stylesheet href=//a.test/2>\
                <link rel=stylesheet crossorigin href=//a.test/3><script type=module src=//a.test/4></script>\
                <link rel=stylesheet href=//b.test/1><link rel=stylesheet href=/1><link rel=stylesheet href=/2>\
                <link rel=stylesheet href=//c.test/1><link rel=stylesheet href=//c.test/2>\
                <link rel=preconnect href=//c.test>";
    let links = read(html.as_bytes()).expect("a head").links;
    let made: Vec<_> = preconnects(&links, &page(), 2)
        .iter()
        .map(HtmlLink::field_value)
        .collect();
    let expected = [
        "<https://a.test/>; rel=preconnect",
        "<https://a.test/>; rel=preconnect; crossorigin",
    ];
    assert_eq!(made, expected);
    assert!(preconnects(&links, &page(), 3).is_empty());
}

#[test]
fn an_incomplete_head_gives_no_links() {
    let html = b"<link rel=stylesheet href=/a>";
    let mut reader = HtmlReader::new(Limits::default(), &page(), HTML);
    assert_eq!(reader.feed(html), ReaderState::Reading);
    assert_eq!(reader.finish(End::BrokenOff), Err(HtmlReason::BrokenOff));
    let mut reader = HtmlReader::new(Limits::default(), &page(), HTML);
    reader.feed(html);
    assert_eq!(reader.feed(&[b"</head>", &[b' '; 40][..]].concat()), ReaderState::Done);
    assert_eq!(reader.feed(b"<p>"), ReaderState::Done);
    assert_eq!(reader.finish(End::BrokenOff).expect("a whole head").links.len(), 1);
    let mut reader = HtmlReader::new(Limits::default(), &page(), HTML);
    assert_eq!(
        reader.feed(&[&b"text"[..], &[b' '; 40]].concat()),
        ReaderState::Done,
        "at once"
    );
}

/// Pieces of markup that change the state of tokenizer or reader, in any order.
fn markup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("<link rel=stylesheet href=\"/a&amp;b&CounterClockwiseContourIntegral;\" crossorigin>"),
        Just("<script async src='/c,d;e.js'></script>"),
        Just("<LiNk\r\nRel='preload\r\nx' as=style integrity='sha256-a\rsha256-b' href=/\u{e4}>"),
        Just("<base href=/x/><base href=/y/>"),
        Just("<meta charset=utf-8>"),
        Just("<!DOCTYPE html PUBLIC 'x' SYSTEM 'y'>"),
        Just("<template><svg><![CDATA[</template>]]></svg>"),
        Just("</template>"),
        Just("<title>&notit;</title>"),
        Just("<style>a{}</style>"),
        Just("<noscript><link rel=stylesheet href=/no></noscript>"),
        Just("<!-- <link> --!>"),
        Just("<!-"),
        Just("<!d"),
        Just("<![CDATA["),
        Just("&#x"),
        Just("&notin"),
        Just("<"),
        Just("</"),
        Just("\r"),
        Just("\n"),
        Just(" "),
        Just("'"),
        Just("\""),
        Just(">"),
        Just("</head>"),
    ];
    prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn the_links_do_not_depend_on_how_the_body_is_cut(
        html in markup(),
        anything in any::<Vec<u8>>(),
        cuts in prop::collection::vec(1usize..30, 1..8),
    ) {
        let html = [html.as_bytes(), &anything].concat();
        let mut rest = &*html;
        let mut pieces = Vec::new();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, behind) = rest.split_at(rest.len().min(*cut));
            pieces.push(piece);
            rest = behind;
        }
        for content_type in [&b"text/html"[..], b"text/html; charset=utf-8"] {
            let fields = ResponseFields { content_type, ..HTML };
            let whole = read_pieces(fields, Limits::default(), [&*html]);
            prop_assert_eq!(read_pieces(fields, Limits::default(), pieces.iter().copied()), whole);
        }
        let singly = html.chunks(1);
        prop_assert_eq!(read_pieces(HTML, Limits::default(), singly), read(&html));
    }

    #[test]
    fn a_written_field_value_is_parsed_as_the_same_link(html in markup(), attribute in "[ -~]{0,20}", url in "\\PC{0,20}") {
        let html = format!("{html}<link rel=preload as=style href='{url}' integrity=\"{attribute}\" crossorigin='{attribute}'>");
        for link in read(html.as_bytes()).expect("a head").links {
            let value = link.field_value();
            let mut read = parse(value.as_bytes());
            let back = read.next().expect("a link").expect("a good one");
            prop_assert!(read.next().is_none());
            prop_assert_eq!(back.raw, value.as_bytes());
            prop_assert_eq!(page().resolve(back.target).expect("a target"), link.target);
            prop_assert!(back.has_relation(link.relation.name()));
            prop_assert_eq!(back.destination(), link.destination.map(str::as_bytes));
            prop_assert_eq!(back.fetch_priority(), link.priority.map(|priority| priority.name().as_bytes()));
        }
    }
}

/// Wherever a page breaks off: before the end of its head it gives nothing, behind that all.
#[test]
fn a_page_that_breaks_off_is_read_from_the_end_of_its_head_on() {
    let head = "<!doctype html><!-- </head> --><html><head><title>a < b &amp; c</title><link rel=stylesheet href=\"/a?b&amp;c\">\
                <script>if (a </b/.source) \"</head>\"</script><script src=/d></script><noscript></head></noscript>\n</head>";
    let page_text = format!("{head}<body><p>text &amp; more</body>");
    for cut in 0..=page_text.len() {
        let text = page_text.as_bytes().get(..cut).expect("a part");
        for size in [1, 7, 4096] {
            let mut reader = HtmlReader::new(Limits::default(), &page(), HTML);
            text.chunks(size).for_each(|piece| {
                reader.feed(piece);
            });
            let links = reader.finish(End::BrokenOff).map(|found| found.links.len());
            let is_sure = cut >= head.len() && !text.ends_with(b"<") && !text.ends_with(b"</");
            match links {
                Ok(count) => assert!(count == 2 && cut >= head.len(), "{cut} {size}"),
                Err(reason) => assert!(reason == HtmlReason::BrokenOff && !is_sure, "{cut} {size} {reason}"),
            }
        }
    }
}

#[test]
fn policies_of_meta_elements_are_found() {
    let policies = |html: &str| {
        let found = read(html.as_bytes()).expect("a head");
        found
            .policies
            .iter()
            .map(|policy| policy.to_string())
            .collect::<Vec<_>>()
    };
    let long = "x".repeat(5000);
    let many =
        "<meta http-equiv=content-security-policy content=\"img-src https://a.example/0123456789\">".repeat(1000);
    for (html, expected) in [
        (
            "<meta http-equiv=Content-Security-Policy content=\"script-src 'self'\">",
            &["script-src 'self'"][..],
        ),
        (
            "<meta http-equiv=content-security-policy content=\"img-src *\">\
             <meta content=\"style-src &#39;self&#39;\" http-equiv=\"content-security-policy\">",
            &["img-src *", "style-src 'self'"],
        ),
        (
            "<meta http-equiv=content-security-policy content=\"img-src a, style-src b\">",
            &["img-src a\" style-src b"],
        ),
        ("<meta http-equiv=content-security-policy content=\" \">", &[]),
        ("<meta http-equiv=content-security-policy>", &[]),
        (
            "<meta http-equiv=content-security-policy-report-only content=\"img-src *\">",
            &[],
        ),
        ("<meta name=content-security-policy content=\"img-src *\">", &[]),
        (
            "<noscript><meta http-equiv=content-security-policy content=\"img-src *\"></noscript>",
            &[],
        ),
        (
            "<template><meta http-equiv=content-security-policy content=\"img-src *\"></template>",
            &[],
        ),
        (
            "<body><meta http-equiv=content-security-policy content=\"img-src *\">",
            &[],
        ),
        (
            &*format!("<meta http-equiv=content-security-policy content=\"img-src {long}\">"),
            &["default-src 'none'"],
        ),
    ] {
        assert_eq!(policies(html), expected, "{html}");
    }
    let kept = policies(&many);
    assert_eq!(kept.first().map(String::as_str), Some("default-src 'none'"));
    assert!(kept.iter().map(String::len).sum::<usize>() <= 17 * 1024);
}

#[test]
fn of_too_many_links_those_that_block_rendering_are_learned() {
    let modules: String = (0..40)
        .map(|n| format!("<link rel=modulepreload href=/{n}.js>"))
        .collect();
    let html = format!("<head>{modules}<link rel=stylesheet href=/late.css><script src=/late.js></script></head>");
    let learned = read(html.as_bytes()).expect("a head").learnable(&page());
    let targets: Vec<&[u8]> = learned.iter().map(Spelled::target).collect();
    assert_eq!(targets.len(), 32);
    assert!(targets.starts_with(&[b"/late.css", b"/late.js", b"/0.js"]));
}

#[test]
fn a_stylesheet_is_learned_behind_any_number_of_other_links() {
    let scripts: String = (0..40).map(|n| format!("<script src=/{n}.js></script>")).collect();
    let images: String = (0..40)
        .map(|n| format!("<link rel=preload as=image href=/{n}.png>"))
        .collect();
    for (before, second) in [
        (scripts.clone(), &b"/0.js"[..]),
        (images.clone(), b"/0.png"),
        (format!("{images}{scripts}"), b"/0.js"),
    ] {
        for sheet in [
            "<link rel=stylesheet href=/late.css>",
            "<link rel=preload as=style href=/late.css>",
        ] {
            let html = format!("<head>{before}{sheet}</head>");
            let learned = read(html.as_bytes()).expect("a head").learnable(&page());
            let targets: Vec<&[u8]> = learned.iter().map(Spelled::target).collect();
            assert_eq!(targets.len(), 32);
            assert!(targets.starts_with(&[b"/late.css", second]), "{html}");
        }
    }
}
