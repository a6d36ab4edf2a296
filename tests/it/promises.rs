//! Promised stream identifiers, and promises that a client's GOAWAY or RST_STREAM overtakes.
//!
//! The identifiers of a connection's promises leave in ascending order (RFC 9113 section 5.1.1), however many documents
//! promise at once; and whatever a client says of promises that it cannot know yet, the server lives.

use std::{collections::HashSet, future::Future, time::Duration};

use tokio::net::TcpSocket;

use crate::{
    clients::{node, run, url},
    support::{
        client::Client,
        edge::{Edge, config},
        origin::{Origin, Step, response},
        raw::{DATA, END_STREAM, Frame, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE, PREFACE, PUSH_PROMISE, RST_STREAM, Raw},
    },
};

const LINKS_PER_PAGE: usize = 4;
const ROUNDS: usize = 8;
const CANCEL: [u8; 4] = [0, 0, 0, 8];
/// GOAWAY: no promised stream is processed, NO_ERROR.
const LEAVING: [u8; 8] = [0; 8];
/// How long a test waits for what need not happen: some servers read no further before a promise is written.
const PERHAPS: Duration = Duration::from_millis(300);
/// More than the buffers of two sockets hold, if one is small.
const LARGE: usize = 24 << 20;
const WIDE: (u16, u32) = (INITIAL_WINDOW_SIZE, i32::MAX as u32);

fn learning(learn: &str) -> String {
    format!("push: {{ max_refusals: 1000 }}\nroutes: [{{ name: pages, upstream: app, learn: {learn} }}]")
}

fn path(page: usize) -> String {
    format!("/page-{page}")
}

fn asset(page: usize, n: usize) -> String {
    format!("/asset-{page}-{n}")
}

/// The answer of a page that links to assets which no other page links to.
fn answer(page: usize) -> Step {
    let links: Vec<String> = (0..LINKS_PER_PAGE)
        .map(|n| format!("<{}>; rel=preload; as=style", asset(page, n)))
        .collect();
    let fields = [("link", links.join(", "))];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Step::Send(response("200 OK", &fields, path(page).as_bytes()))
}

/// An origin with this many pages, and an edge in front of it that has learned all of them, or learns nothing.
async fn site(pages: usize, learn: &str) -> (Origin, Edge) {
    let origin = Origin::start().await;
    for page in 0..pages {
        origin.on(&path(page), [answer(page)]);
        for n in 0..LINKS_PER_PAGE {
            origin.asset(&asset(page, n), &[b'a'; 500]);
        }
    }
    origin.serve_ok("/alive", &[], b"alive");
    let edge = Edge::with(&config(origin.address, &learning(learn))).await;
    if learn == "on" {
        let client = Client::connect(edge.address).await;
        for page in 0..pages {
            client.get(&path(page)).await;
        }
    }
    (origin, edge)
}

/// Checks the order of promised streams, frame by frame.
#[derive(Default)]
struct Ids {
    last: u32,
    promised: HashSet<u32>,
}

impl Ids {
    fn see(&mut self, frame: &Frame) {
        match frame.kind {
            PUSH_PROMISE => {
                let id = frame.promised();
                assert!(id.is_multiple_of(2) && id > self.last, "{id} after {}", self.last);
                self.last = id;
                self.promised.insert(id);
            }
            HEADERS | DATA | RST_STREAM if frame.stream.is_multiple_of(2) => {
                assert!(self.promised.contains(&frame.stream), "never promised: {frame:?}");
            }
            GOAWAY => panic!("GOAWAY {}: {:?}", frame.error_code(), self.promised),
            _ => {}
        }
    }
}

/// Reads until so many streams of the client's have ended.
async fn read_pages(raw: &mut Raw, ids: &mut Ids, mut pages: usize) {
    while pages > 0 {
        let frame = raw.next().await.expect("the connection lives");
        ids.see(&frame);
        let ends = matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0;
        pages -= usize::from(ends && frame.stream % 2 == 1);
    }
}

