//! Tests target resolution by tables and properties.

use proptest::prelude::*;

use super::*;

fn document(url: &str) -> Document {
    let (scheme, rest) = url.split_once("://").expect("an absolute url");
    let slash = rest.find('/').expect("a path");
    let (authority, path) = rest.split_at(slash);
    Document::new(scheme, authority, path).expect("a document url")
}

fn shop() -> Document {
    document("https://shop.example/p/index.html")
}

/// Returns the resolved URL, or the error's text.
fn resolved(document: &Document, target: &str) -> String {
    document
        .resolve(target.as_bytes())
        .map_or_else(|error| error.to_string(), |target| target.url().to_owned())
}

#[test]
fn resolves_the_examples_of_rfc_3986() {
    let base = document("http://a/b/c/d;p?q");
    for (target, expected) in [
        // Section 5.4.1; `g:h` is refused.
        ("g", "http://a/b/c/g"),
        ("./g", "http://a/b/c/g"),
        ("g/", "http://a/b/c/g/"),
        ("/g", "http://a/g"),
        ("//g", "http://g/"),
        ("?y", "http://a/b/c/d;p?y"),
        ("g?y", "http://a/b/c/g?y"),
        ("#s", "http://a/b/c/d;p?q"),
        ("g#s", "http://a/b/c/g"),
        ("g?y#s", "http://a/b/c/g?y"),
        (";x", "http://a/b/c/;x"),
        ("g;x", "http://a/b/c/g;x"),
        ("g;x?y#s", "http://a/b/c/g;x?y"),
        ("", "http://a/b/c/d;p?q"),
        (".", "http://a/b/c/"),
        ("./", "http://a/b/c/"),
        ("..", "http://a/b/"),
        ("../", "http://a/b/"),
        ("../g", "http://a/b/g"),
        ("../..", "http://a/"),
        ("../../", "http://a/"),
        ("../../g", "http://a/g"),
        // Section 5.4.2; `http:g` is refused.
        ("../../../g", "http://a/g"),
        ("../../../../g", "http://a/g"),
        ("/./g", "http://a/g"),
        ("/../g", "http://a/g"),
        ("g.", "http://a/b/c/g."),
        (".g", "http://a/b/c/.g"),
        ("g..", "http://a/b/c/g.."),
        ("..g", "http://a/b/c/..g"),
        ("./../g", "http://a/b/g"),
        ("./g/.", "http://a/b/c/g/"),
        ("g/./h", "http://a/b/c/g/h"),
        ("g/../h", "http://a/b/c/h"),
        ("g;x=1/./y", "http://a/b/c/g;x=1/y"),
        ("g;x=1/../y", "http://a/b/c/y"),
        ("g?y/./x", "http://a/b/c/g?y/./x"),
        ("g?y/../x", "http://a/b/c/g?y/../x"),
        ("g#s/./x", "http://a/b/c/g"),
        ("g#s/../x", "http://a/b/c/g"),
    ] {
        assert_eq!(resolved(&base, target), expected, "{target}");
    }
}

#[test]
fn resolves_as_clients_do() {
    let base = shop();
    for (target, expected) in [
        ("/a.css?v=1#top", "https://shop.example/a.css?v=1"),
        ("/a//b///", "https://shop.example/a//b///"),
        ("/a/%2E%2e/b", "https://shop.example/b"),
        ("/.well-known/x", "https://shop.example/.well-known/x"),
        ("/a%20%2f%e9", "https://shop.example/a%20%2f%e9"),
        ("/a|b[c]'d", "https://shop.example/a|b[c]'d"),
        ("/a?'", "https://shop.example/a?%27"),
        ("/a?b?c", "https://shop.example/a?b?c"),
        ("/@x:y", "https://shop.example/@x:y"),
        ("1:b", "https://shop.example/p/1:b"),
        ("*", "https://shop.example/p/*"),
        ("HTTPS://Shop.Example:443", "https://shop.example/"),
        ("//SHOP.example:8443/a", "https://shop.example:8443/a"),
        ("//[::0:1]/a", "https://[::1]/a"),
        ("http://shop.example:443/a", "http://shop.example:443/a"),
    ] {
        assert_eq!(resolved(&base, target), expected, "{target}");
    }
}

