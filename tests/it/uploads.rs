//! An origin that answers before it has read a request: its client hears of it at once, and nobody waits for ever.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, tcp::OwnedWriteHalf},
};

use crate::support::{
    client::Client,
    edge::{Edge, config},
    handmade::Handmade,
    http1::Http1,
    origin::{Origin, Step, response},
    within,
};

const ALL: &str = "routes: [{ name: all, upstream: app, push: auto }]\n";
/// More than what all sockets on the way hold.
const LARGE: usize = 20_000_000;
/// Far less than any time limit, and than the time after which these origins would close.
const SOON: Duration = Duration::from_secs(10);
const REFUSAL: &str = "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig";

#[derive(Debug, Clone, Copy)]
enum Framing {
    Length,
    Chunked,
}

fn head(framing: Framing, length: usize) -> String {
    let framing = match framing {
        Framing::Length => format!("Content-Length: {length}"),
        Framing::Chunked => "Transfer-Encoding: chunked".to_owned(),
    };
    format!("POST /upload HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n")
}

/// Writes content as long as somebody takes it.
async fn upload(mut to: OwnedWriteHalf, framing: Framing, length: usize) -> OwnedWriteHalf {
    let piece = vec![b'x'; 50_000];
    for _ in 0..length / piece.len() {
        let bytes = match framing {
            Framing::Length => piece.clone(),
            Framing::Chunked => [b"c350\r\n", &piece[..], b"\r\n"].concat(),
        };
        if to.write_all(&bytes).await.is_err() {
            return to;
        }
    }
    if matches!(framing, Framing::Chunked) {
        let _ = to.write_all(b"0\r\n\r\n").await;
    }
    to
}

#[tokio::test]
async fn a_refusal_of_an_upload_that_nobody_reads_is_heard_at_once() {
    let origin = Handmade::start().await;
    let edge = Edge::with(&config(origin.address, ALL)).await;
    let empty = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
    for framing in [Framing::Length, Framing::Chunked] {
        for (refusal, length) in [(REFUSAL, LARGE), (empty, LARGE), (REFUSAL, 3_000_000)] {
            let begun = Instant::now();
            let client = Http1::sending(edge.address, head(framing, length)).await;
            let (mut from, to) = client.stream.into_split();
            let uploading = tokio::spawn(upload(to, framing, length));
            let (mut refuses, _) = origin.request().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            refuses.send(refusal).await;
            let expected = refusal.rsplit("\r\n\r\n").next().expect("content");
            let mut answer = Vec::new();
            while !answer.ends_with(format!("\r\n\r\n{expected}").as_bytes()) {
                let read = within("an answer", from.read_buf(&mut answer)).await.expect("read");
                assert!(read > 0, "{framing:?} {}", answer.escape_ascii());
            }
            assert!(
                answer.starts_with(&refusal.as_bytes()[..12]),
                "{}",
                answer.escape_ascii()
            );
            assert!(begun.elapsed() < SOON, "{framing:?} {length}: {:?}", begun.elapsed());
            // A client that only reads once it has sent all is not left alone with it.
            within("the upload", uploading).await.expect("no panic");
            // The origin has not read it, so the connection is of no use for another request.
            let mut other = Http1::sending(edge.address, "GET /next HTTP/1.1\r\nHost: a\r\n\r\n").await;
            let (mut next, line) = origin.request().await;
            assert!(line.starts_with("GET /next "), "{line}");
            next.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
                .await;
            assert_eq!(other.answer().await.1, b"ok");
        }
    }
}

#[tokio::test]
async fn an_origin_that_answers_as_it_reads_gets_all_of_an_upload() {
    let origin = Handmade::start().await;
    let edge = Edge::with(&config(origin.address, ALL)).await;
    let client = Http1::sending(edge.address, head(Framing::Length, LARGE)).await;
    let (mut from, to) = client.stream.into_split();
    let uploading = tokio::spawn(upload(to, Framing::Length, LARGE));
    let (mut echoes, _) = origin.request().await;
    let echoing = tokio::spawn(async move {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n");
        echoes.send(head).await;
        let (mut left, mut buffer) = (LARGE, std::mem::take(&mut echoes.buffer));
        while left > 0 {
            left -= buffer.len();
            echoes.stream.write_all(&buffer).await.expect("written");
            buffer.clear();
            if left > 0 {
                let read = echoes.stream.read_buf(&mut buffer).await.expect("read");
                assert!(read > 0, "{left} bytes are missing");
            }
        }
        echoes
    });
    let mut answer = Vec::new();
    while answer.len() < LARGE {
        let read = within("an echo", from.read_buf(&mut answer)).await.expect("read");
        assert!(read > 0, "{}", answer.len());
    }
    within("the upload", uploading).await.expect("no panic");
    let echoes = within("the origin", echoing).await.expect("no panic");
    // All was read by everybody, and the connection serves on.
    let mut other = Http1::sending(edge.address, "GET /next HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut echoes = echoes;
    let line = echoes.head().await;
    assert!(line.starts_with("GET /next "), "{line}");
    echoes.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    assert_eq!(other.answer().await.1, b"ok");
}

#[tokio::test]
async fn an_http2_client_hears_a_refusal_at_once_too() {
    let origin = Handmade::start().await;
    let edge = Edge::with(&config(origin.address, ALL)).await;
    let stream = TcpStream::connect(edge.address).await.expect("a connection");
    let (mut client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    let request = http::Request::post(format!("http://{}/upload", edge.address)).body(());
    let (response, mut content) = client.send_request(request.expect("a request"), false).expect("sent");
    let uploading = tokio::spawn(async move {
        for _ in 0..LARGE / 50_000 {
            content.reserve_capacity(50_000);
            let ready = std::future::poll_fn(|cx| content.poll_capacity(cx)).await;
            let Some(Ok(room)) = ready else { return };
            if content.send_data(vec![b'x'; room].into(), false).is_err() {
                return;
            }
        }
    });
    let (mut refuses, _) = origin.request().await;
    let begun = Instant::now();
    refuses.send(REFUSAL).await;
    let response = within("a refusal", response).await.expect("an answer");
    assert_eq!(response.status(), 413);
    assert!(begun.elapsed() < SOON);
    uploading.abort();
}

#[tokio::test]
async fn a_refusal_of_a_request_without_content_keeps_its_connection() {
    let origin = Origin::start().await;
    origin.on("/gone", [Step::Send(response("404 Not Found", &[], b"gone"))]);
    let edge = Edge::with(&config(origin.address, ALL)).await;
    let client = Client::connect(edge.address).await;
    for _ in 0..3 {
        assert_eq!(client.get("/gone").await.answer.status, 404);
        let mut http1 = Http1::sending(edge.address, "GET /gone HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(http1.answer().await.1, b"gone");
    }
    assert_eq!(origin.connections_made(), 1);
}
