//! One request, one meaning: what a client writes is what the origin gets, or it is refused.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::support::{
    client::Client,
    edge::{Edge, config},
    handmade::Handmade,
    http1::Http1,
    origin::{Origin, Step, response},
    raw::{DATA, HEADERS, Raw},
    within,
};

const ALL: &str = "routes: [{ name: all, upstream: app, push: auto, cache: all }]\n";

/// Sends bytes on a connection of its own; returns the status of the first answer, 0 if there is none.
async fn status(edge: &Edge, bytes: &[u8]) -> u16 {
    let mut client = Http1::connect(edge.address).await;
    // A refused client may find the connection closed before all is sent.
    let _ = client.stream.write_all(bytes).await;
    let answer = client.rest().await;
    let text = String::from_utf8_lossy(&answer);
    let mut words = text.split(' ');
    match (words.next(), words.next()) {
        (Some("HTTP/1.1"), Some(status)) => status.parse().unwrap_or_default(),
        _ => 0,
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_told_in_the_log() {
    let origin = Origin::start().await;
    origin.default_ok(b"page");
    let edge = Edge::with(&config(origin.address, ALL)).await;
    let table: &[(&str, u16)] = &[
        ("GET evil.js HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET @evil/x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET  /two-spaces HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET admin HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a/ 200 route=admin client=1.2.3.4\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: :80\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: []\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", 400),
        ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            501,
        ),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
    ];
    for (bytes, expected) in table {
        assert_eq!(status(&edge, bytes.as_bytes()).await, *expected, "{bytes:?}");
    }
    assert_eq!(origin.seen(), [], "nothing of it reached the origin");
    edge.log_line(&["GET -://-evil.js 400", "route=-", "failure=\"a target that is neither"])
        .await;
    assert_eq!(edge.count_lines("route=admin"), 0);
    edge.lines(" 501 route=- ", 1).await;
    assert_eq!(
        status(&edge, b"GET /fine HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await,
        200
    );
}

#[tokio::test]
async fn refused_requests_of_http2_are_told_in_the_log() {
    let origin = Origin::start().await;
    let edge = Edge::with(&config(origin.address, ALL)).await;
    let authority = edge.address.to_string();
    let mut raw = Raw::connect(edge.address, &[]).await;
    let with = |path: &'static [u8]| -> Vec<(&[u8], &[u8])> {
        vec![
            (b":method", b"GET"),
            (b":scheme", b"http"),
            (b":authority", authority.as_bytes()),
            (b":path", path),
        ]
    };
    raw.request(1, &with(b"evil.js")).await;
    let answer = raw.next_that("an answer", |frame| frame.kind == HEADERS).await;
    assert_eq!(answer.status(), Some(400));
    edge.log_line(&["400 route=- proto=h2", "failure=\"a target that is neither"])
        .await;
    raw.request(3, &[with(b"/"), vec![(b"connection", b"close")]].concat())
        .await;
    edge.log_line(&["- route=- proto=h2", "failure=\"malformed request\""])
        .await;
    assert_eq!(origin.seen(), []);
}

#[tokio::test]
async fn the_origin_gets_the_target_that_was_matched_and_stored() {
    let origin = Origin::start().await;
    origin.serve_ok("/abs?q", &[("Cache-Control", "max-age=60")], b"page");
    let edge = Edge::with(&config(origin.address, ALL)).await;
    let get = "GET http://shop.example/abs?q HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
    assert_eq!(status(&edge, get.as_bytes()).await, 200);
    let seen = origin.request("/abs?q").await;
    assert!(seen.line.starts_with("GET /abs?q HTTP/1.1"), "{}", seen.line);
    assert_eq!(seen.field("host"), Some("shop.example"));
    let mut other = Http1::sending(edge.address, "GET /abs?q HTTP/1.1\r\nHost: shop.example\r\n\r\n").await;
    let (_, body) = other.answer().await;
    assert_eq!(body, b"page");
    edge.log_line(&["GET http://shop.example/abs?q 200", "cache=hit"]).await;
    assert_eq!(origin.count("/abs?q"), 1, "the same resource");
}

#[tokio::test]
async fn a_request_behind_chunks_or_an_upgrade_that_is_not_followed_is_answered() {
    let origin = Origin::start().await;
    origin.default_ok(b"ok");
    let edge = Edge::with(&config(origin.address, ALL)).await;
    let first = [
        "POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
        "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        "GET /1 HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET /1 HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n",
        "GET /1 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
    ];
    for first in first {
        let both = format!("{first}GET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let mut client = Http1::sending(edge.address, both).await;
        for n in 1..=2 {
            let (head, body) = client.answer().await;
            assert!(head.starts_with("HTTP/1.1 200"), "{n} of {first}: {head}");
            assert_eq!(body, b"ok", "{n} of {first}");
        }
    }
    let bodies = origin.seen().into_iter().filter(|seen| seen.line.starts_with("POST"));
    for seen in bodies {
        let body = String::from_utf8_lossy(&seen.body).into_owned();
        assert!(["hello", "5\r\nhello\r\n0\r\n\r\n"].contains(&&*body), "{body:?}");
    }
}

#[tokio::test]
async fn chunks_that_are_none_are_refused() {
    let origin = Origin::start().await;
    origin.default_ok(b"ok");
    let edge = Edge::with(&config(origin.address, ALL)).await;
    for chunks in [
        "\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5;\nAAAAA\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nno colon\r\n\r\n",
        "5\r\nhello\r\n0\r\na b: c\r\n\r\n",
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        assert_eq!(status(&edge, request.as_bytes()).await, 400, "{chunks:?}");
    }
}

#[tokio::test]
async fn a_client_that_ends_its_half_is_answered() {
    let origin = Origin::start().await;
    origin.on(
        "/slow",
        [Step::Gate("answer"), Step::Send(response("200 OK", &[], b"page"))],
    );
    let edge = Edge::with(&config(origin.address, ALL)).await;
    let mut client = Http1::sending(edge.address, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.stream.shutdown().await.expect("the half is ended");
    origin.request("/slow").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    origin.open("answer");
    let (head, body) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(body, b"page");
}

#[tokio::test]
async fn content_without_a_length_has_one_last_chunk() {
    let origin = Handmade::start().await;
    let edge = Edge::with(&config(origin.address, ALL)).await;
    let authority = edge.address.to_string();
    let table: [(&[&[u8]], &[u8]); 4] = [
        (&[b"hello", b""], b"5\r\nhello\r\n0\r\n\r\n"),
        (&[b""], b"0\r\n\r\n"),
        (&[b"", b"hello", b"", b""], b"5\r\nhello\r\n0\r\n\r\n"),
        (&[b"hello"], b"5\r\nhello\r\n0\r\n\r\n"),
    ];
    for (content, chunks) in table {
        let mut raw = Raw::connect(edge.address, &[]).await;
        let head = [
            (&b":method"[..], &b"POST"[..]),
            (b":scheme", b"http"),
            (b":authority", authority.as_bytes()),
            (b":path", b"/up"),
        ];
        raw.send(HEADERS, 4, 1, &crate::support::raw::block(&head)).await;
        for (at, piece) in content.iter().enumerate() {
            let is_last = at + 1 == content.len();
            raw.send(DATA, u8::from(is_last), 1, piece).await;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        let (mut connection, head) = origin.request().await;
        // Content that ends before the request goes on is none.
        let chunks = if head.contains("Transfer-Encoding") {
            chunks
        } else {
            b""
        };
        assert_eq!(connection.exactly(chunks.len()).await, chunks);
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        raw.next_that("the answer", |frame| frame.kind == DATA).await;
        // Whatever came behind the last chunk would be a request of somebody else.
        connection.stream.shutdown().await.expect("shut");
        let rest = within("the end", connection.rest()).await;
        assert_eq!(rest, b"", "{content:?}");
    }
}

#[tokio::test]
async fn a_response_that_ends_in_two_places_is_refused() {
    let origin = Origin::start().await;
    let edge = Edge::with(&config(origin.address, ALL)).await;
    let table: &[(&str, u16)] = &[
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
            200,
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", 200),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
            502,
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nok", 502),
        ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nok", 502),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            502,
        ),
        (
            "\r\nHTTP/1.1 200 OK\r\nContent-Length : 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            502,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding:\r\n chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            502,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            502,
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nok", 502),
        (
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
            502,
        ),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 204),
        ("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", 204),
        ("HTTP/1.1 205 Reset Content\r\nContent-Length: 2\r\n\r\nok", 205),
        (
            "HTTP/1.1 205 Reset Content\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            205,
        ),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200),
        ("HTTP/1.0 200 OK\r\n\r\nok", 200),
    ];
    for (at, (answer, expected)) in table.iter().enumerate() {
        for h2 in [false, true] {
            let path = format!("/{at}-{h2}");
            origin.on(&path, [Step::Send(answer.as_bytes().to_vec()), Step::Close]);
            let (status, fields, body) = if h2 {
                let page = Client::connect(edge.address).await.get(&path).await;
                let fields = page.answer.headers.iter();
                let fields = fields.map(|(name, value)| format!("{name}: {}", value.to_str().expect("text")));
                (
                    page.answer.status.as_u16(),
                    fields.collect::<Vec<_>>(),
                    page.answer.body,
                )
            } else {
                let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
                let mut client = Http1::sending(edge.address, request).await;
                let head = client.head().await;
                assert!(head.starts_with("HTTP/1.1 "), "{answer:?}: {head}");
                let fields = head.lines().skip(1).map(str::to_lowercase).collect();
                let rest = client.rest().await;
                (head[9..12].parse().expect("a status"), fields, rest)
            };
            assert_eq!(status, *expected, "{answer:?}, {h2}");
            let named = |name: &str| fields.iter().filter(|field| field.starts_with(name)).count();
            assert!(named("content-length:") <= 1, "{answer:?}: {fields:?}");
            assert_eq!(named("server:"), 0, "{answer:?}: {fields:?}");
            match status {
                204 => assert_eq!(
                    named("content-length:") + named("transfer-encoding:") + body.len(),
                    0,
                    "{fields:?}"
                ),
                205 => assert_eq!(body, b"", "{answer:?}"),
                200 => assert!(String::from_utf8_lossy(&body).contains("ok"), "{answer:?}"),
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn chunks_of_an_old_origin_end_its_connection() {
    for (version, made) in [("1.0", 2), ("1.1", 1)] {
        let origin = Origin::start().await;
        let head = format!("HTTP/{version} 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n");
        let whole = [head.as_bytes(), b"2\r\nok\r\n0\r\n\r\n"].concat();
        origin.on("/", [Step::Send(whole)]);
        let edge = Edge::with(&config(origin.address, ALL)).await;
        for _ in 0..2 {
            let page = Client::connect(edge.address).await.get("/").await;
            assert_eq!(page.answer.body, b"ok", "{version}");
        }
        assert_eq!(origin.connections_made(), made, "{version}");
    }
}

#[tokio::test]
async fn the_other_services_of_an_origin_are_its_own() {
    let origin = Origin::start().await;
    let service = [("Alt-Svc", "h2=\":8443\"")];
    origin
        .serve_ok("/page", &service, b"page")
        .serve_ok("/told", &service, b"page");
    let routes = "routes:\n  - { name: told, match: { path: '^/told' }, upstream: app, alt_svc: on }\n\
                  \x20 - { name: all, upstream: app }\n";
    let edge = Edge::with(&config(origin.address, routes)).await;
    for (path, is_told) in [("/page", false), ("/told", true)] {
        let page = Client::connect(edge.address).await.get(path).await;
        assert_eq!(page.answer.headers.contains_key("alt-svc"), is_told, "{path}");
    }
}
