//! The `Link` parser and the resolution of targets.

use url::{Position, Url};

use crate::{
    input::Input,
    link::{Document, Link, Malformed, MalformedReason, parse},
};

type Outcome<'a> = Result<Link<'a>, Malformed<'a>>;

/// Drives the parser by what the first byte says.
pub fn links(bytes: &[u8]) {
    let mut input = Input(bytes);
    match input.number() % 4 {
        0 => cover(input.rest()),
        1 => join(&mut input),
        2 => write_and_read(&mut input),
        _ => resolve(&mut input),
    }
}

/// What is yielded covers the field but for commas and white space, in order, and each piece says the same by itself.
fn cover(field: &[u8]) {
    let mut rest = field;
    for outcome in parse(field) {
        let raw = raw(&outcome);
        let at = raw.as_ptr() as usize - rest.as_ptr() as usize;
        assert_between(&rest[..at]);
        rest = &rest[at + raw.len()..];
        assert!(raw == raw.trim_ascii() || raw.iter().any(|b| b.is_ascii_control()));
        let alone: Vec<_> = parse(raw).collect();
        assert_eq!(alone, [outcome.clone()], "by itself");
        if let Ok(link) = outcome {
            assert_eq!(raw[0], b'<');
            let end = raw.iter().position(|&b| b == b'>').expect("a target is closed");
            let is_white = |b: &u8| matches!(b, b' ' | b'\t');
            assert!(link.target.iter().all(|&b| b != b'<' && b != b'>'));
            assert!(!link.target.first().is_some_and(is_white) && !link.target.last().is_some_and(is_white));
            let around = raw[1..end].len() - link.target.len();
            assert_eq!(raw[1..end].iter().filter(|b| is_white(b)).count().min(around), around);
            assert!(link.destination().is_none_or(|text| !text.is_empty()));
            assert!(link.fetch_priority().is_none_or(|text| !text.is_empty()));
        }
    }
    assert_between(rest);
}

fn raw<'a>(outcome: &Outcome<'a>) -> &'a [u8] {
    match outcome {
        Ok(link) => link.raw,
        Err(malformed) => malformed.raw,
    }
}

fn assert_between(bytes: &[u8]) {
    assert!(bytes.iter().all(|b| b", \t".contains(b)), "only commas are passed over");
}

/// Lines that are joined by a comma say what they say by themselves, if the first leaves nothing open.
fn join(input: &mut Input<'_>) {
    let (first, second) = (input.line(), input.rest());
    let joined = [first, b",", second].concat();
    let of_first: Vec<_> = parse(first).collect();
    let has_quote = first.contains(&b'"');
    let opens = first.iter().rposition(|&b| b == b'<');
    let is_closed = !has_quote && opens <= first.iter().rposition(|&b| b == b'>');
    if is_closed || of_first.iter().all(Result::is_ok) {
        let both: Vec<_> = of_first.into_iter().chain(parse(second)).collect();
        assert_eq!(parse(&joined).collect::<Vec<_>>(), both);
    }
}

#[derive(Default)]
struct Expected {
    target: Vec<u8>,
    relations: Option<Vec<u8>>,
    destination: Option<Vec<u8>>,
    anchor: Option<Vec<u8>>,
    priority: Option<Vec<u8>>,
    nopush: bool,
}

