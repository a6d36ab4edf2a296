//! Frames for promised streams at every moment of their lives: the connection survives, and every
//! page arrives.
//!
//! A client knows a promised stream from its PUSH_PROMISE on and may reset it or open its window at
//! once (RFC 9113 section 5.1, reserved). The h2 crate alone answers that with a connection error at
//! times: see `src/h2/respond/push.rs`.

use std::{collections::HashMap, time::Duration};

use crate::support::{
    edge::{Edge, config},
    origin::{Origin, Step, response},
    raw::{DATA, END_STREAM, Frame, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE, PUSH_PROMISE, RST_STREAM, Raw},
};

const CANCEL: [u8; 4] = [0, 0, 0, 8];
const PAGES: u32 = 100;
const LINKS_PER_PAGE: u32 = 4;
/// Larger than the windows of those that open them, so that some is left to come.
const ASSET: usize = 3000;

/// What the client does with a promised stream, and when.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// On its PUSH_PROMISE.
    Promise,
    /// On its HEADERS.
    Headers,
    /// After so many more frames, whatever they are.
    Later(u32),
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Reset,
    OpenWindow,
}

/// Fetches pages with links one after another, and does as `choose` says with each promised stream.
async fn harass(settings: &[(u16, u32)], mut choose: impl FnMut() -> (Moment, Act)) {
    let origin = Origin::start().await;
    let rest = "push: { max_refusals: 1000 }\nroutes: [{ name: pages, upstream: app }]\n";
    let edge = Edge::with(&config(origin.address, rest)).await;
    let mut raw = Raw::connect(edge.address, settings).await;
    raw.window(0, 1 << 30).await;
    let mut promised: HashMap<u32, (Moment, Act)> = HashMap::new();
    let mut done = 0;
    for page in 0..PAGES {
        let path = script_page(&origin, page);
        let stream = 2 * page + 1;
        raw.get(stream, &path).await;
        let (mut promises, mut body) = (0, Vec::new());
        loop {
            let frame = raw
                .next()
                .await
                .unwrap_or_else(|| panic!("page {page}: the connection ended"));
            assert_ne!(
                frame.kind,
                GOAWAY,
                "page {page}: {}",
                String::from_utf8_lossy(&frame.payload)
            );
            if frame.kind == PUSH_PROMISE {
                promises += 1;
                promised.insert(frame.promised(), choose());
            }
            done += act(&mut raw, &frame, &mut promised).await;
            if frame.stream != stream {
                continue;
            }
            assert_ne!(frame.kind, RST_STREAM, "page {page}: {frame:?}");
            if frame.kind == DATA {
                body.extend_from_slice(&frame.payload);
            }
            if matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0 {
                break;
            }
        }
        assert_eq!(body, path.as_bytes(), "page {page}");
        assert_eq!(promises, LINKS_PER_PAGE, "page {page}");
    }
    let after = raw.settle().await;
    assert!(after.iter().all(|frame| frame.kind != GOAWAY), "{after:?}");
    assert!(done > PAGES, "only {done} frames were sent at their moments");
}

/// A page with links to assets that nothing has named before, each after a think time of its own.
fn script_page(origin: &Origin, page: u32) -> String {
    let path = format!("/page-{page}");
    let mut links = Vec::new();
    for n in 0..LINKS_PER_PAGE {
        let asset = format!("/asset-{page}-{n}");
        links.push(format!("<{asset}>; rel=preload; as=style"));
        let think = Step::Think(Duration::from_millis(u64::from((page + n) % 3)));
        let answer = response("200 OK", &[("cache-control", "max-age=60")], &[b'a'; ASSET]);
        origin.on(&asset, [think, Step::Send(answer)]);
    }
    origin.serve_ok(&path, &[("link", &links.join(", "))], path.as_bytes());
    path
}

/// Sends what is due after this frame; returns how much that was.
async fn act(raw: &mut Raw, frame: &Frame, promised: &mut HashMap<u32, (Moment, Act)>) -> u32 {
    let mut due = Vec::new();
    for (&stream, (moment, act)) in &mut *promised {
        let is_due = match moment {
            Moment::Headers => frame.kind == HEADERS && frame.stream == stream,
            Moment::Promise | Moment::Later(0) => true,
            Moment::Later(frames) => {
                *frames -= 1;
                false
            }
        };
        if is_due {
            due.push((stream, *act));
        }
    }
    for (stream, act) in &due {
        promised.remove(stream);
        match act {
            Act::Reset => raw.send(RST_STREAM, 0, *stream, &CANCEL).await,
            Act::OpenWindow => raw.window(*stream, 100_000).await,
        }
    }
    due.len() as u32
}

/// A window that a pushed body does not fit in.
const SMALL_WINDOW: (u16, u32) = (INITIAL_WINDOW_SIZE, 1000);

#[tokio::test]
async fn every_push_reset_on_its_promise() {
    harass(&[], || (Moment::Promise, Act::Reset)).await;
}

#[tokio::test]
async fn every_push_reset_on_its_headers() {
    harass(&[], || (Moment::Headers, Act::Reset)).await;
}

#[tokio::test]
async fn every_window_opened_on_the_promise() {
    harass(&[SMALL_WINDOW], || (Moment::Promise, Act::OpenWindow)).await;
}

#[tokio::test]
async fn every_window_opened_on_the_headers() {
    harass(&[SMALL_WINDOW], || (Moment::Headers, Act::OpenWindow)).await;
}

#[tokio::test]
async fn resets_and_windows_at_random_moments() {
    for seed in [1, 2, 3] {
        // Xorshift, 32 bits (Marsaglia 2003).
        let mut state: u32 = seed;
        let mut random = move |below: u32| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state % below
        };
        harass(&[SMALL_WINDOW], || {
            let act = if random(3) == 0 { Act::OpenWindow } else { Act::Reset };
            match random(4) {
                0 => (Moment::Promise, act),
                1 => (Moment::Headers, act),
                _ => (Moment::Later(random(12)), act),
            }
        })
        .await;
    }
}