/// The process still answers, and nothing in it has panicked.
async fn lives(edge: &Edge) {
    let alive = Client::connect(edge.address).await.get("/alive").await;
    assert_eq!(alive.answer.body, b"alive");
    assert_eq!(edge.count_lines("panicked"), 0);
}

/// Waits for what happens at once or only later.
async fn perhaps(event: impl Future<Output = ()>) {
    let _ = tokio::time::timeout(PERHAPS, event).await;
}

/// Asks for this many pages without waiting for any.
async fn ask(raw: &mut Raw, pages: usize) {
    for page in 0..pages {
        raw.get(stream(page), &path(page)).await;
    }
}

fn stream(page: usize) -> u32 {
    2 * page as u32 + 1
}

#[tokio::test]
async fn documents_that_are_answered_at_once_promise_in_ascending_order() {
    for pages in [2, 4, 8] {
        let (origin, edge) = site(pages, "off").await;
        for page in 0..pages {
            origin.on(&path(page), [Step::Gate("pages"), answer(page)]);
        }
        let mut promises = 0;
        for round in 1..=ROUNDS {
            let mut raw = Raw::connect(edge.address, &[]).await;
            ask(&mut raw, pages).await;
            for page in 0..pages {
                origin.requests(&path(page), round).await;
            }
            for _ in 0..pages {
                origin.open("pages");
            }
            let mut ids = Ids::default();
            read_pages(&mut raw, &mut ids, pages).await;
            promises += ids.promised.len();
        }
        // A promise may be given up for another's sake, but not as a rule.
        assert!(promises > ROUNDS * pages * LINKS_PER_PAGE / 2, "{pages}: {promises}");
    }
}

#[tokio::test]
async fn learned_documents_that_are_asked_for_at_once_promise_in_ascending_order() {
    for pages in [2, 4, 8] {
        let (_origin, edge) = site(pages, "on").await;
        let mut promises = 0;
        for _ in 0..ROUNDS {
            let mut raw = Raw::connect(edge.address, &[]).await;
            ask(&mut raw, pages).await;
            let mut ids = Ids::default();
            read_pages(&mut raw, &mut ids, pages).await;
            promises += ids.promised.len();
        }
        assert!(promises > ROUNDS * pages * LINKS_PER_PAGE / 2, "{pages}: {promises}");
    }
}

#[tokio::test]
async fn documents_that_are_reset_meanwhile_leave_the_others_promises_in_order() {
    const PAGES: usize = 8;
    let (_origin, edge) = site(PAGES + 1, "on").await;
    for round in 0..3 * ROUNDS {
        let mut raw = Raw::connect(edge.address, &[]).await;
        ask(&mut raw, PAGES).await;
        // The moments differ from round to round.
        tokio::time::sleep(Duration::from_micros(100 * round as u64)).await;
        for page in (0..PAGES).step_by(2) {
            raw.send(RST_STREAM, 0, stream(page), &CANCEL).await;
        }
        raw.get(stream(PAGES), &path(PAGES)).await;
        // The pages that were not reset, and the last one.
        let mut ended = HashSet::new();
        let (mut ids, mut of_last) = (Ids::default(), 0);
        while !(ended.contains(&stream(PAGES)) && (1..PAGES).step_by(2).all(|page| ended.contains(&stream(page)))) {
            let frame = raw.next().await.expect("the connection lives");
            ids.see(&frame);
            of_last += usize::from(frame.kind == PUSH_PROMISE && frame.stream == stream(PAGES));
            if matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0 {
                ended.insert(frame.stream);
            }
        }
        // Nobody waits for the promises of a document that is gone.
        if of_last == 0 {
            raw.get(stream(PAGES + 1), &path(0)).await;
            read_pages(&mut raw, &mut ids, 1).await;
        }
    }
    lives(&edge).await;
}

