//! The head of an HTTP/1.x request: what goes on is read by others as it was read here.

use httparse::{EMPTY_HEADER, Request, Status};

use super::{
    head::{BadHead, Framing, HeadLimits, Http1Head, line},
    head_end::{HeadEnd, skip_empty_lines},
    upgrade::UpgradeRequest,
};
use crate::fields::hop;

const LIMITS: HeadLimits = HeadLimits {
    bytes: 3000,
    fields: 40,
};
/// A Host that comes from the target makes a head longer.
const LARGER: HeadLimits = HeadLimits {
    bytes: 8000,
    fields: 50,
};

/// Fields that stay though Connection names them.
const STAY: [&str; 10] = [
    "connection",
    "keep-alive",
    "upgrade",
    "te",
    "trailer",
    "transfer-encoding",
    "content-length",
    "host",
    "http2-settings",
    "proxy-connection",
];

fn has_come(bytes: &[u8]) -> bool {
    HeadEnd::default().has_come(bytes)
}

/// Reads a head, and what goes on in its place.
pub fn head(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    skip_empty_lines(&mut bytes);
    assert!(!bytes.starts_with(b"\n") && !bytes.starts_with(b"\r\n"));
    let _ = line(&bytes);
    let is_complete = has_come(&bytes);
    for cut in 0..bytes.len().min(200) {
        let mut end = HeadEnd::default();
        let found = end.has_come(&bytes[..cut]) || end.has_come(&bytes);
        assert!(!found || is_complete, "a search that goes on");
    }
    let read = match Http1Head::read(&bytes, LIMITS) {
        Ok(read) => read,
        Err(bad) => {
            assert!((400..=501).contains(&bad.status()));
            if let BadHead::Bytes(_) = bad {
                assert!(
                    !is_complete || bytes.len() > LIMITS.bytes,
                    "an end that only one of both sees"
                );
            }
            return;
        }
    };
    let came = &bytes[..read.length];
    assert!(has_come(came) && !has_come(&came[..came.len() - 1]));
    let passed = read.rewritten.as_deref().unwrap_or(came);

    let (mut theirs, mut ours) = ([EMPTY_HEADER; 256], [EMPTY_HEADER; 256]);
    let (mut before, mut after) = (Request::new(&mut theirs), Request::new(&mut ours));
    assert_eq!(before.parse(came), Ok(Status::Complete(came.len())));
    assert_eq!(
        after.parse(passed),
        Ok(Status::Complete(passed.len())),
        "another reader takes it"
    );
    assert_eq!((before.method, before.version), (after.method, after.version));
    same_target(&before, &after);
    same_fields(&before, &after);
    body(&before, &after, read.body);
    if let Some(upgrade) = &read.upgrade {
        asks_for_http2(&after, upgrade);
    }

    let again = Http1Head::read(passed, LARGER).expect("what goes on is good");
    assert!(
        again.rewritten.is_none(),
        "one form: {:?}",
        passed.escape_ascii().to_string()
    );
    assert_eq!((again.length, again.body), (passed.len(), read.body));
}

fn values<'r>(request: &'r Request<'_, '_>, name: &str) -> Vec<&'r [u8]> {
    let named = request
        .headers
        .iter()
        .filter(|field| field.name.eq_ignore_ascii_case(name));
    named.map(|field| field.value).collect()
}

fn elements<'r>(request: &'r Request<'_, '_>, name: &str) -> Vec<&'r [u8]> {
    let lines = values(request, name).into_iter();
    lines
        .flat_map(|line| line.split(|&b| b == b','))
        .map(<[u8]>::trim_ascii)
        .collect()
}

