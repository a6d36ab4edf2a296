//! HTTP/1.x clients: the same proxy, without push.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    client::Client,
    edge::{Edge, PAGES, config},
    handmade::Handmade,
    http1::{Http1, field},
    origin::{Origin, Step, early_hints, response},
    within,
};

/// Sends one HTTP/1.1 request on a connection of its own, and returns all that comes back.
pub async fn exchange(address: SocketAddr, path: &str, fields: &[(&str, &str)]) -> String {
    let fields: String = fields
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    raw(
        address,
        &format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{fields}\r\n"),
    )
    .await
}

pub async fn raw(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("the edge listens");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    within("an HTTP/1 answer", stream.read_to_end(&mut answer))
        .await
        .expect("read");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_page_passes_as_it_is() {
    let origin = Origin::start().await;
    let link = "</a.css>; rel=preload; as=style";
    origin.on(
        "/",
        [
            Step::Send(early_hints(&[link])),
            Step::Send(response("200 OK", &[("Link", link)], b"page")),
        ],
    );
    let edge = Edge::start(origin.address).await;
    let answer = exchange(edge.address, "/", &[]).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "no 103: {answer}");
    assert!(answer.contains(&format!("Link: {link}\r\n")), "{answer}");
    assert!(answer.ends_with("\r\n\r\npage"), "{answer}");
    assert_eq!(origin.count("/a.css"), 0);
    edge.log_line(&["/ 200", "proto=http/1.1", "promises=0 hints=0"]).await;
}

#[tokio::test]
async fn a_short_request_of_http_1_0_is_answered_at_once() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[], b"old");
    let edge = Edge::start(origin.address).await;
    let answer = raw(edge.address, "GET / HTTP/1.0\r\n\r\n").await;
    assert!(answer.contains(" 200 ") && answer.ends_with("old"), "{answer}");
}

fn get(edge: &Edge, path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", edge.address)
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let origin = Origin::start().await;
    origin.serve_ok("/1", &[], b"first").serve_ok("/2", &[], b"second");
    let edge = Edge::start(origin.address).await;
    let mut http1 = Http1::connect(edge.address).await;
    for (path, body) in [("/1", "first"), ("/2", "second"), ("/1", "first")] {
        // Empty lines before a request are no request.
        http1.send(format!("\r\n\r\n{}", get(&edge, path, ""))).await;
        let (head, answered) = http1.answer().await;
        assert_eq!(field(&head, "connection"), Some("keep-alive"));
        assert_eq!(answered, body.as_bytes());
    }
}

#[tokio::test]
async fn http_1_0_is_kept_only_where_it_asks() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[], b"page");
    let edge = Edge::start(origin.address).await;
    let mut kept = Http1::connect(edge.address).await;
    for _ in 0..2 {
        kept.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
        let (head, body) = kept.answer().await;
        assert_eq!(field(&head, "connection"), Some("keep-alive"), "{head}");
        assert_eq!(body, b"page");
    }
    kept.send("GET / HTTP/1.0\r\n\r\n").await;
    let last = String::from_utf8_lossy(&kept.rest().await).into_owned();
    assert_eq!(field(&last, "connection"), Some("close"), "{last}");
    assert!(last.ends_with("\r\n\r\npage"), "{last}");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let origin = Origin::start().await;
    origin
        .on(
            "/1",
            [Step::Gate("first"), Step::Send(response("200 OK", &[], b"first"))],
        )
        .serve_ok("/2", &[], b"second")
        .serve_ok("/3", &[], b"third")
        .serve_ok("/4", &[], b"fourth");
    let edge = Edge::start(origin.address).await;
    let put = format!(
        "PUT /2 HTTP/1.1\r\nHost: {}\r\nContent-Length: 4\r\n\r\nbody",
        edge.address
    );
    let both = format!("{}{put}{}", get(&edge, "/1", ""), get(&edge, "/3", ""));
    let mut http1 = Http1::sending(edge.address, both).await;
    // Another while the first is being answered.
    origin.request("/1").await;
    http1.send(get(&edge, "/4", "Connection: close\r\n")).await;
    origin.open("first");
    for expected in ["first", "second", "third", "fourth"] {
        assert_eq!(String::from_utf8_lossy(&http1.answer().await.1), expected);
    }
    assert!(http1.rest().await.is_empty());
    assert_eq!(origin.request("/2").await.body, b"body");
    assert_eq!(origin.seen().len(), 4);
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_origin_connection() {
    let origin = Origin::start().await;
    origin.on("/", [Step::Gate("never")]);
    let edge = Edge::start(origin.address).await;
    let http1 = Http1::sending(edge.address, get(&edge, "/", "")).await;
    origin.request("/").await;
    drop(http1);
    origin.connections_at_most(0).await;
}