#[tokio::test]
async fn nghttp_takes_what_three_learned_pages_promise() {
    let (_origin, edge) = site(3, "on").await;
    let urls: Vec<String> = (0..3).map(|page| url(&edge, &path(page))).collect();
    let arguments: Vec<&str> = ["-nv"].into_iter().chain(urls.iter().map(String::as_str)).collect();
    for _ in 0..20 {
        let output = run("nghttp", &arguments).await;
        assert!(!output.stdout.contains("PROTOCOL_ERROR"), "{}", output.stdout);
        let answers = output.stdout.lines().filter(|line| line.ends_with(") :status: 200"));
        assert!(answers.count() >= 3, "{}", output.stdout);
    }
}

/// Lets Node ask for learned pages and leave, in sessions of which ten are open at a time.
async fn node_leaves(way: &str, sessions: usize) -> serde_json::Value {
    let (_origin, edge) = site(4, "on").await;
    let base = url(&edge, "");
    let sessions = sessions.to_string();
    let paths: Vec<String> = (0..4).map(path).collect();
    let mut arguments = vec![base.as_str(), way, sessions.as_str()];
    arguments.extend(paths.iter().map(String::as_str));
    let seen = node("leave.js", &arguments).await;
    lives(&edge).await;
    seen
}

#[tokio::test]
async fn node_that_closes_its_sessions_right_after_its_requests_gets_every_answer() {
    let seen = node_leaves("close", 60).await;
    assert_eq!(
        seen,
        serde_json::json!({ "sessions": 60, "answers": 240, "errors": [] })
    );
}

#[tokio::test]
async fn node_that_destroys_its_sessions_right_after_its_requests_harms_nobody() {
    node_leaves("destroy", 60).await;
}

#[tokio::test]
async fn node_that_closes_its_sessions_at_any_moment_harms_nobody() {
    node_leaves("close-later", 60).await;
    node_leaves("destroy-later", 60).await;
}

/// A client that reads nothing, behind a large answer that fills its small buffer, with a page whose promises wait.
async fn blocked(origin: &Origin, edge: &Edge, round: usize) -> Raw {
    let (page, large) = (round, format!("/large-{round}"));
    origin.serve_ok(&large, &[], &vec![b'l'; LARGE]);
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let stream = socket.connect(edge.address).await.expect("the edge listens");
    let mut raw = Raw::over(stream, Vec::new(), edge.address);
    raw.send_bytes(PREFACE).await;
    raw.settings(&[WIDE]).await;
    raw.window(0, i32::MAX as u32 - 65_535).await;
    raw.get(1, &large).await;
    // Its head is here, and the rest fills all buffers.
    raw.next_that("the large answer", |frame| frame.stream == 1).await;
    perhaps(std::future::pending()).await;
    raw.get(3, &path(page)).await;
    perhaps(async {
        origin.request(&asset(page, LINKS_PER_PAGE - 1)).await;
    })
    .await;
    raw
}

/// Reads all that comes after the client's word, until both answers are there or the connection ends.
async fn read_on(raw: &mut Raw) -> Vec<u32> {
    let (mut ids, mut open) = (Ids::default(), 2);
    while open > 0 {
        let Some(frame) = raw.next().await else { break };
        if frame.kind == GOAWAY {
            break;
        }
        ids.see(&frame);
        let ends = matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0 || frame.kind == RST_STREAM;
        open -= usize::from(ends && frame.stream % 2 == 1);
    }
    let mut promised: Vec<u32> = ids.promised.into_iter().collect();
    promised.sort_unstable();
    promised
}

#[tokio::test]
async fn a_goaway_below_promises_that_are_not_written_harms_nobody() {
    const BLOCKED: usize = 3;
    let (origin, edge) = site(BLOCKED, "off").await;
    for round in 0..BLOCKED {
        let mut raw = blocked(&origin, &edge, round).await;
        raw.send(GOAWAY, 0, 0, &LEAVING).await;
        raw.get(5, "/alive").await;
        perhaps(async {
            origin.requests("/alive", 2 * round + 1).await;
        })
        .await;
        // Others are served while this one takes nothing, and after it has taken all.
        lives(&edge).await;
        read_on(&mut raw).await;
        lives(&edge).await;
    }
}