#[test]
fn a_target_with_two_readings_is_refused() {
    let base = shop();
    let byte = |byte| TargetError::Byte { byte };
    let scheme = |scheme: &str| TargetError::Scheme { scheme: scheme.into() };
    for (target, expected) in [
        (b"/a b".as_slice(), byte(b' ')),
        (b"/a\tb", byte(b'\t')),
        (b"/a\0", byte(0)),
        (b"/a\x7f", byte(0x7f)),
        (b"/\xc3\xa9", byte(0xc3)),
        (b"/\\evil.example/a", byte(b'\\')),
        (b"\\\\evil.example/a", byte(b'\\')),
        (b"/\"", byte(b'"')),
        (b"/<", byte(b'<')),
        (b"/^", byte(b'^')),
        (b"/`", byte(b'`')),
        (b"/{x}", byte(b'{')),
        (b"/a%zz", TargetError::Escape),
        (b"/a%4", TargetError::Escape),
        (b"/%", TargetError::Escape),
        (b"/%%41", TargetError::Escape),
        (b"/%00", TargetError::EscapedControl { byte: 0 }),
        (b"/%0d%0a", TargetError::EscapedControl { byte: b'\r' }),
        (b"/%0A", TargetError::EscapedControl { byte: b'\n' }),
        (b"data:text/css,a", scheme("data")),
        (b"FTP://shop.example/a", scheme("ftp")),
        (b"g:h", scheme("g")),
        (b"https:other", TargetError::NoAuthority),
        (b"http:/a", TargetError::NoAuthority),
        (b"https:", TargetError::NoAuthority),
        (b"///evil.example/a", TargetError::EmptyAuthority),
        (b"https:///evil.example/a", TargetError::EmptyAuthority),
        (b"https://u@shop.example/a", TargetError::Userinfo),
        (b"https://u:p@shop.example/a", TargetError::Userinfo),
        (b"//@shop.example/a", TargetError::Userinfo),
        (b"//", TargetError::Url(ParseError::EmptyHost)),
        (b"//?x", TargetError::Url(ParseError::EmptyHost)),
        (b"//a:99999/", TargetError::Url(ParseError::InvalidPort)),
        (b"//evil%40shop.example/", TargetError::Url(ParseError::IdnaError)),
        (b"//evil%22.example/", byte(b'"')),
        (b"//evil%60.example/", byte(b'`')),
        (b"https://%7Bevil%7D.example/", byte(b'{')),
    ] {
        assert_eq!(base.resolve(target), Err(expected), "{}", target.escape_ascii());
    }
}

#[test]
fn a_target_has_4096_bytes_at_most() {
    let target = ["/", &"a".repeat(4095)].concat();
    assert!(shop().resolve(target.as_bytes()).is_ok());
    let target = ["/", &"a".repeat(4096)].concat();
    assert_eq!(
        shop().resolve(target.as_bytes()),
        Err(TargetError::TooLong { length: 4097 })
    );
    // The query is resolved to 1 + 3 * 2000 bytes, since each quotation mark becomes `%27`.
    let target = ["?", &"'".repeat(2000)].concat();
    assert!(matches!(
        shop().resolve(target.as_bytes()),
        Err(TargetError::TooLong { .. })
    ));
}

#[test]
fn a_relative_target_does_not_inherit_bytes_that_are_refused_in_a_target() {
    let base = document("https://shop.example/a%zz/b^c?\"q\"");
    assert_eq!(base.resolve(b"x.css"), Err(TargetError::Escape));
    assert_eq!(resolved(&base, "/x.css"), "https://shop.example/x.css");
    let base = document("https://shop.example/a/b^c");
    assert_eq!(base.resolve(b""), Err(TargetError::Byte { byte: b'^' }));
    assert_eq!(resolved(&base, "x.css"), "https://shop.example/a/x.css");
}

#[test]
fn a_target_shows_its_parts() {
    let parts = |target: &str| {
        let target = shop().resolve(target.as_bytes()).expect("a good target");
        (
            target.scheme().to_owned(),
            target.authority().to_owned(),
            target.host().to_owned(),
            target.port(),
            target.path_and_query().to_owned(),
        )
    };
    let of = |scheme: &str, authority: &str, host: &str, port, path: &str| {
        (scheme.into(), authority.into(), host.into(), port, path.into())
    };
    assert_eq!(
        parts("/a?b#c"),
        of("https", "shop.example", "shop.example", 443, "/a?b")
    );
    assert_eq!(
        parts("//CDN.example:443"),
        of("https", "cdn.example", "cdn.example", 443, "/")
    );
    assert_eq!(parts("http://x:8080?y"), of("http", "x:8080", "x", 8080, "/?y"));
    assert_eq!(parts("http://[::1]:81/"), of("http", "[::1]:81", "[::1]", 81, "/"));
    assert_eq!(parts("http://x:80/"), of("http", "x", "x", 80, "/"));
}

