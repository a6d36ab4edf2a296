//! Long transfers in flat memory, and whoever stalls in one.

use std::{net::SocketAddr, sync::OnceLock};

use bytes::Bytes;
use http::{Method, Request};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{
    client::Client,
    edge::{Edge, PAGES, config},
    handmade::Handmade,
    http1::{Http1, field},
    raw::{DATA, END_HEADERS, END_STREAM, HEADERS, INITIAL_WINDOW_SIZE, RST_STREAM, Raw, block, get},
    within,
};

const MIB: usize = 1 << 20;

/// How much memory a transfer may take beyond what the server had: both buffers of the kernel are
/// not counted, those of Pingora, of the h2 crate and the allocator's slack are a few MiB.
const FLAT: usize = 24 * MIB;

fn piece() -> &'static [u8] {
    static PIECE: OnceLock<Vec<u8>> = OnceLock::new();
    PIECE.get_or_init(|| (0..=255).cycle().take(64 * 1024).collect())
}

/// An origin of bulk: `GET /N` answers with N bytes, `PUT /N` takes N bytes and says so.
async fn bulk() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve_bulk(Http1 {
                stream,
                buffer: Vec::new(),
            }));
        }
    });
    address
}

async fn serve_bulk(mut connection: Http1) {
    let head = connection.head().await;
    let length: usize = head
        .split(['/', ' '])
        .nth(2)
        .and_then(|n| n.parse().ok())
        .expect("a length in the path");
    if head.starts_with("GET ") {
        connection
            .send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"))
            .await;
        let _ = send_bulk(&mut connection.stream, length).await;
        return;
    }
    let mut taken = connection.buffer.len();
    if field(&head, "content-length").is_some() {
        taken += read_bulk(&mut connection.stream, length - taken).await;
    } else {
        let mut end = std::mem::take(&mut connection.buffer);
        while !end.ends_with(b"\r\n0\r\n\r\n") {
            let mut buffer = vec![0; 64 * 1024];
            let read = connection.stream.read(&mut buffer).await.expect("read");
            assert_ne!(read, 0, "the end of an upload");
            taken += read;
            end.extend_from_slice(&buffer[..read]);
            end.drain(..end.len().saturating_sub(7));
        }
    }
    assert!(taken >= length, "all of it");
    connection
        .send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntaken")
        .await;
}

async fn send_bulk(stream: &mut TcpStream, mut length: usize) -> std::io::Result<()> {
    while length > 0 {
        let part = &piece()[..length.min(piece().len())];
        stream.write_all(part).await?;
        length -= part.len();
    }
    Ok(())
}

/// Reads this much, or up to the end.
async fn read_bulk(stream: &mut TcpStream, length: usize) -> usize {
    let mut buffer = vec![0; 256 * 1024];
    let mut taken = 0;
    while taken < length {
        let most = buffer.len().min(length - taken);
        match stream.read(&mut buffer[..most]).await.expect("read") {
            0 => break,
            read => taken += read,
        }
    }
    taken
}

#[derive(Debug, Clone, Copy)]
enum Transfer {
    Http1Download,
    Http1Upload,
    Http1ChunkedUpload,
    Http2Download,
    Http2Upload,
}

const TRANSFERS: [Transfer; 5] = [
    Transfer::Http1Download,
    Transfer::Http1Upload,
    Transfer::Http1ChunkedUpload,
    Transfer::Http2Download,
    Transfer::Http2Upload,
];

