//! `Upgrade: h2c`: a request of HTTP/1.1 that becomes stream 1 of an HTTP/2 connection, or does not.

use std::{io::Write, net::SocketAddr};

use crate::{
    clients::{HTML, complete, heads, nghttp_as_browser, run, shop, table, url},
    support::{
        edge::{Edge, PAGES, config},
        http1::{Http1, field},
        origin::{Origin, Step, early_hints, response},
        raw::{
            ACK, DATA, ENABLE_PUSH, END_STREAM, HEADERS, INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, PREFACE,
            PUSH_PROMISE, RST_STREAM, Raw, SETTINGS, get,
        },
    },
};

const LINKS: &str = "</a.css>; rel=preload, </b.css>; rel=preload, </c.css>; rel=preload";
const PROTOCOL_ERROR: u32 = 1;

/// The fields that ask for an upgrade, with these settings.
fn asking(settings: &[(u16, u32)]) -> String {
    let payload: Vec<u8> = settings
        .iter()
        .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    format!(
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: {}\r\n",
        data_encoding::BASE64URL_NOPAD.encode(&payload)
    )
}

fn request(address: SocketAddr, path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{fields}\r\n")
}

/// Reads the 101, and begins to speak HTTP/2.
async fn switch(mut http1: Http1, address: SocketAddr, settings: &[(u16, u32)]) -> Raw {
    let head = http1.head().await;
    assert_eq!(
        head,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    );
    let mut raw = http1.into_raw(address);
    raw.send_bytes(PREFACE).await;
    raw.settings(settings).await;
    raw
}

async fn upgraded(address: SocketAddr, path: &str, settings: &[(u16, u32)]) -> Raw {
    let http1 = Http1::sending(address, request(address, path, &asking(settings))).await;
    switch(http1, address, settings).await
}

/// The body of a stream, from its HEADERS on.
async fn body(raw: &mut Raw, stream: u32) -> Vec<u8> {
    let head = raw
        .next_that("the header", |f| f.stream == stream && f.kind == HEADERS)
        .await;
    assert_eq!(head.status(), Some(200));
    let mut body = Vec::new();
    loop {
        let frame = raw
            .next_that("the body", |f| f.stream == stream && f.kind == DATA)
            .await;
        body.extend_from_slice(&frame.payload);
        if frame.flags & END_STREAM != 0 {
            return body;
        }
    }
}

#[tokio::test]
async fn curl_is_upgraded() {
    let origin = shop().await;
    let edge = Edge::start(origin.address).await;
    let output = run("curl", &["-sv", "--http2", "-w", "|%{http_version}", &url(&edge, "/")]).await;
    assert!(
        output.stderr.contains("< HTTP/1.1 101 Switching Protocols"),
        "{output:?}"
    );
    assert!(output.stderr.contains("< HTTP/2 200"), "{output:?}");
    assert_eq!(output.stdout, format!("{HTML}|2"), "{output:?}");
    assert!(output.status.success(), "{output:?}");
    edge.log_line(&["/ 200", "proto=h2"]).await;
}

#[tokio::test]
async fn curl_uploads_without_an_upgrade_or_after_one() {
    let origin = Origin::start().await;
    origin.serve_ok("/up", &[], b"taken");
    let edge = Edge::start(origin.address).await;
    let output = run("curl", &["-sv", "--http2", "-d", "a body", &url(&edge, "/up")]).await;
    assert_eq!(output.stdout, "taken", "{output:?}");
    assert_eq!(origin.request("/up").await.body, b"a body");
}

#[tokio::test]
async fn nghttp_is_upgraded_and_gets_its_pushes() {
    let origin = shop().await;
    let edge = Edge::start(origin.address).await;
    let output = run("nghttp", &["-u", "-ans", &url(&edge, "/")]).await;
    assert_eq!(table(&output.stdout), complete(true), "{output:?}");
}

#[tokio::test]
async fn nghttp_is_upgraded_without_push_and_gets_its_103() {
    let origin = Origin::start().await;
    let css = "</a.css>; rel=preload; as=style";
    origin.on(
        "/",
        [
            Step::Send(early_hints(&[css])),
            Step::Send(response("200 OK", &[("link", css)], b"page")),
        ],
    );
    let edge = Edge::start(origin.address).await;
    let url = url(&edge, "/");
    let arguments = [&["-u"], &nghttp_as_browser(&url)[..]].concat();
    let output = run("nghttp", &arguments).await;
    assert!(output.stdout.contains("HTTP Upgrade success"), "{output:?}");
    assert!(!output.stdout.contains("PUSH_PROMISE"), "{output:?}");
    let heads = heads(&output.stdout);
    let [early, page] = &heads[..] else {
        panic!("not two responses: {output:?}");
    };
    assert_eq!(early.fields, [":status: 103".to_owned(), format!("link: {css}")]);
    assert_eq!(page.fields.first().map(String::as_str), Some(":status: 200"));
    assert_eq!(origin.count("/a.css"), 0, "nothing is pushed");
}