#[test]
fn same_origin_is_scheme_host_and_effective_port() {
    let table: &[(&str, &str, bool)] = &[
        ("https://shop.example/", "/a", true),
        ("https://shop.example/", "//Shop.Example:443/a", true),
        ("https://SHOP.example:443/", "https://shop.example/a", true),
        ("https://shop.example:8443/", "https://shop.example:8443/a", true),
        ("https://shop.example:8443/", "https://shop.example/a", false),
        ("https://shop.example/", "http://shop.example/a", false),
        ("https://shop.example/", "http://shop.example:443/a", false),
        ("http://shop.example:443/", "https://shop.example/a", false),
        ("https://shop.example/", "https://shop.example.evil.example/a", false),
        ("https://shop.example/", "https://www.shop.example/a", false),
        ("https://shop.example/", "https://shop.example./a", false),
        ("http://[::1]:8080/", "//[0::1]:8080/a", true),
    ];
    for (url, target, expected) in table {
        let document = document(url);
        let target = document.resolve(target.as_bytes()).expect("a good target");
        assert_eq!(document.is_same_origin(&target), *expected, "{url} {}", target.url());
    }
}

#[test]
fn the_document_knows_itself() {
    let document = document("https://shop.example/p/?q");
    for (target, expected) in [
        ("", true),
        ("#top", true),
        ("?q", true),
        ("/p/?q#x", true),
        ("/x/../p/?q", true),
        ("https://SHOP.example:443/p/?q", true),
        (".", false),
        ("/p/", false),
        ("/p/?Q", false),
        ("http://shop.example/p/?q", false),
        ("//www.shop.example/p/?q", false),
    ] {
        let resolved = document.resolve(target.as_bytes()).expect("a good target");
        assert_eq!(document.is_itself(&resolved), expected, "{target}");
    }
}

#[test]
fn an_anchor_is_here_only_if_it_names_the_document() {
    let document = shop();
    for (anchor, expected) in [
        (b"".as_slice(), true),
        (b"index.html", true),
        (b"/p/index.html", true),
        (b"https://shop.example/p/index.html", true),
        (b"#top", false),
        (b"#", false),
        (b"index.html#top", false),
        (b"/p/", false),
        (b"/other.html", false),
        (b"https://elsewhere.example/", false),
        (b"https://shop.example:99999/", false),
        (b" index.html", false),
    ] {
        assert_eq!(document.anchors_here(anchor), expected, "{}", anchor.escape_ascii());
    }
}

#[test]
fn a_document_keeps_the_authority_as_the_client_wrote_it() {
    let document = Document::new("HTTPS", "Shop.Example:443", "/a/../b").expect("a document url");
    assert_eq!((document.scheme(), document.authority()), ("https", "Shop.Example:443"));
    assert_eq!(document.own().url(), "https://shop.example/b");
}

#[test]
fn a_document_is_a_web_page_with_an_authority() {
    for (scheme, authority, path, expected) in [
        ("ftp", "a", "/", DocumentError::Scheme),
        ("", "a", "/", DocumentError::Scheme),
        ("http", "", "/", DocumentError::Authority),
        ("http", "u@a", "/", DocumentError::Authority),
        ("http", "a/b", "/", DocumentError::Authority),
        ("http", "a\\b", "/", DocumentError::Authority),
        ("http", "a b", "/", DocumentError::Authority),
        ("http", "\u{e9}", "/", DocumentError::Authority),
        ("http", "a%22b", "/", DocumentError::Authority),
        ("http", "a{b}", "/", DocumentError::Authority),
        ("http", "a", "", DocumentError::Path),
        ("http", "a", "*", DocumentError::Path),
        ("http", "a", "b", DocumentError::Path),
        ("http", "a", "/#b", DocumentError::Path),
        ("http", "a", "/b\\c", DocumentError::Path),
        ("http", "a", "/b\tc", DocumentError::Path),
        ("http", "a:b", "/", DocumentError::Url(ParseError::InvalidPort)),
        ("http", ":80", "/", DocumentError::Url(ParseError::EmptyHost)),
    ] {
        let refused = Document::new(scheme, authority, path).err();
        assert_eq!(refused, Some(expected), "{scheme} {authority} {path}");
    }
}