/// Links that are written by the grammar are read as they are meant.
fn write_and_read(input: &mut Input<'_>) {
    let mut field = Vec::new();
    let mut written = Vec::new();
    while let Some(what) = input.byte() {
        let space: &[u8] = [b"" as &[u8], b" ", b"\t", b" \t "][usize::from(what / 64)];
        if !written.is_empty() {
            field.extend([space, b",", space].concat());
        }
        let mut expected = Expected::default();
        let target = input.piece().iter().copied();
        let target: Vec<u8> = target.filter(|b| !b"<> \t".contains(b)).collect();
        field.extend([b"<", space, &target, space, b">"].concat());
        expected.target = target;
        for _ in 0..what % 8 {
            let name = input.pick(&[
                "rel",
                "REL",
                "as",
                "anchor",
                "fetchpriority",
                "nopush",
                "title",
                "NoPush",
            ]);
            field.extend([space, b";", space, name.as_bytes()].concat());
            let value = value(input, space, &mut field);
            let first = match name {
                "rel" | "REL" => &mut expected.relations,
                "as" => &mut expected.destination,
                "anchor" => &mut expected.anchor,
                "fetchpriority" => &mut expected.priority,
                "title" => continue,
                _ => {
                    expected.nopush = true;
                    continue;
                }
            };
            first.get_or_insert(value);
        }
        written.push(expected);
    }
    let read: Vec<_> = parse(&field).collect();
    assert_eq!(read.len(), written.len(), "{:?}", field.escape_ascii().to_string());
    for (read, expected) in read.into_iter().zip(written) {
        let link = read.expect("a link by the grammar");
        let filled = |text: Option<Vec<u8>>| text.filter(|text| !text.is_empty());
        assert_eq!(link.target, expected.target);
        assert_eq!(link.nopush(), expected.nopush);
        assert_eq!(link.anchor(), expected.anchor.as_deref());
        assert_eq!(link.destination(), filled(expected.destination).as_deref());
        assert_eq!(link.fetch_priority(), filled(expected.priority).as_deref());
        let relations = expected.relations.unwrap_or_default().to_ascii_lowercase();
        let has = relations.split(|b| b" \t".contains(b)).any(|word| word == b"preload");
        assert_eq!(link.has_relation("Preload"), has);
    }
}

/// Writes a parameter's value in one of the ways, and returns what it means.
fn value(input: &mut Input<'_>, space: &[u8], field: &mut Vec<u8>) -> Vec<u8> {
    let how = input.number();
    let value: Vec<u8> = match how % 4 {
        0 => return Vec::new(),
        1 => b"preload".to_vec(),
        2 => [input.piece(), b" PRELOAD"].concat(),
        _ => input.piece().to_vec(),
    };
    field.extend([space, b"=", space].concat());
    if how >= 128 {
        let is_token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/:@<>".contains(b);
        let value: Vec<u8> = value.into_iter().filter(is_token).collect();
        field.extend_from_slice(&value);
        return value;
    }
    field.push(b'"');
    for &byte in &value {
        if how >= 64 || b"\"\\".contains(&byte) {
            field.push(b'\\');
        }
        field.push(byte);
    }
    field.push(b'"');
    value
}

/// A target resolves to what the URL standard's own parser says, or to nothing.
fn resolve(input: &mut Input<'_>) {
    let scheme = input.pick(&["http", "https", "HTTPS"]);
    let authority = input.pick(&["a.example", "A.example:443", "a.example:80", "[::1]:8080", "192.0.2.1"]);
    let Some(path) = input.text() else { return };
    let target = input.rest();
    let Ok(document) = Document::new(scheme, authority, path) else {
        return;
    };
    assert_eq!(document.authority(), authority);
    let base = Url::parse(&format!("{scheme}://{authority}{path}")).expect("the URL of a document");
    assert!(base.fragment().is_none() && base.username().is_empty());
    let Ok(resolved) = document.resolve(target) else { return };
    let text = std::str::from_utf8(target).expect("ASCII only");
    let mut url = base.join(text).expect("a URL");
    url.set_fragment(None);
    assert_eq!(resolved.url(), url.as_str());
    assert_eq!(
        (resolved.scheme(), resolved.host()),
        (url.scheme(), url.host_str().expect("a host"))
    );
    assert_eq!(resolved.authority(), &url[Position::BeforeHost..Position::BeforePath]);
    assert_eq!(resolved.path_and_query(), &url[Position::BeforePath..]);
    assert_eq!(Some(resolved.port()), url.port_or_known_default());
    assert!(url.username().is_empty() && url.password().is_none());
    assert!(resolved.path_and_query().starts_with('/'));
    assert!(
        resolved
            .url()
            .bytes()
            .all(|b| b.is_ascii_graphic() && !b"#\\\"<>".contains(&b))
    );
    assert_eq!(document.is_same_origin(&resolved), url.origin() == base.origin());
    assert_eq!(document.is_itself(&resolved), url == base);
    let again = Document::new(resolved.scheme(), resolved.authority(), resolved.path_and_query());
    assert_eq!(again.expect("a URL that may be asked for").own(), &resolved);
    if resolved.url().len() <= crate::link::MAX_TARGET {
        assert_eq!(document.resolve(resolved.url().as_bytes()), Ok(resolved));
    }
}
