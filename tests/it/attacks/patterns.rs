//! Clients that look like attackers and are none: their connections are not cut.

use std::time::Duration;

use tokio::time::{interval, sleep};

use super::attacker::{Attacker, End};
use crate::support::{
    edge::{Edge, PAGES, config},
    origin::{Origin, Step, response},
    raw::{DATA, END_STREAM, GOAWAY, INITIAL_WINDOW_SIZE, PING, RST_STREAM, WINDOW_UPDATE, frame},
};

const CANCEL: [u8; 4] = [0, 0, 0, 8];
const REFUSED_STREAM: u32 = 7;

async fn edge(origin: &Origin) -> Edge {
    origin
        .on("/never", [Step::Gate("never")])
        .serve_ok("/ok", &[("cache-control", "no-store")], b"ok");
    Edge::with_env(&config(origin.address, PAGES), &[("RUST_LOG", "info".as_ref())]).await
}

/// The connection lives and serves.
async fn serves(attacker: &mut Attacker) {
    assert!(attacker.fetch("/ok").await, "{:?}", attacker.end(End::Lives).await);
    assert_eq!(attacker.end(End::Lives).await, End::Lives);
}

/// Asks for 100 things, then leaves.
async fn leave(attacker: &mut Attacker) {
    let mut bytes = Vec::new();
    let mut streams = Vec::new();
    for _ in 0..100 {
        let (stream, request) = attacker.get("/never");
        bytes.extend(request);
        streams.push(stream);
    }
    assert!(
        attacker.send(&bytes).await && attacker.settle().await,
        "the page is asked for"
    );
    for stream in streams {
        attacker.send(&frame(RST_STREAM, 0, stream, &CANCEL)).await;
    }
    assert!(attacker.settle().await, "the page is left");
}

#[tokio::test]
async fn a_browser_may_leave_pages_with_100_requests_under_way() {
    let origin = Origin::start().await;
    let edge = edge(&origin).await;
    let mut browser = Attacker::connect(edge.address, &[]).await;
    for _ in 0..4 {
        leave(&mut browser).await;
        serves(&mut browser).await;
    }
}

#[tokio::test]
#[ignore = "takes a minute"]
async fn a_browser_may_leave_a_page_each_three_seconds_for_a_minute() {
    let origin = Origin::start().await;
    let edge = edge(&origin).await;
    let mut browser = Attacker::connect(edge.address, &[]).await;
    let mut pace = interval(Duration::from_secs(3));
    for _ in 0..20 {
        pace.tick().await;
        leave(&mut browser).await;
        serves(&mut browser).await;
    }
}

#[tokio::test]
async fn a_thousand_streams_may_be_opened_before_our_settings_have_come() {
    let origin = Origin::start().await;
    let edge = edge(&origin).await;
    let mut client = Attacker::connect(edge.address, &[]).await;
    let mut bytes = Vec::new();
    for _ in 0..1000 {
        bytes.extend(client.get("/ok").1);
    }
    assert!(client.send_unread(&bytes).await);
    let all = client.read_until("outcomes", |at| at.count_ok() + at.count_resets(REFUSED_STREAM) >= 1000);
    assert!(all.await);
    assert!(client.count_ok() >= 128, "{}", client.count_ok());
    serves(&mut client).await;
}

/// Downloads a file, and opens both windows by `step` for each `step` bytes that have come.
async fn download(window: u32, step: usize, pieces: &[usize]) {
    let origin = Origin::start().await;
    let edge = edge(&origin).await;
    let mut steps = vec![Step::Send(
        format!(
            "HTTP/1.1 200 OK\r\ncache-control: no-store\r\ncontent-length: {}\r\n\r\n",
            pieces.iter().sum::<usize>()
        )
        .into_bytes(),
    )];
    for piece in pieces {
        steps.push(Step::Send(vec![b'x'; *piece]));
        if *piece < 1024 {
            steps.push(Step::Think(Duration::from_millis(1)));
        }
    }
    origin.on("/file", steps);
    let mut client = Attacker::connect(edge.address, &[(INITIAL_WINDOW_SIZE, window)]).await;
    let (stream, request) = client.get("/file");
    client.send(&request).await;
    let (mut given, all) = (0, pieces.iter().sum::<usize>());
    while client.content < all {
        let wanted = (client.content + 1).max(given + step).min(all);
        let goes_on = client.read_until("content", |at| at.content >= wanted).await;
        assert!(goes_on, "cut after {} of {all} bytes", client.content);
        let mut updates = Vec::new();
        while given + step <= client.content {
            given += step;
            let more = u32::try_from(step).unwrap_or(u32::MAX).to_be_bytes();
            updates.extend(frame(WINDOW_UPDATE, 0, stream, &more));
            updates.extend(frame(WINDOW_UPDATE, 0, 0, &more));
        }
        client.send(&updates).await;
    }
    serves(&mut client).await;
}

#[tokio::test]
async fn a_download_may_be_read_by_1_kb() {
    download(65_535, 1024, &[16 << 20]).await;
}

#[tokio::test]
async fn a_download_may_have_a_window_of_4_kb() {
    download(4096, 1024, &[8 << 20]).await;
}

#[tokio::test]
async fn each_of_many_small_pieces_may_be_acknowledged() {
    download(65_535, 40, &[40; 2500]).await;
}

