//! Tests the grammar by tables and properties.

use proptest::prelude::*;

use super::*;

/// Parses a field; returns each link as `target|relations`, each malformed piece as its reason.
fn read(field: &str) -> Vec<String> {
    parse(field.as_bytes())
        .map(|piece| match piece {
            Ok(link) => {
                let relations = link.parameters.relations.as_deref().unwrap_or(b"-");
                format!("{}|{}", link.target.escape_ascii(), relations.escape_ascii())
            }
            Err(malformed) => format!("{:?}", malformed.reason),
        })
        .collect()
}

fn only(field: &str) -> Link<'_> {
    let mut links = parse(field.as_bytes());
    let link = links.next().expect("one link").expect("a well-formed link");
    assert_eq!(links.next(), None, "{field}");
    link
}

#[test]
fn links_stand_in_the_order_of_the_field() {
    let table: &[(&str, &[&str])] = &[
        ("", &[]),
        (" \t, ,,", &[]),
        ("</a>", &["/a|-"]),
        ("<>; rel=preload", &["|preload"]),
        ("</a>;rel=preload,</b>;rel=next", &["/a|preload", "/b|next"]),
        ("   </a>; rel=preload", &["/a|preload"]),
        (", </a>; rel=x, , \t, </b>; rel=y,,", &["/a|x", "/b|y"]),
        ("</a>; rel=\"x\";   title=\"t\",   </b>;   rel=\"y\"", &["/a|x", "/b|y"]),
        ("</a>, </b>; rel=\"x\"", &["/a|-", "/b|x"]),
    ];
    for (field, expected) in table {
        assert_eq!(read(field), *expected, "{field}");
    }
}