#[tokio::test]
async fn nghttp_asks_for_the_server_itself_before_it_uploads() {
    let origin = Origin::start().await;
    origin.serve_ok("/up", &[], b"taken");
    let edge = Edge::start(origin.address).await;
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(b"a body").expect("written");
    let path = file.path().to_str().expect("ASCII");
    let output = run("nghttp", &["-u", "-d", path, "-v", &url(&edge, "/up")]).await;
    let heads = heads(&output.stdout);
    let statuses: Vec<_> = heads.iter().filter_map(|head| head.fields.first()).collect();
    assert_eq!(statuses, [":status: 204", ":status: 200"], "{output:?}");
    assert_eq!(origin.request("/up").await.body, b"a body");
    assert_eq!(origin.seen().len(), 1, "OPTIONS * is not the origin's");
}

#[tokio::test]
async fn what_cannot_be_upgraded_is_answered_as_http1() {
    let origin = Origin::start().await;
    origin.default_ok(b"page");
    let edge = Edge::start(origin.address).await;
    let whole = asking(&[(ENABLE_PUSH, 1)]);
    let host = format!("Host: {}\r\n", edge.address);
    let table = [
        (
            "a body",
            format!("POST /1 HTTP/1.1\r\n{host}{whole}Content-Length: 4\r\n\r\nbody"),
        ),
        (
            "a chunked body",
            format!("POST /2 HTTP/1.1\r\n{host}{whole}Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"),
        ),
        (
            "no settings",
            format!("GET /3 HTTP/1.1\r\n{host}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"),
        ),
        (
            "settings twice",
            format!("GET /4 HTTP/1.1\r\n{host}{whole}HTTP2-Settings: AAIAAAAB\r\n\r\n"),
        ),
        (
            "settings of no meaning",
            request(edge.address, "/5", &whole.replace("AAIAAAAB", "AAIAAAAC")),
        ),
        (
            "settings cut short",
            request(edge.address, "/6", &whole.replace("AAIAAAAB", "AAIA")),
        ),
        (
            "settings that are not base64url",
            request(edge.address, "/7", &whole.replace("AAIAAAAB", "A+I/AAAB")),
        ),
        (
            "HTTP/1.0",
            request(edge.address, "/8", &whole).replace("HTTP/1.1", "HTTP/1.0"),
        ),
        (
            "no Connection",
            request(
                edge.address,
                "/9",
                &whole.replace("Connection: Upgrade, HTTP2-Settings\r\n", ""),
            ),
        ),
        (
            "half a Connection",
            request(
                edge.address,
                "/10",
                &whole.replace("Upgrade, HTTP2-Settings", "Upgrade"),
            ),
        ),
        (
            "the token of TLS",
            request(edge.address, "/11", &whole.replace("h2c", "h2")),
        ),
        (
            "another protocol",
            request(edge.address, "/12", &whole.replace("h2c", "TLS/1.0")),
        ),
        (
            "a header larger than HTTP/2 may have",
            request(edge.address, "/13", &format!("{whole}{}", "x: y\r\n".repeat(90)))
                .replace("x: y", &format!("cookie: {}", "c".repeat(700))),
        ),
    ];
    for (n, (what, request)) in table.iter().enumerate() {
        let mut http1 = Http1::sending(edge.address, request).await;
        let (head, body) = http1.answer().await;
        assert!(
            head.starts_with("HTTP/1.1 200 ") || head.starts_with("HTTP/1.0 200 "),
            "{what}: {head}"
        );
        assert_eq!(body, b"page", "{what}");
        let seen = origin.request(&format!("/{}", n + 1)).await;
        for name in ["upgrade", "http2-settings", "connection"] {
            assert_eq!(seen.field(name), None, "{what}");
        }
    }
    assert!(
        !edge.log().iter().any(|line| line.contains("proto=h2")),
        "none was upgraded"
    );
}

#[tokio::test]
async fn behind_tls_there_is_no_upgrade() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[], b"page");
    let listener = "address: 127.0.0.1:0";
    for (scheme, status) in [("http", 101), ("https", 200)] {
        let config = config(origin.address, PAGES).replace(listener, &format!("{listener}\n    scheme: {scheme}"));
        let edge = Edge::with(&config).await;
        let mut http1 = Http1::sending(edge.address, request(edge.address, "/", &asking(&[]))).await;
        let head = http1.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{scheme}: {head}");
    }
}

