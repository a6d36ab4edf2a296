//! HTTP/1.x clients: the same proxy, without push.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    edge::Edge,
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

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let origin = Origin::start().await;
    origin.serve_ok("/1", &[], b"first").serve_ok("/2", &[], b"second");
    let edge = Edge::start(origin.address).await;
    let mut stream = TcpStream::connect(edge.address).await.expect("the edge listens");
    for (path, body) in [("/1", "first"), ("/2", "second")] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", edge.address);
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        within("an answer", async {
            while !answer.ends_with(body.as_bytes()) {
                assert_ne!(stream.read_buf(&mut answer).await.expect("read"), 0, "closed");
            }
        })
        .await;
    }
}
