//! An answer on its way: shared while it comes, and whole or not at all.

use h2::{RecvStream, client::SendRequest};
use http::{Request, Response};
use tokio::{
    net::TcpStream,
    task::{JoinHandle, JoinSet},
};

use super::{keeping, line};
use crate::support::{
    client::Client,
    edge::Edge,
    http1::Http1,
    origin::{Origin, Step, response},
    within,
};

const FRESH: (&str, &str) = ("cache-control", "max-age=600");

/// A head without a length, and chunks.
fn chunked() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\ncache-control: max-age=600\r\ntransfer-encoding: chunked\r\n\r\n".to_vec()
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// So many pieces of a content that is too large to be kept.
const PIECES: usize = 1600;

/// A content of 92 MB in chunks.
fn long(origin: &Origin, path: &str) {
    let part = vec![b'x'; 60_000];
    let mut steps = vec![Step::Send(chunked())];
    steps.extend((0..PIECES).map(|_| Step::Send(chunk(&part))));
    steps.push(Step::Send(chunk(b"")));
    origin.on(path, steps);
}

/// Its second half waits for the gate `rest`.
fn in_halves(origin: &Origin, path: &str) {
    origin.on(
        path,
        [
            Step::Send(chunked()),
            Step::Send(chunk(b"begin ")),
            Step::Gate("rest"),
            Step::Send(chunk(b"end")),
            Step::Send(chunk(b"")),
        ],
    );
}

/// A client that has read the header of an answer; its windows are the smallest.
struct Reading {
    answer: Response<RecvStream>,
    send: SendRequest<bytes::Bytes>,
    connection: JoinHandle<()>,
}

impl Reading {
    async fn begin(edge: &Edge, path: &str) -> Self {
        let stream = TcpStream::connect(edge.address).await.expect("the edge listens");
        // Its windows grow by small frames, each of which would wait for the acknowledgement of the last.
        stream.set_nodelay(true).expect("a TCP socket");
        let (mut send, connection) = h2::client::handshake(stream).await.expect("a handshake");
        let connection = tokio::spawn(async move {
            let _ = connection.await;
        });
        let request = Request::get(format!("http://{}{path}", edge.address));
        let (answer, _) = send
            .send_request(request.body(()).expect("a request"), true)
            .expect("sent");
        Self {
            answer: within("a header", answer).await.expect("an answer"),
            send,
            connection,
        }
    }

    async fn data(&mut self) -> Option<bytes::Bytes> {
        let data = within("data", self.answer.body_mut().data()).await;
        data.map(|data| data.expect("no reset"))
    }
}

#[tokio::test]
async fn a_thousand_first_requests_are_one_to_the_origin() {
    let origin = Origin::start().await;
    let body = vec![b'x'; 3000];
    origin.on(
        "/a.css",
        [
            Step::Gate("header"),
            Step::Send(chunked()),
            Step::Send(chunk(&body[..1000])),
            Step::Gate("rest"),
            Step::Send(chunk(&body[1000..])),
            Step::Send(chunk(b"")),
        ],
    );
    let edge = keeping(&origin, "{ caching: all, wait: 1m }").await;
    let mut fetching = JoinSet::new();
    for _ in 0..20 {
        let client = Client::without_push(edge.address).await;
        for _ in 0..50 {
            let request = client.get_request("/a.css", &[]);
            fetching.spawn(client.clone().try_fetch(request));
        }
    }
    origin.request("/a.css").await;
    // Some follow the answer while it comes. Whoever asked for another one is not to wait for it, but to be counted.
    for gate in ["header", "rest"] {
        for _ in 0..1000 {
            origin.open(gate);
        }
    }
    let mut answers = 0;
    while let Some(page) = within("a thousand answers", fetching.join_next()).await {
        let answer = page.expect("no panic").expect("an answer").answer;
        assert!(answer.status == 200 && answer.body == body);
        answers += 1;
    }
    assert_eq!(answers, 1000);
    assert_eq!(origin.count("/a.css"), 1);
}