#[tokio::test]
async fn pings_may_go_on_each_tenth_of_a_second() {
    let origin = Origin::start().await;
    let edge = edge(&origin).await;
    let mut client = Attacker::connect(edge.address, &[]).await;
    let mut pace = interval(Duration::from_millis(100));
    for _ in 0..20 {
        pace.tick().await;
        client.send(&frame(PING, 0, 0, b"whatever")).await;
    }
    serves(&mut client).await;
}

#[tokio::test]
#[ignore = "takes a minute"]
async fn a_stream_may_be_open_for_a_minute_with_a_ping_each_10_seconds() {
    let origin = Origin::start().await;
    let edge = edge(&origin).await;
    origin.on(
        "/slow",
        [
            Step::Think(Duration::from_secs(55)),
            Step::Send(response("200 OK", &[], b"slow")),
        ],
    );
    let mut client = Attacker::connect(edge.address, &[]).await;
    let (_, request) = client.get("/slow");
    client.send(&request).await;
    for _ in 0..6 {
        sleep(Duration::from_secs(10)).await;
        assert!(client.settle().await);
    }
    assert_eq!(client.count_ok(), 1);
    serves(&mut client).await;
}

/// Some requests of many are given up.
async fn mostly_completed(seconds: usize) {
    let origin = Origin::start().await;
    let edge = edge(&origin).await;
    let mut client = Attacker::connect(edge.address, &[]).await;
    for second in 1..=seconds {
        for n in 1..=10 {
            let mut bytes = Vec::new();
            for _ in 0..50 {
                bytes.extend(client.get("/ok").1);
            }
            assert!(client.send(&bytes).await);
            let wanted = (second - 1) * 500 + n * 50;
            assert!(client.read_until("answers", |at| at.count_ok() >= wanted).await);
        }
        let (stream, mut bytes) = client.get("/never");
        bytes.extend(frame(RST_STREAM, 0, stream, &CANCEL));
        client.send(&bytes).await;
    }
    assert_eq!(client.end(End::Lives).await, End::Lives);
}

#[tokio::test]
async fn one_request_of_500_may_be_reset() {
    mostly_completed(3).await;
}

#[tokio::test]
async fn an_upload_may_come_in_tiny_frames() {
    const FRAMES: usize = 30_000;
    let origin = Origin::start().await;
    let edge = edge(&origin).await;
    let mut client = Attacker::connect(edge.address, &[]).await;
    let length = (FRAMES * 100).to_string();
    let (stream, post) = client.post("/ok", &[(b"content-length", length.as_bytes())]);
    client.send(&post).await;
    let bytes = frame(DATA, 0, stream, &[b'x'; 100]).repeat(64);
    for n in 0..FRAMES / 64 {
        // As much as the window takes: 256 KB, and what is given back.
        let room = |at: &Attacker| 200_000 + at.window_of(stream) >= (n + 1) * 6400;
        assert!(
            client.read_until("a window", room).await,
            "cut after {n} times 64 frames"
        );
        client.send(&bytes).await;
    }
    let rest = frame(DATA, 0, stream, &[b'x'; 100]).repeat(FRAMES % 64);
    client.send(&rest).await;
    client.send(&frame(DATA, END_STREAM, stream, b"")).await;
    assert!(client.read_until("an answer", |at| at.count_ok() == 1).await);
    serves(&mut client).await;
}

/// The last GOAWAY of a shutdown and a request may cross.
#[tokio::test]
async fn a_request_that_comes_after_our_goaway_costs_no_other_one() {
    let origin = Origin::start().await;
    let edge = edge(&origin).await;
    origin.on(
        "/gate",
        [Step::Gate("gate"), Step::Send(response("200 OK", &[], b"late"))],
    );
    let mut client = Attacker::connect(edge.address, &[]).await;
    let (_, request) = client.get("/gate");
    client.send(&request).await;
    origin.request("/gate").await;
    edge.signal("TERM");
    assert!(client.read_until("the last GOAWAY", |at| at.count(GOAWAY) == 2).await);
    let (stream, mut bytes) = client.post("/ok", &[]);
    bytes.extend(frame(DATA, 0, stream, b"content"));
    bytes.extend(frame(WINDOW_UPDATE, 0, stream, &[0, 0, 4, 0]));
    bytes.extend(frame(RST_STREAM, 0, stream, &CANCEL));
    client.send(&bytes).await;
    assert!(client.settle().await);
    origin.open("gate");
    assert!(client.read_until("the answer", |at| at.count_ok() == 1).await);
}

/// A client that knows no limit yet may send content along.
#[tokio::test]
async fn uploads_above_the_limit_of_streams_are_refused_each_for_itself() {
    let origin = Origin::start().await;
    let edge = edge(&origin).await;
    let mut client = Attacker::connect(edge.address, &[]).await;
    let mut bytes = Vec::new();
    for _ in 0..300 {
        let (stream, post) = client.post("/ok", &[]);
        bytes.extend(post);
        bytes.extend(frame(DATA, END_STREAM, stream, &[b'x'; 100]));
    }
    client.send(&bytes).await;
    let all = client.read_until("outcomes", |at| at.count_ok() + at.count_resets(REFUSED_STREAM) >= 300);
    assert!(all.await);
    serves(&mut client).await;
}
