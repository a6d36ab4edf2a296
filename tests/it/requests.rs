//! Requests in general over HTTP/2: bodies, methods, statuses, origins that fail.

use bytes::Bytes;
use http::{Method, Request};

use crate::support::{
    client::Client,
    edge::{Edge, PAGES, config},
    origin::{Origin, Step, response},
    within,
};

async fn edge_with(origins: &str, upstream_extra: &str) -> Edge {
    Edge::with(&format!(
        "listeners:\n  - address: 127.0.0.1:0\nupstreams:\n  app: {{ servers: [{origins}]{upstream_extra} }}\n{PAGES}"
    ))
    .await
}

/// An address where nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").to_string()
}

#[tokio::test]
async fn a_request_body_reaches_the_origin() {
    let origin = Origin::start().await;
    origin.serve_ok("/upload", &[], b"thanks");
    let edge = Edge::start(origin.address).await;
    let stream = tokio::net::TcpStream::connect(edge.address)
        .await
        .expect("the edge listens");
    let (mut send, connection) = h2::client::handshake(stream).await.expect("a handshake");
    tokio::spawn(connection);
    for length in [None, Some(300_000)] {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://{}/upload", edge.address));
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        let (response, mut body) = send
            .send_request(request.body(()).expect("a request"), false)
            .expect("sent");
        for n in 0..30 {
            body.reserve_capacity(10_000);
            within("a window", std::future::poll_fn(|cx| body.poll_capacity(cx))).await;
            body.send_data(Bytes::from(vec![b'u'; 10_000]), n == 29).expect("sent");
        }
        let answer = within("an answer", response).await.expect("answered");
        assert_eq!(answer.status(), 200);
    }
    let uploads: Vec<_> = origin
        .seen()
        .into_iter()
        .filter(|seen| seen.path() == "/upload")
        .collect();
    assert_eq!(uploads.len(), 2);
    assert_eq!(uploads[1].body.len(), 300_000);
    assert_eq!(uploads[0].field("transfer-encoding"), Some("chunked"));
    assert_eq!(uploads[0].body.iter().filter(|&&b| b == b'u').count(), 300_000);
}

#[tokio::test]
async fn head_and_statuses_without_a_body_pass() {
    let origin = Origin::start().await;
    origin
        .serve_ok("/", &[("link", "</a>; rel=preload")], b"page")
        .on("/204", [Step::Send(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())])
        .on(
            "/304",
            [Step::Send(
                b"HTTP/1.1 304 Not Modified\r\nlink: </a>; rel=preload\r\netag: \"x\"\r\n\r\n".to_vec(),
            )],
        );
    let edge = Edge::start(origin.address).await;
    let client = Client::connect(edge.address).await;
    let head = Request::builder()
        .method(Method::HEAD)
        .uri(format!("http://{}/", edge.address));
    let page = client.fetch(head.body(()).expect("a request")).await;
    assert_eq!((page.answer.status.as_u16(), page.answer.body.len()), (200, 0));
    assert_eq!(page.answer.headers["content-length"], "4");
    assert!(page.promised().is_empty());
    assert_eq!(client.get("/204").await.answer.status, 204);
    let page = client.get("/304").await;
    assert_eq!((page.answer.status.as_u16(), page.promised().len()), (304, 0));
}

