//! Hostile input: raw frames, floods, and what an origin should never send.

use crate::support::{
    client::Client,
    edge::{Edge, PAGES, config},
    origin::{Origin, Step, response},
    raw::{CONTINUATION, DATA, END_STREAM, Frame, GOAWAY, HEADERS, PUSH_PROMISE, RST_STREAM, Raw, block, get},
};

const PROTOCOL_ERROR: u32 = 1;

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Status(Option<u16>),
    Reset(u32),
    Goaway(u32),
}

fn outcome(frame: &Frame) -> Outcome {
    match frame.kind {
        RST_STREAM => Outcome::Reset(frame.error_code()),
        GOAWAY => Outcome::Goaway(frame.error_code()),
        _ => Outcome::Status(frame.status()),
    }
}

async fn sent(edge: &Edge, fields: &[(&[u8], &[u8])]) -> Outcome {
    let mut raw = Raw::connect(edge.address, &[]).await;
    raw.request(1, fields).await;
    let frame = raw
        .next_that("an outcome", |f| {
            f.stream == 1 && matches!(f.kind, HEADERS | RST_STREAM) || f.kind == GOAWAY
        })
        .await;
    outcome(&frame)
}

#[tokio::test]
async fn each_acceptance_check_has_pingoras_outcome_and_nothing_reaches_the_origin() {
    let origin = Origin::start().await;
    origin.default_ok(b"served");
    let edge = Edge::start(origin.address).await;
    let authority = edge.address.to_string();
    let with = |extra: &[(&'static [u8], &'static [u8])]| {
        let mut fields = get(&authority, b"/");
        fields.extend_from_slice(extra);
        fields
    };
    let at = |path: &'static [u8]| get(&authority, path);
    let of = |authority: &'static str| get(authority, b"/");
    let without_authority: Vec<(&[u8], &[u8])> = vec![(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/")];
    let bad_request = || Outcome::Status(Some(400));
    let reset = || Outcome::Reset(PROTOCOL_ERROR);
    let cases: Vec<(&str, Vec<(&[u8], &[u8])>, Outcome)> = vec![
        ("space in :path", at(b"/a b"), reset()),
        ("CR LF in :path", at(b"/a\r\nx: y"), reset()),
        ("NUL in :path", at(b"/a\0"), reset()),
        (
            "second request line in :path",
            at(b"/ HTTP/1.1\r\nhost: b\r\n\r\nGET /b"),
            reset(),
        ),
        // The h2 crate refuses these itself, under Pingora's server as well.
        ("absolute-form in :path", at(b"http://other.example/"), reset()),
        ("ambiguous :path", at(b"http:/\\other.example/"), reset()),
        ("missing authority", without_authority.clone(), bad_request()),
        ("two hosts", with(&[(b"host", b"a"), (b"host", b"a")]), bad_request()),
        (
            "host differs from :authority",
            with(&[(b"host", b"other.example")]),
            bad_request(),
        ),
        ("userinfo in :authority", of("user@a.example"), bad_request()),
        (
            "userinfo in host",
            [without_authority, vec![(b"host", b"u@a")]].concat(),
            bad_request(),
        ),
        (
            "conflicting content-length",
            with(&[(b"content-length", b"0, 1")]),
            reset(),
        ),
        (
            "content-length that is no number",
            with(&[(b"content-length", b"-0")]),
            reset(),
        ),
        (
            "content-length twice",
            with(&[(b"content-length", b"0"), (b"content-length", b"1")]),
            reset(),
        ),
        (
            "CONNECT with two ports",
            vec![(b":method", b"CONNECT"), (b":authority", b"a:1:2")],
            reset(),
        ),
        ("connection field", with(&[(b"connection", b"close")]), reset()),
        (
            "transfer-encoding",
            with(&[(b"transfer-encoding", b"chunked")]),
            reset(),
        ),
        ("upper case in a name", with(&[(b"X-Upper", b"1")]), reset()),
        (
            "no :path",
            vec![(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a")],
            reset(),
        ),
        ("empty :path", at(b""), reset()),
        ("two :paths", with(&[(b":path", b"/x")]), reset()),
        ("unknown pseudo-header", with(&[(b":x", b"1")]), reset()),
        ("te other than trailers", with(&[(b"te", b"gzip")]), reset()),
    ];
    for (what, fields, expected) in cases {
        let outcome = sent(&edge, &fields).await;
        // The h2 crate answers some malformed requests with 400 or ends the connection with the same code.
        let as_strict = matches!(
            (&expected, &outcome),
            (Outcome::Reset(code), Outcome::Goaway(other)) if code == other
        ) || (matches!(expected, Outcome::Reset(_)) && outcome == Outcome::Status(Some(400)));
        assert!(
            outcome == expected || as_strict,
            "{what}: {outcome:?} instead of {expected:?}"
        );
    }
    assert_eq!(origin.seen(), [], "nothing of it reached the origin");
    assert_eq!(
        sent(&edge, &with(&[])).await,
        Outcome::Status(Some(200)),
        "an ordinary request is served"
    );
    let same = [with(&[]), vec![(b"host".as_slice(), authority.as_bytes())]].concat();
    assert_eq!(
        sent(&edge, &same).await,
        Outcome::Status(Some(200)),
        "a host that agrees is fine"
    );
}

#[tokio::test]
async fn connect_is_refused() {
    let origin = Origin::start().await;
    let edge = Edge::start(origin.address).await;
    let mut raw = Raw::connect(edge.address, &[]).await;
    raw.request(1, &[(b":method", b"CONNECT"), (b":authority", b"a.example:443")])
        .await;
    raw.next_that("an answer", |f| f.kind == HEADERS && f.stream == 1).await;
    assert_eq!(origin.seen(), []);
}

#[tokio::test]
async fn a_connection_of_malformed_requests_is_closed_and_others_are_not() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[], b"page");
    let edge = Edge::with(&config(
        origin.address,
        &format!("server: {{ limits: {{ max_malformed: 5 }} }}\n{PAGES}"),
    ))
    .await;
    let other = Client::connect(edge.address).await;
    // The h2 crate has a budget of its own, of 1024, for what it refuses itself.
    let without_authority: Vec<(&[u8], &[u8])> = vec![(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/")];
    let mut raw = Raw::connect(edge.address, &[]).await;
    for n in 0..6 {
        raw.request(2 * n + 1, &without_authority).await;
    }
    let frames = raw.rest().await;
    assert!(
        frames.iter().any(|f| f.kind == GOAWAY && f.error_code() == 11),
        "ENHANCE_YOUR_CALM: {frames:?}"
    );
    assert_eq!(other.get("/").await.answer.body, b"page");
}

#[tokio::test]
async fn a_header_list_above_the_limit_is_refused() {
    let origin = Origin::start().await;
    origin.default_ok(b"served");
    let rest = format!("server: {{ limits: {{ max_header_bytes: 2KiB }} }}\n{PAGES}");
    let edge = Edge::with(&config(origin.address, &rest)).await;
    let mut raw = Raw::connect(edge.address, &[]).await;
    let authority = raw.authority.clone();
    let mut fields = get(&authority, b"/");
    let value = [b'x'; 3000];
    fields.push((b"x-large", &value));
    raw.request(1, &fields).await;
    let frame = raw.next_that("an answer", |f| f.stream == 1 || f.kind == GOAWAY).await;
    assert_ne!(frame.status(), Some(200), "{frame:?}");
    assert_eq!(origin.seen(), []);
}

#[tokio::test]
async fn a_flood_of_continuation_frames_ends_the_connection() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[], b"page");
    let edge = Edge::start(origin.address).await;
    let before = edge.memory();
    let mut raw = Raw::connect(edge.address, &[]).await;
    let authority = raw.authority.clone();
    raw.send(HEADERS, END_STREAM, 1, &block(&get(&authority, b"/"))).await;
    let junk = block(&[(b"x-junk", &[b'x'; 16_000])]);
    for _ in 0..2000 {
        raw.send(CONTINUATION, 0, 1, &junk).await;
    }
    raw.rest().await;
    assert!(
        edge.memory() < before + (16 << 20),
        "{} MiB more",
        (edge.memory() - before) >> 20
    );
    assert_eq!(Client::connect(edge.address).await.get("/").await.answer.body, b"page");
}

#[tokio::test]
async fn streams_above_the_limit_are_refused() {
    let origin = Origin::start().await;
    origin.on("/", [Step::Gate("never")]);
    let edge = Edge::with(&config(
        origin.address,
        &format!("server: {{ limits: {{ max_streams: 4 }} }}\n{PAGES}"),
    ))
    .await;
    let mut raw = Raw::connect(edge.address, &[]).await;
    raw.settle().await;
    for n in 0..6 {
        raw.get(2 * n + 1, "/").await;
    }
    let refused = [9, 11];
    for stream in refused {
        let frame = raw.next_that("a refusal", |f| f.kind == RST_STREAM).await;
        assert_eq!((frame.stream, frame.error_code()), (stream, 7), "REFUSED_STREAM");
    }
}

#[tokio::test]
async fn malformed_link_headers_never_change_the_page() {
    let origin = Origin::start().await;
    let edge = Edge::start(origin.address).await;
    let long = format!("</a.css>; rel=preload; title=\"{}", "x".repeat(65_536));
    let values: Vec<Vec<u8>> = [
        "<",
        ">",
        "<>",
        "<>;",
        ";",
        ",",
        ",,,",
        "=",
        "\"",
        "\\",
        "<a",
        "a>",
        "<<>>",
        "< >; rel=preload",
        "<\t>; rel=preload",
        "</a b>; rel=preload",
        "</%zz>; rel=preload",
        "</%>; rel=preload",
        "</%00>; rel=preload",
        "<//>; rel=preload",
        "<///>; rel=preload",
        "<http://>; rel=preload",
        "<http://[>; rel=preload",
        "<http://[::1>; rel=preload",
        "<http://a:99999/>; rel=preload",
        "<http://u:p@h/>; rel=preload",
        "<data:x>; rel=preload",
        "<*>; rel=preload",
        "<\\x>; rel=preload",
        "</a>; rel=\"preload",
        "</a>; rel=\"\\",
        "</a>; rel=preload; as=\"\"",
        "</a>;;;rel=preload;;;",
        "</a>; rel=preload; anchor=\"",
        "<?>; rel=preload",
        "<#>; rel=preload",
        "<:>; rel=preload",
        "<..>; rel=preload",
        long.as_str(),
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .chain([
        b"</\xff>; rel=preload".to_vec(),
        b"</\xc3\xa9>; rel=preload".to_vec(),
        vec![0xff; 3000],
    ])
    .collect();
    for (n, value) in values.iter().enumerate() {
        let path = format!("/{n}");
        let head = [
            b"HTTP/1.1 200 OK\r\nlink: ".as_slice(),
            value,
            b"\r\ncontent-length: 4\r\n\r\npage",
        ]
        .concat();
        origin.on(&path, [Step::Send(head)]);
        let client = Client::connect(edge.address).await;
        let page = client.get(&path).await;
        let shown = String::from_utf8_lossy(&value[..value.len().min(60)]).into_owned();
        assert_eq!(
            (page.answer.status.as_u16(), page.answer.body.as_slice()),
            (200, b"page".as_slice()),
            "{shown}"
        );
        assert_eq!(page.answer.headers["link"].as_bytes(), value.trim_ascii(), "{shown}");
        let seen = origin.seen();
        let asked = seen
            .iter()
            .find(|seen| seen.line.split(' ').count() != 3 || !seen.path().starts_with('/'));
        assert_eq!(asked, None, "a request line that was not validated, after {shown}");
    }
}

#[tokio::test]
async fn ten_thousand_links_cost_no_more_than_a_cap() {
    let origin = Origin::start().await;
    origin.default_ok(b"x");
    // As many field lines as an origin's response may have, each with many links.
    let line: Vec<String> = (0..100).map(|n| format!("</{n}>; rel=preload")).collect();
    let line = line.join(", ");
    let fields: Vec<_> = (0..100).map(|_| ("link", line.as_str())).collect();
    origin.on("/", [Step::Send(response("200 OK", &fields, b"page"))]);
    let edge = Edge::start(origin.address).await;
    let page = Client::connect(edge.address).await.get("/").await;
    assert_eq!(page.answer.body, b"page");
    assert_eq!(page.promised().len(), 16, "the route's cap");
    edge.log_line(&["/ 200", "too_many_links:1"]).await;
}

#[tokio::test]
async fn a_flood_of_reset_promises_is_bounded_and_harms_nobody() {
    let origin = Origin::start().await;
    origin.serve_ok("/small", &[], b"small");
    let edge = Edge::start(origin.address).await;
    let other = Client::connect(edge.address).await;
    let mut raw = Raw::connect(edge.address, &[]).await;
    let mut promises = 0;
    for n in 0..300_u32 {
        let stream = 2 * n + 1;
        origin.serve_ok(
            &format!("/{n}"),
            &[("link", &format!("</asset-{n}>; rel=preload"))],
            b"page",
        );
        raw.get(stream, &format!("/{n}")).await;
        loop {
            let frame = raw.next().await.expect("the connection lives");
            if frame.kind == PUSH_PROMISE {
                promises += 1;
                raw.send(RST_STREAM, 0, frame.promised(), &[0, 0, 0, 8]).await;
            }
            if frame.stream == stream && frame.kind == DATA && frame.flags & END_STREAM != 0 {
                break;
            }
        }
    }
    assert!(
        (3..=4).contains(&promises),
        "{promises} promises before the client is believed"
    );
    assert_eq!(other.get("/small").await.answer.body, b"small");
}

#[tokio::test]
async fn an_h1_hop_by_hop_field_of_the_origin_does_not_cost_the_page() {
    let origin = Origin::start().await;
    let fields = [
        ("connection", "x-private"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("te", "gzip"),
        ("upgrade", "h2c"),
    ];
    origin.serve_ok("/", &fields, b"page");
    let edge = Edge::start(origin.address).await;
    let page = Client::connect(edge.address).await.get("/").await;
    assert_eq!(
        (page.answer.status.as_u16(), page.answer.body.as_slice()),
        (200, b"page".as_slice())
    );
    for (name, _) in fields {
        assert!(!page.answer.headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn streams_that_are_never_read_hold_a_bounded_part_of_their_bodies() {
    const STREAMS: usize = 100;
    const BODY: usize = 4 << 20;
    let origin = Origin::start().await;
    origin
        .serve_ok("/", &[("link", "</a>; rel=preload")], &vec![b'x'; BODY])
        .asset("/a", &vec![b'a'; BODY]);
    origin.serve_ok("/small", &[], b"small");
    let edge = Edge::start(origin.address).await;
    let client = Client::connect(edge.address).await;
    client.get("/").await;
    let before = edge.memory();
    let mut raw = Raw::connect(edge.address, &[]).await;
    for n in 0..STREAMS {
        raw.get(2 * n as u32 + 1, "/").await;
    }
    // Every stream has its header, so that its body is under way.
    for _ in 0..STREAMS {
        raw.next_that("a header", |f| f.kind == HEADERS).await;
    }
    assert_eq!(client.get("/small").await.answer.body, b"small", "others are served");
    // Pingora keeps a few chunks of 64 KiB between origin and client, the h2 crate one more.
    let grown = edge.memory().saturating_sub(before);
    assert!(
        grown < STREAMS * BODY / 4,
        "{} MiB for {STREAMS} unread streams of 4 MiB",
        grown >> 20
    );
}