#[tokio::test]
async fn neither_a_listener_without_upgrades_nor_a_proxy_s_connection_is_upgraded() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[], b"page");
    let listener = "address: 127.0.0.1:0";
    for (switch, fields, status) in [
        ("on", "", 101),
        ("off", "", 200),
        ("on", "Via: 1.1 waf\r\n", 200),
        ("on", "X-Forwarded-For: 192.0.2.1\r\n", 200),
    ] {
        let config = config(origin.address, PAGES).replace(listener, &format!("{listener}\n    h2c_upgrade: {switch}"));
        let edge = Edge::with(&config).await;
        let fields = asking(&[]) + fields;
        let mut http1 = Http1::sending(edge.address, request(edge.address, "/", &fields)).await;
        let head = http1.head().await;
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{switch} {fields}: {head}"
        );
    }
}

#[tokio::test]
async fn the_second_request_of_a_connection_can_be_upgraded() {
    let origin = Origin::start().await;
    origin.serve_ok("/1", &[], b"first").serve_ok("/2", &[], b"second");
    let edge = Edge::start(origin.address).await;
    let mut http1 = Http1::sending(edge.address, request(edge.address, "/1", "")).await;
    assert_eq!(http1.answer().await.1, b"first");
    http1.send(request(edge.address, "/2", &asking(&[]))).await;
    let mut raw = switch(http1, edge.address, &[]).await;
    assert_eq!(body(&mut raw, 1).await, b"second");
    raw.get(3, "/1").await;
    assert_eq!(body(&mut raw, 3).await, b"first");
}

#[tokio::test]
async fn an_upgrade_may_be_pipelined_and_its_preface_too() {
    let origin = Origin::start().await;
    origin.serve_ok("/1", &[], b"first").serve_ok("/2", &[], b"second");
    let edge = Edge::start(origin.address).await;
    let requests = request(edge.address, "/1", "") + &request(edge.address, "/2", &asking(&[]));
    let mut http1 = Http1::sending(edge.address, [requests.as_bytes(), PREFACE].concat()).await;
    assert_eq!(http1.answer().await.1, b"first");
    assert!(http1.head().await.starts_with("HTTP/1.1 101 "));
    let mut raw = http1.into_raw(edge.address);
    raw.settings(&[]).await;
    assert_eq!(body(&mut raw, 1).await, b"second");
}

#[tokio::test]
async fn a_second_upgrade_is_a_malformed_request() {
    let origin = Origin::start().await;
    origin.default_ok(b"page");
    let edge = Edge::start(origin.address).await;
    let mut raw = upgraded(edge.address, "/", &[]).await;
    assert_eq!(body(&mut raw, 1).await, b"page");
    let authority = raw.authority.clone();
    let mut fields = get(&authority, b"/again");
    fields.extend([
        (&b"connection"[..], &b"Upgrade, HTTP2-Settings"[..]),
        (b"upgrade", b"h2c"),
        (b"http2-settings", b""),
    ]);
    raw.request(3, &fields).await;
    let reset = raw.next_that("the reset", |f| f.kind == RST_STREAM).await;
    assert_eq!((reset.stream, reset.error_code()), (3, PROTOCOL_ERROR));
    raw.get(5, "/after").await;
    assert_eq!(body(&mut raw, 5).await, b"page");
    assert_eq!(origin.count("/again"), 0);
}

#[tokio::test]
async fn http2_settings_are_acknowledged_by_the_101_alone() {
    let origin = Origin::start().await;
    origin.default_ok(b"page");
    let edge = Edge::start(origin.address).await;
    let mut raw = upgraded(edge.address, "/", &[(ENABLE_PUSH, 0)]).await;
    let frames = raw.settle().await;
    let settings: Vec<_> = frames.iter().filter(|f| f.kind == SETTINGS).map(|f| f.flags).collect();
    assert_eq!(settings, [0, ACK], "its own, and an answer to the client's");
    assert_eq!(frames.first().map(|f| f.kind), Some(SETTINGS), "the server's preface");
}

#[tokio::test]
async fn http2_settings_are_honoured_before_any_other_frame() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[("link", LINKS)], &[b'p'; 100]);
    for asset in ["/a.css", "/b.css", "/c.css"] {
        origin.on(asset, [Step::Gate("never")]);
    }
    let edge = Edge::start(origin.address).await;
    for (settings, promises, bytes) in [
        (&[][..], 3, 100),
        (&[(ENABLE_PUSH, 1)], 3, 100),
        (&[(ENABLE_PUSH, 0)], 0, 100),
        (&[(MAX_CONCURRENT_STREAMS, 2)], 2, 100),
        (&[(ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, 10)], 0, 10),
    ] {
        let mut http1 = Http1::sending(edge.address, request(edge.address, "/", &asking(settings))).await;
        assert!(http1.head().await.starts_with("HTTP/1.1 101 "));
        let mut raw = http1.into_raw(edge.address);
        raw.send_bytes(PREFACE).await;
        let (mut promised, mut read) = (0, 0);
        while read < bytes {
            let frame = raw.next().await.expect("the connection lives");
            promised += usize::from(frame.kind == PUSH_PROMISE);
            read += if frame.kind == DATA { frame.payload.len() } else { 0 };
        }
        assert_eq!((promised, read), (promises, bytes), "{settings:?}");
        // What is still to come waits for the client's window.
        raw.settings(settings).await;
        let more: usize = raw
            .settle()
            .await
            .iter()
            .filter(|f| f.kind == DATA)
            .map(|f| f.payload.len())
            .sum();
        assert_eq!(more, 0, "{settings:?}");
        if bytes < 100 {
            raw.window(1, 1000).await;
            while read < 100 {
                let frame = raw.next_that("the rest", |f| f.kind == DATA).await;
                read += frame.payload.len();
            }
            assert_eq!(read, 100);
        }
    }
}