#[test]
fn separators_inside_brackets_and_quotation_marks_belong_to_them() {
    let table: &[(&str, &[&str])] = &[
        ("</a,b;c.css>; rel=x, </d>", &["/a,b;c.css|x", "/d|-"]),
        ("</a>; title=\"one,two;three>\"; rel=x", &["/a|x"]),
        ("</a>; rel=x; title=\"please; nopush; thanks\"", &["/a|x"]),
        (r#"<x>; title="a DQUOTE \" and ;x,: "; rel=x; "#, &["x|x"]),
        ("</next>; rel=next; title=\"x, </evil>; rel=preload\"", &["/next|next"]),
        (
            r#"</next>; rel=next; title="a\", </evil>; rel=preload; y=""#,
            &["/next|next"],
        ),
        (r#"</next>; rel=next; title="\\", </b>; rel=x"#, &["/next|next", "/b|x"]),
    ];
    for (field, expected) in table {
        assert_eq!(read(field), *expected, "{field}");
    }
    assert!(!only("</a>; rel=x; title=\"please; nopush; thanks\"").nopush());
}

#[test]
fn bad_white_space_and_empty_parameters_are_tolerated() {
    for field in [
        "</a> ; rel = x",
        "</a>\t;\trel\t=\tx\t;",
        "</a>;;; rel=x;;",
        "</a>; =style; rel=x",
        "</a>;as=;rel=x",
        "</a>; rel= \"x\" ",
        "< /a\t>; wut=sup ; rel =x  \t  ;",
        "</a>; media=(min-width: 9em); rel=x",
        "</a>; no*te=x; note*; rel=x",
        "</a>; async; rel=x",
        "</a>; type=image/svg+xml; rel=x",
        "</a>; title='it; is'; rel=x",
    ] {
        assert_eq!(read(field), ["/a|x"], "{field}");
    }
}

#[test]
fn a_malformed_link_has_one_reason() {
    use MalformedReason::*;
    for (field, reason) in [
        ("gibberish", NoTarget),
        (";", NoTarget),
        ("x.css; rel=preload", NoTarget),
        ("\"</a>; rel=preload\"", NoTarget),
        ("<malformed", UnclosedTarget),
        ("<   /i/cat.jpg", UnclosedTarget),
        ("</a.css;rel=preload", UnclosedTarget),
        ("</a.css> rel=preload", NoSemicolon),
        ("</a.css>rel=preload", NoSemicolon),
        ("</a.css>\">", NoSemicolon),
        ("</a.css> wut=sup ; rel=preload", NoSemicolon),
        ("</a>; rel pel=preload", WhiteSpaceInName),
        ("</a>; nopush rel=preload", WhiteSpaceInName),
        ("</a>; rel=preload as=image type=image/svg+xml", WhiteSpaceInRelation),
        ("</a>; rel=preload\tas", WhiteSpaceInRelation),
        ("</a>; x\"=1; rel=preload", StrayQuote),
        ("</a>; x=1\"2\"; rel=preload", StrayQuote),
        ("</a>; rel=\"preload", UnclosedQuote),
        ("</a>; rel=preload; x=\"\\\"", UnclosedQuote),
        ("</a>; rel=preload; x=\"\\", UnclosedQuote),
        ("</a>; rel=\"preload\"x", TextAfterQuote),
        ("</a>; rel=\"preload\" as=style", TextAfterQuote),
    ] {
        let raw = field.as_bytes();
        let pieces: Vec<_> = parse(raw).collect();
        assert_eq!(pieces, [Err(Malformed { raw, reason })], "{field}");
    }
}

#[test]
fn one_bad_link_never_costs_the_others() {
    let table: &[(&str, &[&str])] = &[
        ("garbage, </a>; rel=x", &["NoTarget", "/a|x"]),
        ("</a>; rel=x, garbage ; , </b>; rel=x", &["/a|x", "NoTarget", "/b|x"]),
        ("</a> x, </b>; rel=x", &["NoSemicolon", "/b|x"]),
        ("</a; rel=x, </b>; rel=x", &["UnclosedTarget", "/b|x"]),
        ("</a; t=\", \", </b>; rel=x", &["UnclosedTarget", "/b|x"]),
        ("<<a>, </b>; rel=x", &["UnclosedTarget", "/b|x"]),
        ("</a>; rel=x y, </b>; rel=x", &["WhiteSpaceInRelation", "/b|x"]),
        ("</a>; rel=\"x\" \"y\", </b>; rel=x", &["TextAfterQuote", "/b|x"]),
        ("</a>; b\"=,\", </b>; rel=x", &["StrayQuote", "/b|x"]),
    ];
    for (field, expected) in table {
        assert_eq!(read(field), *expected, "{field}");
    }
}

#[test]
fn text_inside_quotation_marks_is_never_taken_for_a_link() {
    for field in [
        "garbage \"x, </evil>; rel=preload\"",
        "garbage \"x, </evil>; rel=preload",
        "</a> \"x, </evil>; rel=preload\"",
        "</a title=\"x, </evil>; rel=preload\"",
        "</a>; x=1\", </evil>; rel=preload; y=\"",
        "</a>; x=\"1\" \", </evil>; rel=preload; y=\"",
        "</a>; rel=a b=\"x, </evil>; rel=preload\"",
        "</a>; nopush b=\"x\\\", </evil>; rel=preload\"",
        "</a>; title=\"x, </evil>; rel=preload",
    ] {
        assert!(parse(field.as_bytes()).all(|piece| piece.is_err()), "{field}");
    }
}

#[test]
fn the_first_rel_is_a_list_of_relations() {
    for (field, expected) in [
        ("</a>; rel=preload", true),
        ("</a>; REL=Preload", true),
        ("</a>; rel=\"preload\"", true),
        ("</a>; rel=\"author\t preload   help\"", true),
        ("</a>; rel=\"preload \"", true),
        ("</a>; rel=\"pre\\load\"", true),
        ("</a>; rel=preload; rel=invalid", true),
        ("</a>; rel=stylesheet; rel=preload", false),
        ("</a>; rel; rel=preload", false),
        ("</a>; rel=; rel=preload", false),
        ("</a>; rel=preloadx", false),
        ("</a>; rel='preload'", false),
        ("</a>; rel*=preload", false),
        ("</a>; preload", false),
        ("</a>", false),
    ] {
        assert_eq!(only(field).has_relation("preload"), expected, "{field}");
    }
    assert!(!only("</a>; rel=\" \"").has_relation("preload"));
}

#[test]
fn parameters_are_read_by_name_and_the_first_counts() {
    let link = only("</a>; AS=\"im\\age\"; as=font; FetchPriority=high; anchor=\"#x\"; anchor=y; as*=z");
    assert_eq!(link.destination(), Some(b"image".as_slice()));
    assert_eq!(link.fetch_priority(), Some(b"high".as_slice()));
    assert_eq!(link.anchor(), Some(b"#x".as_slice()));

    let link = only("</a>; as=; as=font; fetchpriority; anchor");
    assert_eq!((link.destination(), link.fetch_priority()), (None, None));
    assert_eq!(link.anchor(), Some(b"".as_slice()));
    assert_eq!(only("</a>").anchor(), None);
}

#[test]
fn nopush_counts_in_any_form() {
    for (field, expected) in [
        ("</a>; nopush", true),
        ("</a>;NoPush;rel=preload", true),
        ("</a>; nopush=1", true),
        ("</a>; nopush=\"\"", true),
        ("</a>; nopush=false", true),
        ("</a>; nopush*=1", false),
        ("</a>; title=nopush", false),
    ] {
        assert_eq!(only(field).nopush(), expected, "{field}");
    }
}

#[test]
fn raw_is_the_link_without_its_separators() {
    let raws: Vec<_> = parse(b" , </a>; rel=x ;\t,</b> ,junk \t, </c>; t=\"a\\\"b\" ")
        .map(|piece| piece.map_or_else(|malformed| malformed.raw, |link| link.raw))
        .collect();
    assert_eq!(
        raws,
        [b"</a>; rel=x ;".as_slice(), b"</b>", b"junk", b"</c>; t=\"a\\\"b\""]
    );
}

#[test]
fn only_an_escape_costs_an_allocation() {
    let link = only("</a>; rel=\"preload\"; as=\"sty\\le\"");
    assert!(matches!(link.parameters.relations, Some(Cow::Borrowed(_))));
    assert!(matches!(link.parameters.destination, Some(Cow::Owned(_))));
}

/// Field values made of the characters that steer the parser.
fn tricky() -> impl Strategy<Value = Vec<u8>> {
    let byte = proptest::sample::select(b"<<>>\"\"\\,,;;== \trela/\x00\xff".as_slice());
    proptest::collection::vec(byte, 0..64)
}

/// Well-formed links with parameters that contain separators.
fn well_formed() -> impl Strategy<Value = String> {
    let parameter = prop_oneof![
        "[a-z*]{1,6}",
        "[a-z*]{1,6}[ \t]?=[ \t]?[!-+/-:<->@-~]{0,6}".prop_map(|p| p.replace('"', "'")),
        "[a-z*]{1,6}=\"([ !#-\\[\\]-~]|\\\\.){0,8}\"",
        "",
    ];
    let parameters = proptest::collection::vec(parameter, 0..5);
    ("[!-;=?-~ ]{0,12}", parameters).prop_map(|(target, parameters)| {
        let mut link = format!("<{target}>");
        for parameter in parameters {
            link.push_str("; ");
            link.push_str(&parameter);
        }
        link
    })
}

/// Returns whether `part` is a piece of the memory that `whole` occupies.
fn is_part(whole: &[u8], part: &[u8]) -> bool {
    let (outer, inner) = (whole.as_ptr_range(), part.as_ptr_range());
    outer.start <= inner.start && inner.end <= outer.end
}

/// Asserts that pieces come in order, lie in the field, and leave out nothing but separators.
fn covers(field: &[u8]) {
    let mut at = 0;
    for piece in parse(field) {
        let raw = match &piece {
            Ok(link) => {
                assert!(is_part(link.raw, link.target));
                assert_eq!(link.raw.first(), Some(&b'<'));
                link.raw
            }
            Err(malformed) => malformed.raw,
        };
        assert!(is_part(field, raw) && !raw.is_empty());
        let start = raw.as_ptr() as usize - field.as_ptr() as usize;
        let gap = field.get(at..start).expect("a piece begins behind the one before");
        assert!(gap.iter().all(|&b| b == b',' || is_white(b)));
        at = start + raw.len();
    }
    let rest = field.get(at..).expect("the last piece ends in the field");
    assert!(rest.iter().all(|&b| b == b',' || is_white(b)));
}

proptest! {
    #[test]
    fn any_bytes_parse(field in proptest::collection::vec(any::<u8>(), 0..128)) {
        covers(&field);
    }

    #[test]
    fn any_separators_parse(field in tricky()) {
        covers(&field);
    }

    #[test]
    fn a_link_parses_alone_as_it_does_in_its_field(field in tricky()) {
        for link in parse(&field).flatten() {
            let alone: Vec<_> = parse(link.raw).collect();
            prop_assert_eq!(alone, [Ok(link)]);
        }
    }

    #[test]
    fn joined_fields_give_the_links_of_each(fields in proptest::collection::vec(well_formed(), 0..6)) {
        let joined = fields.join(", ");
        let whole: Vec<_> = parse(joined.as_bytes()).collect();
        let each: Vec<_> = fields.iter().flat_map(|field| parse(field.as_bytes())).collect();
        prop_assert!(each.iter().all(|piece| piece.as_ref().is_ok_and(|link| link.raw.first() == Some(&b'<'))));
        prop_assert_eq!(each.len(), fields.len());
        prop_assert_eq!(whole, each);
    }

    #[test]
    fn a_quoted_value_is_returned_unescaped(text in "[ -~]{0,24}") {
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        let field = format!("</a>; anchor=\"{quoted}\", </b>");
        let first = parse(field.as_bytes()).next().expect("a link").expect("a well-formed link");
        prop_assert_eq!(first.anchor(), Some(text.as_bytes()));
        prop_assert_eq!(parse(field.as_bytes()).count(), 2);
    }
}