#[tokio::test]
async fn an_answer_without_a_length_ends_with_the_connection_of_an_http_1_0_client() {
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let until_close = b"HTTP/1.1 200 OK\r\n\r\nabcde";
    let origin = Origin::start().await;
    origin
        .on("/chunked", [Step::Send(chunked.to_vec())])
        .on("/close", [Step::Send(until_close.to_vec()), Step::Close]);
    let edge = Edge::start(origin.address).await;
    for path in ["/chunked", "/close"] {
        for fields in ["", "Connection: keep-alive\r\n"] {
            let old = raw(edge.address, &format!("GET {path} HTTP/1.0\r\n{fields}\r\n")).await;
            assert_eq!(field(&old, "transfer-encoding"), None, "{old}");
            assert_eq!(field(&old, "connection"), Some("close"), "{old}");
            assert!(old.ends_with("\r\n\r\nabcde"), "{old}");
        }
        let new = exchange(edge.address, path, &[]).await;
        assert_eq!(field(&new, "transfer-encoding"), Some("chunked"), "{new}");
        assert!(new.ends_with("\r\n0\r\n\r\n"), "{new}");
    }
}

#[tokio::test]
async fn fields_of_the_origins_connection_stay_there() {
    let origin = Origin::start().await;
    let fields = [
        ("Connection", "Upgrade, X-Hop, Keep-Alive"),
        ("Upgrade", "h2,h2c"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("X-Hop", "1"),
        ("X-Page", "1"),
    ];
    origin.serve_ok("/", &fields, b"page");
    let edge = Edge::start(origin.address).await;
    let mut http1 = Http1::sending(edge.address, get(&edge, "/", "")).await;
    let (head, _) = http1.answer().await;
    assert_eq!(field(&head, "connection"), Some("keep-alive"));
    assert_eq!(field(&head, "x-page"), Some("1"));
    let page = Client::connect(edge.address).await.get("/").await;
    for name in ["upgrade", "keep-alive", "proxy-connection", "x-hop"] {
        assert_eq!(field(&head, name), None, "{head}");
        assert!(!page.answer.headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn a_client_that_expects_100_continue_waits_for_the_origins() {
    let origin = Handmade::start().await;
    let edge = Edge::start(origin.address).await;
    for framing in ["Content-Length: 4", "Transfer-Encoding: chunked"] {
        let head = format!("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n{framing}\r\n\r\n");
        let mut client = Http1::sending(edge.address, head).await;
        let (mut taking, seen) = origin.request().await;
        assert_eq!(field(&seen, "expect"), Some("100-continue"));
        taking.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        assert!(client.head().await.starts_with("HTTP/1.1 100 "));
        let body = if framing.starts_with('C') {
            "body"
        } else {
            "4\r\nbody\r\n0\r\n\r\n"
        };
        client.send(body).await;
        assert_eq!(taking.exactly(body.len()).await, body.as_bytes());
        // Not to be kept: the next client's request comes on a connection of its own.
        taking
            .send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
            .await;
        let (head, body) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert_eq!(body, b"ok");
    }
}

#[tokio::test]
async fn an_origin_may_refuse_before_the_body_is_sent() {
    let origin = Handmade::start().await;
    let edge = Edge::start(origin.address).await;
    let head = "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n";
    let mut client = Http1::sending(edge.address, head).await;
    let (mut refusing, _) = origin.request().await;
    refusing
        .send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
        .await;
    let (head, body) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    assert_eq!(
        field(&head, "connection"),
        Some("close"),
        "the body may still come: {head}"
    );
    assert_eq!(body, b"big");
}

#[tokio::test]
async fn uploads_are_passed_on_while_they_arrive() {
    let origin = Handmade::start().await;
    let edge = Edge::start(origin.address).await;
    for chunked in [false, true] {
        let framing = if chunked {
            "Transfer-Encoding: chunked"
        } else {
            "Content-Length: 300000"
        };
        let mut client = Http1::sending(edge.address, format!("PUT / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n")).await;
        let (mut taking, seen) = origin.request().await;
        assert!(
            seen.to_ascii_lowercase().contains(&framing.to_ascii_lowercase()),
            "{seen}"
        );
        let piece = vec![b'x'; 100_000];
        for _ in 0..3 {
            if chunked {
                client.send(format!("{:x}\r\n", piece.len())).await;
            }
            client.send(&piece).await;
            if chunked {
                client.send("\r\n").await;
            }
            // Nothing of the next piece is sent before this one is there.
            let mut taken = 0;
            while taken < piece.len() {
                let byte = taking.exactly(1).await;
                taken += usize::from(byte == b"x");
            }
        }
        if chunked {
            client.send("0\r\n\r\n").await;
        }
        taking
            .send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
            .await;
        assert_eq!(client.answer().await.1, b"ok");
    }
}

/// Pingora does not carry trailers of HTTP/1.x, in either direction; the requests and answers are
/// none the worse for them.
#[tokio::test]
async fn trailers_of_http1_are_dropped_and_harm_nothing() {
    let origin = Origin::start().await;
    let trailing =
        b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npage\r\n0\r\nX-Sum: 1\r\n\r\n";
    origin.on("/", [Step::Send(trailing.to_vec())]);
    let edge = Edge::start(origin.address).await;
    let mut http1 = Http1::connect(edge.address).await;
    for _ in 0..2 {
        http1.send(get(&edge, "/", "TE: trailers\r\nConnection: TE\r\n")).await;
        let head = http1.head().await;
        assert_eq!(field(&head, "trailer"), None, "{head}");
        let expected = b"4\r\npage\r\n0\r\n\r\n";
        assert_eq!(http1.exactly(expected.len()).await, expected);
    }
    let page = Client::connect(edge.address).await.get("/").await;
    assert_eq!(page.answer.body, b"page");
    assert_eq!(page.answer.trailers, None);

    let upload = Handmade::start().await;
    let edge = Edge::start(upload.address).await;
    let put = "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: 1\r\n\r\n";
    let mut client = Http1::sending(edge.address, put).await;
    let (mut taking, _) = upload.request().await;
    let expected = b"4\r\nbody\r\n0\r\n\r\n";
    assert_eq!(taking.exactly(expected.len()).await, expected);
    taking.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    assert_eq!(client.answer().await.1, b"ok");
}

#[tokio::test]
async fn a_shutdown_answers_requests_that_have_begun_and_closes_idle_connections() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[], b"page");
    let mut edge = Edge::start(origin.address).await;
    let whole = get(&edge, "/", "");
    let (first, rest) = whole.split_at(10);

    let mut idle = Http1::sending(edge.address, &whole).await;
    idle.answer().await;
    let mut silent = Http1::connect(edge.address).await;
    let mut begun = Http1::sending(edge.address, first).await;
    let mut again = Http1::sending(edge.address, &whole).await;
    again.answer().await;
    again.send(first).await;
    // A connection that was made later was answered: the others were accepted and read before.
    let mut last = Http1::sending(edge.address, &whole).await;
    last.answer().await;

    edge.signal("TERM");
    assert!(idle.rest().await.is_empty(), "closed");
    for (client, bytes) in [(&mut silent, whole.as_str()), (&mut begun, rest), (&mut again, rest)] {
        client.send(bytes).await;
        let (head, body) = client.answer().await;
        assert_eq!(field(&head, "connection"), Some("close"), "{head}");
        assert_eq!(body, b"page");
    }
    assert!(edge.ended().await);
}

#[tokio::test]
async fn a_request_that_begins_but_does_not_end_does_not_keep_a_shutdown_waiting() {
    let origin = Origin::start().await;
    let limits = format!("server: {{ limits: {{ handshake_timeout: 300ms }} }}\n{PAGES}");
    let mut edge = Edge::with(&config(origin.address, &limits)).await;
    let mut begun = Http1::sending(edge.address, "\r\n\r\nGET / HT").await;
    edge.signal("TERM");
    assert!(begun.rest().await.is_empty());
    assert!(edge.ended().await);
}