#[tokio::test]
async fn a_chunked_answer_passes_whole() {
    let origin = Origin::start().await;
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    origin.on(
        "/",
        [
            Step::Send(head.into()),
            Step::Send(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n".to_vec()),
        ],
    );
    let edge = Edge::start(origin.address).await;
    let page = Client::connect(edge.address).await.get("/").await;
    assert_eq!(page.answer.body, b"hello world");
    assert!(!page.answer.headers.contains_key("transfer-encoding"));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_reset_not_ended() {
    let origin = Origin::start().await;
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nonly this";
    origin
        .on("/", [Step::Send(head.into()), Step::Close])
        .serve_ok("/other", &[], b"fine");
    let edge = Edge::start(origin.address).await;
    let client = Client::connect(edge.address).await;
    let broken = client.clone().try_fetch(client.get_request("/", &[]));
    let error = within("the end", broken).await.expect_err("never taken for complete");
    assert!(error.is_reset(), "{error}");
    assert_eq!(client.get("/other").await.answer.body, b"fine", "other streams live");
}

#[tokio::test]
async fn a_dead_server_is_passed_over() {
    let origin = Origin::start().await;
    origin.default_ok(b"alive");
    let edge = edge_with(&format!("'{}', '{}'", nobody(), origin.address), "").await;
    let client = Client::connect(edge.address).await;
    for _ in 0..4 {
        assert_eq!(client.get("/").await.answer.body, b"alive");
    }
}

#[tokio::test]
async fn failures_are_told_apart() {
    let origin = Origin::start().await;
    origin
        .on("/silent", [Step::Gate("never")])
        .on("/nonsense", [Step::Send(b"nonsense\r\n\r\n".to_vec()), Step::Close]);
    let edge = edge_with(&format!("'{}'", origin.address), ", read_timeout: 200ms").await;
    let client = Client::connect(edge.address).await;
    assert_eq!(client.get("/silent").await.answer.status, 504);
    assert_eq!(client.get("/nonsense").await.answer.status, 502);
    edge.log_line(&["/silent 504", "silent for read_timeout"]).await;
    let dead = edge_with(&format!("'{}'", nobody()), "").await;
    assert_eq!(Client::connect(dead.address).await.get("/").await.answer.status, 502);
    let rest = "routes:\n  - { name: api, match: { path: '^/api' }, upstream: app }\n";
    let narrow = Edge::with(&config(origin.address, rest)).await;
    assert_eq!(Client::connect(narrow.address).await.get("/").await.answer.status, 404);
    narrow.log_line(&["/ 404", "route=-"]).await;
}

#[tokio::test]
async fn an_origin_connection_is_used_again() {
    let origin = Origin::start().await;
    origin
        .on("/1", [Step::Send(response("200 OK", &[], b"1"))])
        .on("/2", [Step::Send(response("200 OK", &[], b"2"))]);
    let edge = Edge::start(origin.address).await;
    let client = Client::connect(edge.address).await;
    client.get("/1").await;
    client.get("/2").await;
    assert_eq!(origin.connections_made(), 1);
}

#[tokio::test]
async fn a_cookie_in_several_fields_reaches_the_origin_as_one() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[], b"page");
    let edge = Edge::start(origin.address).await;
    let client = Client::connect(edge.address).await;
    client
        .fetch(client.get_request("/", &[("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3; d=4")]))
        .await;
    let seen = origin.request("/").await;
    let cookies: Vec<_> = seen
        .fields
        .iter()
        .filter(|(name, _)| name == "cookie")
        .map(|(_, v)| v.as_str())
        .collect();
    assert_eq!(cookies, ["a=1; b=2; c=3; d=4"]);
}

#[tokio::test]
async fn a_client_that_expects_100_gets_it_and_others_do_not() {
    let origin = Origin::start().await;
    let go_on = Step::Send(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec());
    origin.on("/", [go_on, Step::Send(response("200 OK", &[], b"page"))]);
    let edge = Edge::start(origin.address).await;
    let client = Client::connect(edge.address).await;
    let page = client
        .fetch(client.get_request("/", &[("expect", "100-continue")]))
        .await;
    let statuses: Vec<_> = page
        .informational
        .iter()
        .map(|(_, early)| early.status().as_u16())
        .collect();
    assert_eq!((statuses, page.answer.body.as_slice()), (vec![100], b"page".as_slice()));
    let page = client.get("/").await;
    assert_eq!(
        (page.informational.len(), page.answer.body.as_slice()),
        (0, b"page".as_slice())
    );
}