async fn transfer(transfer: Transfer, edge: SocketAddr, length: usize) {
    match transfer {
        Transfer::Http1Download => {
            let mut http1 = Http1::sending(edge, format!("GET /{length} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
            http1.head().await;
            let have = http1.buffer.len();
            assert_eq!(have + read_bulk(&mut http1.stream, length - have).await, length);
        }
        Transfer::Http1Upload => {
            let head = format!("PUT /{length} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
            let mut http1 = Http1::sending(edge, head).await;
            send_bulk(&mut http1.stream, length).await.expect("sent");
            assert_eq!(http1.answer().await.1, b"taken");
        }
        Transfer::Http1ChunkedUpload => {
            let head = format!("PUT /{length} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
            let mut http1 = Http1::sending(edge, head).await;
            let chunk = [b"10000\r\n", piece(), b"\r\n"].concat();
            for _ in 0..length / piece().len() {
                http1.send(&chunk).await;
            }
            http1.send("0\r\n\r\n").await;
            assert_eq!(http1.answer().await.1, b"taken");
        }
        Transfer::Http2Download => {
            let mut send = http2(edge).await;
            let request = Request::get(format!("http://{edge}/{length}"))
                .body(())
                .expect("a request");
            let (response, _) = send.send_request(request, true).expect("sent");
            let mut body = response.await.expect("an answer").into_body();
            let mut taken = 0;
            while let Some(data) = body.data().await {
                let data = data.expect("data");
                taken += data.len();
                body.flow_control().release_capacity(data.len()).expect("capacity");
            }
            assert_eq!(taken, length);
        }
        Transfer::Http2Upload => {
            let mut send = http2(edge).await;
            let request = Request::put(format!("http://{edge}/{length}"))
                .body(())
                .expect("a request");
            let (response, mut body) = send.send_request(request, false).expect("sent");
            let mut left = length;
            while left > 0 {
                body.reserve_capacity(left.min(piece().len()));
                let granted = std::future::poll_fn(|cx| body.poll_capacity(cx)).await;
                let granted = granted.expect("open").expect("capacity").min(left);
                left -= granted;
                let part = Bytes::from_static(&piece()[..granted.min(piece().len())]);
                body.send_data(part, left == 0).expect("sent");
            }
            let mut body = response.await.expect("an answer").into_body();
            assert_eq!(body.data().await.expect("a body").expect("data"), "taken");
        }
    }
}

async fn http2(edge: SocketAddr) -> h2::client::SendRequest<Bytes> {
    let stream = TcpStream::connect(edge).await.expect("the edge listens");
    let mut builder = h2::client::Builder::new();
    builder
        .initial_window_size(MIB as u32)
        .initial_connection_window_size(MIB as u32);
    let (send, connection) = builder.handshake(stream).await.expect("a handshake");
    tokio::spawn(connection);
    send
}

/// Resident memory of the server before a transfer, and the most that it had by its end.
async fn memory_of(kind: Transfer, length: usize) -> (usize, usize) {
    let edge = Edge::start(bulk().await).await;
    // What any first request allocates is no transfer's.
    within("a short transfer", transfer(kind, edge.address, MIB)).await;
    let before = edge.memory();
    transfer(kind, edge.address, length).await;
    (before, edge.peak_memory())
}

#[tokio::test]
async fn long_transfers_take_flat_memory() {
    for kind in TRANSFERS {
        let (before, peak) = memory_of(kind, 64 * MIB).await;
        assert!(
            peak < before + FLAT,
            "{kind:?}: {} MiB, then {} MiB",
            before / MIB,
            peak / MIB
        );
    }
}

/// Streams of one connection whose client does not read, and what they may take: the request itself, which
/// is larger in a build for tests, and a fifth of what Pingora would read ahead; for a few of them, all of that.
const UNREAD: usize = 128;
const UNREAD_MEMORY: usize = 20 * MIB + UNREAD * 150 * 1024;

#[tokio::test]
async fn what_a_client_does_not_read_stays_at_the_origin() {
    let origin = bulk().await;
    let edge = Edge::start(origin).await;
    // The connection's window is full after 64 KiB.
    let mut raw = Raw::connect(edge.address, &[(INITIAL_WINDOW_SIZE, 8 << 20)]).await;
    raw.get(1, "/1000").await;
    raw.next_that("an answer", |f| f.stream == 1 && f.flags & END_STREAM != 0)
        .await;
    let before = edge.memory();
    let mut begun = 0;
    for n in 1..=UNREAD {
        raw.get(u32::try_from(2 * n + 1).expect("a stream"), &format!("/{}", 4 * MIB))
            .await;
    }
    while begun < UNREAD {
        begun += usize::from(raw.next().await.expect("a frame").kind == HEADERS);
    }
    // Longer than it takes until a stream that waits reads on a little.
    for _ in 0..20 {
        raw.settle().await;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let taken = edge.memory().saturating_sub(before);
    assert!(taken < UNREAD_MEMORY, "{} KiB a stream", taken / UNREAD / 1024);
    // And nothing is lost of it.
    raw.window(0, 1 << 30).await;
    let (mut bytes, mut ended) = (0, 0);
    while ended < UNREAD {
        let frame = raw.next_that("data", |f| f.kind == DATA).await;
        bytes += frame.payload.len();
        ended += usize::from(frame.flags & END_STREAM != 0);
    }
    assert!(bytes > UNREAD * 4 * MIB - 65_535, "{bytes} bytes");
}

#[tokio::test]
async fn a_client_that_reads_slowly_is_not_taken_for_a_slow_origin() {
    let origin = bulk().await;
    // The origin's limit is far below what the client takes.
    let edge = edge_with(origin, "write_timeout: 60s", "read_timeout: 1s").await;
    let mut raw = Raw::connect(edge.address, &[(INITIAL_WINDOW_SIZE, 8 << 20)]).await;
    raw.get(1, &format!("/{MIB}")).await;
    raw.next_that("the header", |f| f.kind == HEADERS).await;
    // No event tells that a limit has not struck.
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
    raw.window(0, 8 << 20).await;
    raw.next_that("the end", |f| f.kind == DATA && f.flags & END_STREAM != 0)
        .await;
}

#[tokio::test]
#[ignore = "moves 5 GiB"]
async fn soak_a_gibibyte_takes_flat_memory() {
    for kind in TRANSFERS {
        for length in [64 * MIB, 256 * MIB, 1024 * MIB] {
            let started = std::time::Instant::now();
            let (before, peak) = memory_of(kind, length).await;
            eprintln!(
                "{kind:?} {} MiB: {:.1} MiB before, {:.1} MiB at most, {:.1?}",
                length / MIB,
                before as f64 / MIB as f64,
                peak as f64 / MIB as f64,
                started.elapsed()
            );
            assert!(peak < before + FLAT, "{kind:?}");
        }
    }
}

/// An edge whose clients and origin may be silent for this long.
async fn edge_with(origin: SocketAddr, client: &str, upstream: &str) -> Edge {
    let rest = format!("server: {{ limits: {{ {client} }} }}\n{PAGES}");
    let config = config(origin, &rest).replace("app: { servers:", &format!("app: {{ {upstream}, servers:"));
    Edge::with(&config).await
}

/// A stream of the same connection that is still answered after another was cut.
async fn lives_on(raw: &mut Raw, stream: u32, origin: &Handmade) {
    raw.get(stream, "/other").await;
    let (mut other, _) = origin.request().await;
    other.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
    let head = raw
        .next_that("the other answer", |f| f.stream == stream && f.kind == HEADERS)
        .await;
    assert_eq!(head.status(), Some(204));
}

#[tokio::test]
async fn a_client_that_stops_reading_is_cut() {
    let origin = Handmade::start().await;
    let edge = edge_with(origin.address, "write_timeout: 500ms", "write_timeout: 60s").await;
    let endless = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";

    let client = Http1::sending(edge.address, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (mut sending, _) = origin.request().await;
    sending.send(endless).await;
    // Until the edge hangs up, since its client is gone.
    within("the cut", send_bulk(&mut sending.stream, 1_000_000_000))
        .await
        .expect_err("cut");
    edge.log_line(&["/1 200", "failure=\"Downstream: WriteTimedout\""])
        .await;
    drop(client);

    let mut raw = Raw::connect(edge.address, &[]).await;
    raw.get(1, "/2").await;
    let (mut sending, _) = origin.request().await;
    sending.send(endless).await;
    // The client reads, but gives the stream no window.
    let stalled = tokio::spawn(async move { send_bulk(&mut sending.stream, 1_000_000_000).await });
    let reset = raw.next_that("the reset", |f| f.kind == RST_STREAM).await;
    assert_eq!(reset.stream, 1);
    within("the cut", stalled).await.expect("no panic").expect_err("cut");
    edge.log_line(&["/2 200", "failure=\"Downstream: WriteTimedout\""])
        .await;
    // The connection's window was taken by the stream that was reset.
    raw.window(0, 100_000).await;
    lives_on(&mut raw, 3, &origin).await;
}

#[tokio::test]
async fn a_client_that_stops_sending_is_told_408() {
    let origin = Handmade::start().await;
    let edge = edge_with(origin.address, "read_timeout: 500ms", "write_timeout: 60s").await;

    let mut client = Http1::sending(
        edge.address,
        "PUT /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf",
    )
    .await;
    let (mut taking, _) = origin.request().await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
    assert_eq!(field(&head, "connection"), Some("close"), "{head}");
    assert_eq!(taking.rest().await, b"half", "the origin's connection ends, too");

    let mut raw = Raw::connect(edge.address, &[]).await;
    let authority = raw.authority.clone();
    let mut fields = get(&authority, b"/2");
    fields[0] = (b":method", Method::PUT.as_str().as_bytes());
    raw.send(HEADERS, END_HEADERS, 1, &block(&fields)).await;
    raw.send(DATA, 0, 1, b"half").await;
    let (mut taking, _) = origin.request().await;
    let frame = raw.next_that("an answer", |f| f.stream == 1 && f.kind == HEADERS).await;
    assert!(
        String::from_utf8_lossy(&frame.payload).contains("408") || frame.payload.first() == Some(&0x48),
        "{frame:?}"
    );
    taking.rest().await;
    edge.log_line(&["PUT", "/2 408", "failure=\"Downstream: ReadTimedout\""])
        .await;
    lives_on(&mut raw, 3, &origin).await;
}

#[tokio::test]
async fn an_origin_that_does_not_answer_is_a_504() {
    let origin = Handmade::start().await;
    let edge = edge_with(origin.address, "write_timeout: 60s", "read_timeout: 500ms").await;
    let mut client = Http1::sending(edge.address, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (mut silent, _) = origin.request().await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
    silent.rest().await;

    let http2 = Client::connect(edge.address).await;
    let (page, (mut silent, _)) = tokio::join!(http2.get("/2"), origin.request());
    assert_eq!(page.answer.status, 504);
    silent.rest().await;
    let (page, ()) = tokio::join!(http2.get("/3"), async {
        let (mut other, _) = origin.request().await;
        other
            .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            .await;
    });
    assert_eq!(page.answer.body, b"ok");
}

#[tokio::test]
async fn an_origin_that_stalls_in_the_body_never_looks_like_an_end() {
    let origin = Handmade::start().await;
    let edge = edge_with(origin.address, "write_timeout: 60s", "read_timeout: 500ms").await;
    for half in [
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let mut client = Http1::sending(edge.address, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let (mut stalling, _) = origin.request().await;
        stalling.send(half).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let rest = String::from_utf8_lossy(&client.rest().await).into_owned();
        assert!(rest.contains("half") && !rest.contains("\r\n0\r\n"), "{rest}");

        let mut raw = Raw::connect(edge.address, &[]).await;
        raw.get(1, "/2").await;
        let (mut stalling, _) = origin.request().await;
        stalling.send(half).await;
        let last = raw
            .next_that("the reset", |f| {
                f.kind == RST_STREAM || f.flags & END_STREAM != 0 && f.kind == DATA
            })
            .await;
        assert_eq!((last.kind, last.stream), (RST_STREAM, 1));
        lives_on(&mut raw, 3, &origin).await;
        edge.log_line(&["/2 200", "silent for read_timeout"]).await;
    }
}

#[tokio::test]
async fn an_origin_that_stops_reading_an_upload_is_a_504() {
    let origin = Handmade::start().await;
    let edge = edge_with(
        origin.address,
        "read_timeout: 60s",
        "write_timeout: 500ms, read_timeout: 500ms",
    )
    .await;
    let mut client = Http1::sending(
        edge.address,
        "PUT /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n",
    )
    .await;
    let (_stalling, _) = origin.request().await;
    let (mut reading, mut writing) = client.stream.split();
    let mut answer = Vec::new();
    within("an answer", async {
        let upload = async {
            loop {
                if writing.write_all(piece()).await.is_err() {
                    return std::future::pending::<()>().await;
                }
            }
        };
        tokio::select! {
            () = upload => {}
            read = reading.read_buf(&mut answer) => assert_ne!(read.expect("read"), 0),
        }
    })
    .await;
    assert!(answer.starts_with(b"HTTP/1.1 504 "), "{}", answer.escape_ascii());
    edge.log_line(&["/1 504", "took no bytes for write_timeout"]).await;
}