#[tokio::test]
async fn large_cookies_pass() {
    let origin = Origin::start().await;
    origin.default_ok(b"page");
    let edge = Edge::start(origin.address).await;
    let cookies: Vec<String> = (0..5).map(|n| format!("c{n}={}", "v".repeat(9000))).collect();
    let fields = format!("{}Cookie: {}\r\n", asking(&[]), cookies.join("; "));
    let http1 = Http1::sending(edge.address, request(edge.address, "/", &fields)).await;
    let mut raw = switch(http1, edge.address, &[]).await;
    assert_eq!(body(&mut raw, 1).await, b"page");
    let seen = origin.request("/").await;
    assert_eq!(seen.field("cookie"), Some(cookies.join("; ").as_str()));
    assert_eq!(seen.field("host"), Some(edge.address.to_string().as_str()));
    for name in ["upgrade", "http2-settings", "connection"] {
        assert_eq!(seen.field(name), None);
    }
}

#[tokio::test]
async fn stream_1_can_be_reset() {
    let origin = Origin::start().await;
    origin
        .on("/slow", [Step::Gate("never")])
        .serve_ok("/after", &[], b"after");
    let edge = Edge::start(origin.address).await;
    let mut raw = upgraded(edge.address, "/slow", &[]).await;
    origin.request("/slow").await;
    raw.send(RST_STREAM, 0, 1, &[0, 0, 0, 8]).await;
    origin.connections_at_most(0).await;
    raw.get(3, "/after").await;
    assert_eq!(body(&mut raw, 3).await, b"after");
}

#[tokio::test]
async fn a_preface_that_is_wrong_or_late_ends_its_connection_alone() {
    let origin = Origin::start().await;
    origin.default_ok(b"page").on(
        "/slow",
        [Step::Gate("slow"), Step::Send(response("200 OK", &[], b"slow"))],
    );
    let limits = format!("server: {{ limits: {{ handshake_timeout: 300ms }} }}\n{PAGES}");
    let edge = Edge::with(&config(origin.address, &limits)).await;
    let mut other = Raw::connect(edge.address, &[]).await;
    other.get(1, "/slow").await;
    for (what, sent, logged) in [
        ("nothing", &b""[..], "no preface after the upgrade"),
        ("half of it", &PREFACE[..12], "no preface after the upgrade"),
        (
            "another request",
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "other bytes after the upgrade",
        ),
        (
            "frames at once",
            &[0, 0, 0, 4, 0, 0, 0, 0, 0],
            "other bytes after the upgrade",
        ),
    ] {
        let mut http1 = Http1::sending(edge.address, request(edge.address, "/", &asking(&[]))).await;
        assert!(http1.head().await.starts_with("HTTP/1.1 101 "), "{what}");
        http1.send(sent).await;
        http1.rest().await;
        edge.log_line(&["HTTP/2 connection ended", logged]).await;
    }
    origin.open("slow");
    assert_eq!(body(&mut other, 1).await, b"slow");
}

#[tokio::test]
async fn an_upgrade_during_a_shutdown_is_answered_as_http1() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[], b"page").on(
        "/slow",
        [Step::Gate("slow"), Step::Send(response("200 OK", &[], b"slow"))],
    );
    let mut edge = Edge::start(origin.address).await;
    let whole = request(edge.address, "/", &asking(&[]));
    let (first, rest) = whole.split_at(20);
    let mut late = Http1::sending(edge.address, first).await;
    let mut busy = Http1::sending(edge.address, request(edge.address, "/slow", "")).await;
    origin.request("/slow").await;
    edge.signal("TERM");
    edge.log_line(&["waiting for connections to finish"]).await;
    late.send(rest).await;
    let (head, body) = late.answer().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(field(&head, "connection"), Some("close"));
    assert_eq!(body, b"page");
    origin.open("slow");
    assert_eq!(busy.answer().await.1, b"slow");
    assert!(edge.ended().await);
}