/// The target is in origin-form, and asks for what it asked for before.
fn same_target(before: &Request<'_, '_>, after: &Request<'_, '_>) {
    let (asked, passed) = (before.path.expect("a target"), after.path.expect("a target"));
    let hosts = values(before, "host");
    let is_absolute = before.method != Some("CONNECT") && !asked.starts_with('/') && asked != "*";
    let mut authority = hosts.first().copied();
    let mut path = asked.to_owned();
    if is_absolute {
        let (_, rest) = asked.split_once("://").expect("absolute-form");
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        authority = Some(rest[..at].as_bytes());
        path = match (&rest[at..], before.method) {
            ("", Some("OPTIONS")) => "*".to_owned(),
            (path, _) if path.starts_with('/') => path.to_owned(),
            (query, _) => format!("/{query}"),
        };
    }
    let plain = |host: &[u8]| host.strip_suffix(b":").unwrap_or(host).to_vec();
    assert_eq!(passed, path);
    let is_same = |host: &[u8]| authority.is_some_and(|authority| plain(host).eq_ignore_ascii_case(&plain(authority)));
    assert!(hosts.len() <= 1 && hosts.iter().all(|host| is_same(host)));
    let told = values(after, "host");
    assert_eq!(told.first().map(|host| host.to_vec()), authority.map(plain));
    assert!(told.len() <= 1 && (told.len() == 1 || after.version == Some(0)));
}

/// All fields go on in order, but for those that Connection names and those that are said once.
fn same_fields(before: &Request<'_, '_>, after: &Request<'_, '_>) {
    let named = elements(before, "connection");
    let is = |name: &str, list: &[&str]| list.iter().any(|one| name.eq_ignore_ascii_case(one));
    let goes_on = |name: &str| {
        let is_named = named.iter().any(|one| one.eq_ignore_ascii_case(name.as_bytes()));
        !is_named || is(name, &STAY)
    };
    let once = ["host", "content-length", "upgrade"];
    let fields = |request: &Request<'_, '_>| -> Vec<(String, Vec<u8>)> {
        let rest = request
            .headers
            .iter()
            .filter(|field| goes_on(field.name) && !is(field.name, &once));
        rest.map(|field| (field.name.to_owned(), field.value.to_vec()))
            .collect()
    };
    assert_eq!(fields(before), fields(after));
    assert!(
        after.headers.iter().all(|field| goes_on(field.name)),
        "what Connection names is gone"
    );
}

/// What follows is said once, and is what was read.
fn body(before: &Request<'_, '_>, after: &Request<'_, '_>, body: Framing) {
    let lengths = values(after, "content-length");
    assert!(lengths.len() <= 1);
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<u64>().ok();
    let length = lengths.first().map(|length| number(length).expect("a length"));
    let came = elements(before, "content-length");
    assert!(came.iter().all(|element| number(element) == length) && came.is_empty() == length.is_none());
    let codings = values(after, "transfer-encoding");
    let asks = |name: &str, value: &[u8]| elements(after, name).iter().any(|one| one.eq_ignore_ascii_case(value));
    let upgrades = !values(after, "upgrade").is_empty();
    match body {
        Framing::Chunked => {
            assert!(length.is_none() && after.version == Some(1) && codings.len() == 1);
            assert!(codings[0].trim_ascii().eq_ignore_ascii_case(b"chunked"));
        }
        Framing::Length(said) => assert!(codings.is_empty() && length.unwrap_or(0) == said && !upgrades),
        Framing::Switching(said) => {
            assert!(codings.is_empty() && length.unwrap_or(0) == said && after.version == Some(1));
            assert!(asks("upgrade", b"websocket") && asks("connection", b"upgrade"));
        }
    }
}

/// The request of stream 1 is that of the head.
fn asks_for_http2(after: &Request<'_, '_>, upgrade: &UpgradeRequest) {
    let head = &upgrade.head;
    assert_eq!(Some(head.method.as_str()), after.method);
    assert_eq!(head.uri.scheme_str(), Some("http"));
    assert_eq!(head.uri.path_and_query().map(|path| path.as_str()), after.path);
    assert_eq!(
        head.uri.authority().map(|host| host.as_str().as_bytes()),
        values(after, "host").first().copied()
    );
    assert!(
        !head
            .headers
            .keys()
            .any(|name| hop::is_hop_by_hop(name) || name == "host" || name == "http2-settings")
    );
    for (name, value) in &head.headers {
        assert!(values(after, name.as_str()).contains(&value.as_bytes()));
    }
}