#[tokio::test]
async fn readers_have_the_beginning_before_the_end_is_there() {
    let origin = Origin::start().await;
    in_halves(&origin, "/a");
    let edge = keeping(&origin, "all").await;
    let mut readers = Vec::new();
    for _ in 0..2 {
        let mut reader = Reading::begin(&edge, "/a").await;
        assert_eq!(reader.data().await.expect("the beginning"), "begin ");
        readers.push(reader);
    }
    origin.open("rest");
    for mut reader in readers {
        assert_eq!(reader.data().await.expect("the end"), "end");
    }
    assert_eq!(origin.count("/a"), 1);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error_and_is_not_kept() {
    let origin = Origin::start().await;
    let edge = keeping(&origin, "all").await;
    let whole = response("200 OK", &[FRESH], b"0123456789");
    let short = whole[..whole.len() - 5].to_vec();
    let no_length = b"HTTP/1.1 200 OK\r\ncache-control: max-age=600\r\n\r\n01234".to_vec();
    let chunks = [chunked(), chunk(b"01234")].concat();
    for (path, end, beginning) in [("/length", "length", short), ("/chunks", "chunks", chunks)] {
        origin.on(path, [Step::Send(beginning.clone()), Step::Gate(end), Step::Close]);
        let mut fetching = JoinSet::new();
        for _ in 0..3 {
            let client = Client::connect(edge.address).await;
            let request = client.get_request(path, &[]);
            fetching.spawn(client.try_fetch(request));
        }
        origin.request(path).await;
        // Each of them, and each of its further attempts.
        for _ in 0..9 {
            origin.open(end);
        }
        while let Some(page) = within("three errors", fetching.join_next()).await {
            if let Ok(page) = page.expect("no panic") {
                // Who came so early that the failure could still be told as such.
                assert_eq!(page.answer.status, 502, "{path}");
            }
        }
        origin.serve_ok(path, &[FRESH], b"whole");
        let client = Client::connect(edge.address).await;
        assert_eq!(client.get(path).await.answer.body, b"whole");
    }
    // Nothing tells where this one ends, so nobody can know whether it broke off.
    origin.on("/unknown", [Step::Send(no_length), Step::Close]);
    let client = Client::connect(edge.address).await;
    for count in 1..=2 {
        assert_eq!(client.get("/unknown").await.answer.body, b"01234");
        assert_eq!(origin.count("/unknown"), count);
    }
}

#[tokio::test]
async fn a_client_that_leaves_does_not_end_what_others_wait_for() {
    let origin = Origin::start().await;
    in_halves(&origin, "/a");
    let edge = keeping(&origin, "all").await;
    let leaving = Reading::begin(&edge, "/a").await;
    let other = Client::connect(edge.address).await;
    let waiting = tokio::spawn(async move { other.get("/a").await });
    drop((leaving.answer, leaving.send));
    leaving.connection.abort();
    let _ = leaving.connection.await;
    origin.open("rest");
    let page = within("the other's answer", waiting).await.expect("no panic");
    assert_eq!(page.answer.body, b"begin end");
    assert_eq!(origin.count("/a"), 1);
    line(&edge, "/a", "hit").await;
}

#[tokio::test]
async fn what_is_too_large_passes_and_is_not_kept() {
    let origin = Origin::start().await;
    let large: Vec<u8> = (0..5 << 20).map(|n: u32| (n % 251) as u8).collect();
    origin.serve_ok("/length", &[FRESH], &large);
    let mut steps = vec![Step::Send(chunked())];
    steps.extend(large.chunks(50_000).map(|part| Step::Send(chunk(part))));
    steps.push(Step::Send(chunk(b"")));
    origin.on("/chunks", steps);
    let edge = keeping(&origin, "all").await;
    for path in ["/length", "/chunks"] {
        for count in 1..=2 {
            let client = Client::connect(edge.address).await;
            assert!(client.get(path).await.answer.body == large, "{path}");
            assert_eq!(origin.count(path), count, "{path}");
        }
    }
}

#[tokio::test]
async fn a_slow_client_does_not_make_the_edge_hold_what_is_too_large() {
    let origin = Origin::start().await;
    long(&origin, "/chunks");
    origin.serve_ok("/other", &[], b"other");
    let edge = keeping(&origin, "all").await;
    let before = edge.memory();
    let mut reader = Reading::begin(&edge, "/chunks").await;
    // It reads nothing while the edge does all this, and could have all of it from the origin.
    let other = Client::connect(edge.address).await;
    for _ in 0..200 {
        assert_eq!(other.get("/other").await.answer.body, b"other");
    }
    let mut length = 0;
    while let Some(data) = reader.data().await {
        length += data.len();
        let flow = reader.answer.body_mut().flow_control();
        flow.release_capacity(data.len()).expect("a window");
        // As slow as this client's windows make it.
        tokio::task::yield_now().await;
    }
    assert_eq!(length, PIECES * 60_000);
    let grown = edge.peak_memory().saturating_sub(before) >> 20;
    assert!(grown < 32, "{grown} MB more for 92 MB");
}

/// Nothing keeps what is too large, so the origin is let go when its only reader is gone.
#[tokio::test]
async fn what_is_too_large_ends_with_its_reader() {
    let origin = Origin::start().await;
    long(&origin, "/chunks");
    let edge = keeping(&origin, "all").await;
    let mut reader = Reading::begin(&edge, "/chunks").await;
    assert!(reader.data().await.is_some());
    reader.connection.abort();
    drop((reader.answer, reader.send));
    let _ = reader.connection.await;
    within("the origin's connection to end", origin.connections_at_most(0)).await;
    let mut http1 = Http1::sending(edge.address, "GET /chunks HTTP/1.1\r\nhost: a\r\n\r\n").await;
    http1.head().await;
    http1.exactly(200_000).await;
    drop(http1);
    within("the origin's connection to end", origin.connections_at_most(0)).await;
}

/// An HTTP/1.x client that leaves before the origin has said anything is waited for no longer than where nothing is kept.
#[tokio::test]
async fn who_leaves_before_the_header_leaves_no_request_behind() {
    let origin = Origin::start().await;
    origin.on("/a", [Step::Gate("never")]);
    let edge = keeping(&origin, "all").await;
    let http1 = Http1::sending(edge.address, "GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
    origin.request("/a").await;
    drop(http1);
    within("the origin's connection to end", origin.connections_at_most(0)).await;
    edge.log_line(&["/a ", "the client left"]).await;
}

#[tokio::test]
async fn requests_do_not_wait_longer_than_the_route_says() {
    let origin = Origin::start().await;
    origin.on(
        "/a",
        [Step::Gate("one"), Step::Send(response("200 OK", &[FRESH], b"content"))],
    );
    let edge = keeping(&origin, "{ caching: all, wait: 1ms }").await;
    let client = Client::connect(edge.address).await;
    let mut fetching = JoinSet::new();
    for count in 1..=3 {
        let request = client.get_request("/a", &[]);
        fetching.spawn(client.clone().try_fetch(request));
        origin.requests("/a", count).await;
    }
    for _ in 0..3 {
        origin.open("one");
    }
    while let Some(page) = within("three answers", fetching.join_next()).await {
        assert_eq!(page.expect("no panic").expect("an answer").answer.body, b"content");
    }
}

#[tokio::test]
async fn what_is_not_kept_is_not_waited_for_twice() {
    let origin = Origin::start().await;
    origin.on("/a", [Step::Send(response("200 OK", &[], b"first"))]);
    let edge = keeping(&origin, "{ caching: all, wait: 1m }").await;
    let client = Client::connect(edge.address).await;
    client.get("/a").await;
    origin.on(
        "/a",
        [Step::Gate("all"), Step::Send(response("200 OK", &[], b"content"))],
    );
    let mut fetching = JoinSet::new();
    for _ in 0..5 {
        let request = client.get_request("/a", &[]);
        fetching.spawn(client.clone().try_fetch(request));
    }
    // All at once, though none of them is answered.
    origin.requests("/a", 6).await;
    for _ in 0..5 {
        origin.open("all");
    }
    while let Some(page) = within("five answers", fetching.join_next()).await {
        assert_eq!(page.expect("no panic").expect("an answer").answer.body, b"content");
    }
}