/// Targets made of the pieces that change how a target is resolved.
fn tricky() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => proptest::sample::select(
            ["/", "/", "//", ".", "..", "%2e", "%2E", "?", "#", "'", "|", "[", "]", ":", "@", "=", "&", "+", "*", "~"]
                .as_slice(),
        )
        .prop_map(str::to_owned),
        1 => proptest::sample::select(
            ["http:", "https://", "\\", " ", "%zz", "%00", "\"", "^", "{", "\u{e9}", "\t", "shop.example", ":443"]
                .as_slice(),
        )
        .prop_map(str::to_owned),
        3 => "[a-zA-Z0-9_-]{1,4}",
        1 => "[!-~]",
    ];
    let pieces = proptest::collection::vec(piece, 0..10);
    (any::<bool>(), pieces).prop_map(|(absolute, pieces)| {
        let slash = if absolute { "/" } else { "" };
        [slash, &pieces.concat()].concat()
    })
}

fn some_document() -> impl Strategy<Value = Document> {
    ("https?", "[a-zA-Z]{1,4}(:[1-9][0-9]{1,3})?", "/[ -~]{0,16}")
        .prop_filter_map("not a document", |(scheme, authority, path)| {
            Document::new(&scheme, &authority, &path).ok()
        })
}

proptest! {
    #[test]
    fn any_bytes_resolve_or_are_refused(
        document in some_document(),
        target in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let _ = document.resolve(&target);
        let _ = document.anchors_here(&target);
    }

    #[test]
    fn a_plain_path_is_what_full_resolution_gives(document in some_document(), target in tricky()) {
        if let Ok(text) = check(target.as_bytes()) && let Some(path) = plain_path(text) {
            prop_assert_eq!(Ok(document.own.with_path(path)), document.resolve_any(text));
        }
    }

    #[test]
    fn a_resolved_target_is_a_clean_url(document in some_document(), target in tricky()) {
        if let Ok(target) = document.resolve(target.as_bytes()) {
            let url = target.url();
            prop_assert!(url.bytes().all(|b| b.is_ascii_graphic() && b != b'\\' && b != b'#'), "{}", url);
            prop_assert!(!target.authority().contains('@'), "{}", url);
            prop_assert!(target.path_and_query().starts_with('/'));
            let whole = [target.scheme(), "://", target.authority(), target.path_and_query()].concat();
            prop_assert_eq!(url, whole);
            let path = target.path_and_query().split('?').next().unwrap_or_default().to_lowercase().replace("%2e", ".");
            prop_assert!(path.split('/').all(|segment| !matches!(segment, "." | "..")), "{}", url);
            // A resolved URL resolves to itself.
            let again = document.resolve(url.as_bytes());
            prop_assert_eq!(again, Ok(target));
        }
    }
}

proptest! {
    #[test]
    fn a_plain_url_is_what_a_parse_makes_of_it(
        scheme in "https?",
        host in prop_oneof![
            "[a-z0-9.-]{1,12}",
            "[a-zA-Z0-9._~-]{1,8}",
            "(xn--)?[a-z0-9-]{1,6}\\.(xn--)?[a-z0-9-]{1,4}\\.?",
            "[0-9]{1,3}(\\.[0-9]{1,3}){0,4}",
            "(0x)?[0-9a-f]{1,4}(\\.0x[0-9a-f]{0,2})?",
        ],
        port in prop_oneof![Just(String::new()), ":[0-9]{0,6}", Just(":80".to_owned()), Just(":443".to_owned())],
        path in "/[ -~]{0,12}(/\\.{0,2}[a-z%2eE]{0,4}){0,3}(\\?[!-~]{0,10})?",
    ) {
        let authority = host + &port;
        if let Some(plain) = plain(&scheme, &authority, &path) {
            let url = Url::parse(&[&scheme, "://", &authority, &path].concat());
            prop_assert_eq!(url.map(Target::from_url), Ok(plain));
        }
    }
}

#[test]
fn the_urls_of_most_requests_are_plain() {
    for (authority, path, expected) in [
        ("shop.example", "/", true),
        ("shop.example:8443", "/a/b.css?v=1&w=%20x", true),
        ("127.0.0.1:8080", "/page/0", true),
        ("localhost", "/", true),
        ("Shop.example", "/", false),
        ("shop.example:443", "/", false),
        ("shop.example:08443", "/", false),
        ("[::1]:8080", "/", false),
        ("xn--bcher-kva.example", "/", false),
        ("1.2.3", "/", false),
        ("1.2.3.04", "/", false),
        ("shop.example", "/a/../b", false),
        ("shop.example", "/a?'", false),
        ("shop.example", "/\"", false),
    ] {
        assert_eq!(plain("https", authority, path).is_some(), expected, "{authority}{path}");
    }
}