#[tokio::test]
async fn a_client_that_says_goaway_and_vanishes_without_reading_harms_nobody() {
    let (origin, edge) = site(1, "off").await;
    let mut raw = blocked(&origin, &edge, 0).await;
    raw.send(GOAWAY, 0, 0, &LEAVING).await;
    drop(raw);
    edge.log_line(&["/large-0 200"]).await;
    lives(&edge).await;
}

#[tokio::test]
async fn a_reset_of_promises_that_are_not_written_harms_nobody() {
    const BLOCKED: usize = 3;
    let (origin, edge) = site(BLOCKED, "off").await;
    for round in 0..BLOCKED {
        let mut raw = blocked(&origin, &edge, round).await;
        // The first alone, all, or from the last to the first.
        let promises: Vec<u32> = match round {
            0 => vec![2],
            1 => vec![2, 4, 6, 8],
            _ => vec![8, 6, 4, 2],
        };
        for promise in promises {
            raw.send(RST_STREAM, 0, promise, &CANCEL).await;
        }
        raw.get(5, "/alive").await;
        perhaps(async {
            origin.requests("/alive", 2 * round + 1).await;
        })
        .await;
        lives(&edge).await;
        read_on(&mut raw).await;
        lives(&edge).await;
    }
}

#[tokio::test]
async fn a_goaway_or_reset_at_any_moment_harms_nobody() {
    const PAGES: usize = 4;
    let (_origin, edge) = site(PAGES, "on").await;
    for round in 0..40_u64 {
        let mut raw = Raw::connect(edge.address, &[]).await;
        ask(&mut raw, PAGES).await;
        tokio::time::sleep(Duration::from_micros(50 * (round / 2))).await;
        if round % 2 == 0 {
            raw.send(GOAWAY, 0, 0, &LEAVING).await;
            read_pages(&mut raw, &mut Ids::default(), PAGES).await;
        } else {
            for promise in 1..=8 {
                raw.send(RST_STREAM, 0, 2 * promise, &CANCEL).await;
            }
            while raw
                .next()
                .await
                .is_some_and(|frame| frame.kind != GOAWAY && frame.flags & END_STREAM == 0)
            {}
        }
    }
    lives(&edge).await;
}

#[tokio::test]
async fn a_reset_of_a_stream_that_was_never_promised_ends_its_connection() {
    let (_origin, edge) = site(1, "off").await;
    for stream in [2, 0x7fff_fffe] {
        let mut raw = Raw::connect(edge.address, &[]).await;
        raw.settle().await;
        raw.send(RST_STREAM, 0, stream, &CANCEL).await;
        // RFC 9113 section 5.1, idle.
        while raw.next().await.is_some() {}
    }
    lives(&edge).await;
}

#[tokio::test]
async fn a_connection_ends_with_its_last_stream_after_the_clients_goaway() {
    let origin = Origin::start().await;
    origin.on("/page-0", [answer(0)]);
    for n in 0..LINKS_PER_PAGE {
        let thinks = Step::Think(Duration::from_millis(500));
        origin.on(&asset(0, n), [thinks, Step::Send(response("200 OK", &[], b"asset"))]);
    }
    let edge = Edge::with(&config(origin.address, &learning("off"))).await;
    for last in [0, 4, 100] {
        let mut raw = Raw::connect(edge.address, &[]).await;
        raw.get(1, "/page-0").await;
        for _ in 0..LINKS_PER_PAGE {
            raw.next_promise().await;
        }
        raw.next_that("the end of the page", |frame| {
            frame.stream == 1 && frame.flags & END_STREAM != 0
        })
        .await;
        raw.send(GOAWAY, 0, 0, &[0, 0, 0, last, 0, 0, 0, 0]).await;
        let begun = std::time::Instant::now();
        raw.rest().await;
        let elapsed = begun.elapsed();
        assert!(elapsed < Duration::from_secs(5), "{last}: {elapsed:?}");
    }
}
