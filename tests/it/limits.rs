//! What the client's settings, windows and resets ask for.

use std::time::Duration;

use crate::support::{
    client::Client,
    edge::{Edge, PAGES, config},
    origin::{Origin, Step, early_hints, response},
    raw::{
        DATA, ENABLE_PUSH, END_STREAM, HEADERS, INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, PUSH_PROMISE, RST_STREAM,
        Raw, SETTINGS,
    },
    within,
};

const CANCEL: [u8; 4] = [0, 0, 0, 8];
const LINK: &str = "</a.css>; rel=preload; as=style";

fn twelve_links() -> String {
    (0..12)
        .map(|n| format!("</{n}>; rel=preload"))
        .collect::<Vec<_>>()
        .join(", ")
}

#[tokio::test]
async fn promises_stay_within_the_clients_stream_limit() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[("link", &twelve_links())], b"page");
    for n in 0..12 {
        // Answers that do not end keep their promises open.
        origin.on(&format!("/{n}"), [Step::Gate("never")]);
    }
    let edge = Edge::start(origin.address).await;
    for (limit, expected) in [(0, 0), (1, 1), (3, 3)] {
        let mut raw = Raw::connect(edge.address, &[(MAX_CONCURRENT_STREAMS, limit)]).await;
        raw.get(1, "/").await;
        let mut promises = 0;
        loop {
            let frame = raw.next().await.expect("the connection lives");
            promises += usize::from(frame.kind == PUSH_PROMISE);
            if frame.stream == 1 && frame.kind == DATA && frame.flags & END_STREAM != 0 {
                break;
            }
        }
        assert_eq!(promises, expected, "limit {limit}");
    }
    edge.log_line(&["/ 200", "skips=client_stream_limit:12"]).await;
    edge.log_line(&["/ 200", "skips=client_stream_limit:9"]).await;
}

/// Fetches a page with one link on its own path and counts its promises.
async fn promises_of(raw: &mut Raw, origin: &Origin, stream: u32) -> usize {
    let asset = format!("/asset-{stream}");
    origin.asset(&asset, b"x");
    origin.serve_ok(
        &format!("/{stream}"),
        &[("link", &format!("<{asset}>; rel=preload"))],
        b"page",
    );
    raw.get(stream, &format!("/{stream}")).await;
    let mut promises = 0;
    loop {
        let frame = raw.next().await.expect("the connection lives");
        promises += usize::from(frame.kind == PUSH_PROMISE);
        if frame.stream == stream && frame.flags & END_STREAM != 0 && frame.kind != PUSH_PROMISE {
            return promises;
        }
    }
}

#[tokio::test]
async fn push_switched_off_and_on_again_is_obeyed() {
    let origin = Origin::start().await;
    let edge = Edge::start(origin.address).await;
    let mut raw = Raw::connect(edge.address, &[(ENABLE_PUSH, 1)]).await;
    assert_eq!(promises_of(&mut raw, &origin, 1).await, 1);
    raw.settings(&[(ENABLE_PUSH, 0)]).await;
    assert_eq!(promises_of(&mut raw, &origin, 3).await, 0);
    raw.settings(&[(ENABLE_PUSH, 1)]).await;
    assert_eq!(promises_of(&mut raw, &origin, 5).await, 1);
}

#[tokio::test]
async fn tiny_windows_never_deadlock() {
    let origin = Origin::start().await;
    origin
        .serve_ok("/", &[("link", "</a>; rel=preload, </b>; rel=preload")], &[b'd'; 3000])
        .asset("/a", &[b'a'; 2000])
        .asset("/b", &[b'b'; 2000]);
    let edge = Edge::start(origin.address).await;
    let mut raw = Raw::connect(edge.address, &[(INITIAL_WINDOW_SIZE, 7)]).await;
    raw.get(1, "/").await;
    let (mut ended, mut bytes) = (0, 0);
    while ended < 3 {
        let frame = raw.next().await.expect("the connection lives");
        if frame.kind != DATA {
            continue;
        }
        bytes += frame.payload.len();
        ended += usize::from(frame.flags & END_STREAM != 0);
        if frame.flags & END_STREAM == 0 && !frame.payload.is_empty() {
            raw.window(frame.stream, frame.payload.len() as u32 * 9).await;
        }
    }
    assert_eq!(bytes, 7000);
}

#[tokio::test]
async fn a_reset_promise_frees_everything_it_held() {
    let origin = Origin::start().await;
    origin
        .serve_ok("/", &[("link", LINK)], b"page")
        .on("/a.css", [Step::Gate("never")]);
    // What may be kept is fetched to its end, for others.
    let routes = "routes: [{ name: pages, upstream: app, cache: off }]";
    let edge = Edge::with(&config(origin.address, routes)).await;
    let mut raw = Raw::connect(edge.address, &[(MAX_CONCURRENT_STREAMS, 1)]).await;
    raw.get(1, "/").await;
    let promise = raw.next_promise().await;
    origin.request("/a.css").await;
    raw.send(RST_STREAM, 0, promise, &CANCEL).await;
    // The idle connection of the page is kept, that of the push is closed.
    origin.connections_at_most(1).await;
    edge.log_line(&["/a.css", "pushed_by=1"]).await;
    // Its place among the client's streams is given back by a task that nothing here can wait for.
    within("a free place", async {
        let mut stream = 3;
        while promises_of(&mut raw, &origin, stream).await == 0 {
            stream += 2;
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_keeps_refusing_is_not_pushed_to_any_more() {
    let origin = Origin::start().await;
    let edge = Edge::start(origin.address).await;
    let mut raw = Raw::connect(edge.address, &[]).await;
    for (stream, promise) in [(1, 2), (3, 4), (5, 6)] {
        assert_eq!(promises_of(&mut raw, &origin, stream).await, 1);
        raw.send(RST_STREAM, 0, promise, &CANCEL).await;
        raw.settle().await;
    }
    assert_eq!(promises_of(&mut raw, &origin, 7).await, 0);
    edge.log_line(&["/7 200", "skips=client_refuses:1"]).await;
}

#[tokio::test]
async fn an_asset_that_the_client_has_is_not_pushed() {
    let origin = Origin::start().await;
    origin
        .serve_ok("/", &[("link", "</a.css>; rel=preload, </b.js>; rel=preload")], b"page")
        .serve_ok(
            "/other",
            &[("link", "</a.css>; rel=preload, </b.js>; rel=preload")],
            b"page",
        )
        .asset("/a.css", b"css")
        .asset("/b.js", b"js");
    let edge = Edge::start(origin.address).await;
    let client = Client::connect(edge.address).await;
    client.get("/a.css").await;
    assert_eq!(client.get("/").await.promised(), ["/b.js"], "it fetched one itself");
    assert_eq!(
        client.get("/other").await.promised(),
        [""; 0],
        "it was pushed the other"
    );
    assert_eq!((origin.count("/a.css"), origin.count("/b.js")), (1, 1));
    edge.log_line(&["/ 200", "promises=1", "skips=already_fetched:1"]).await;
    edge.log_line(&["/other 200", "promises=0", "skips=already_pushed:1,already_fetched:1"])
        .await;
    let fresh = Client::connect(edge.address).await;
    assert_eq!(
        fresh.get("/").await.promised(),
        ["/a.css", "/b.js"],
        "another connection knows nothing"
    );
}

#[tokio::test]
async fn two_pages_in_flight_share_one_push() {
    let origin = Origin::start().await;
    for path in ["/1", "/2"] {
        origin.on(
            path,
            [
                Step::Gate("pages"),
                Step::Send(response("200 OK", &[("link", LINK)], b"page")),
            ],
        );
    }
    origin.asset("/a.css", b"css");
    let edge = Edge::start(origin.address).await;
    let client = Client::connect(edge.address).await;
    let pages = ["/1", "/2"].map(|path| {
        let client = client.clone();
        tokio::spawn(async move { client.get(path).await })
    });
    origin.request("/1").await;
    origin.request("/2").await;
    origin.open("pages");
    origin.open("pages");
    let mut promised = 0;
    for page in pages {
        promised += page.await.expect("no panic").promised().len();
    }
    assert_eq!((promised, origin.count("/a.css")), (1, 1));
}

#[tokio::test]
async fn bad_answers_are_cancelled_and_remembered() {
    let origin = Origin::start().await;
    let bad: [(&str, &str, &[(&str, &str)]); 6] = [
        ("/missing", "404 Not Found", &[]),
        ("/moved", "302 Found", &[("location", "/x")]),
        ("/private", "200 OK", &[("cache-control", "private, max-age=60")]),
        ("/no-store", "200 OK", &[("cache-control", "no-store")]),
        ("/cookie", "200 OK", &[("set-cookie", "a=b")]),
        ("/vary", "200 OK", &[("vary", "Accept-Encoding, Cookie")]),
    ];
    let mut links = vec!["</good>; rel=preload".to_owned()];
    for (path, status, fields) in bad {
        origin.on(path, [Step::Send(response(status, fields, b"not for everybody"))]);
        links.push(format!("<{path}>; rel=preload"));
    }
    origin
        .serve_ok("/", &[("link", &links.join(", "))], b"page")
        .asset("/good", b"good");
    let edge = Edge::start(origin.address).await;
    let page = Client::connect(edge.address).await.get("/").await;
    assert_eq!(page.promised().len(), 7);
    for (path, ..) in bad {
        let error = page.push(path).answer.as_ref().expect_err("cancelled");
        assert_eq!(error.reason(), Some(h2::Reason::CANCEL), "{path}: {error}");
    }
    assert_eq!(page.push("/good").delivered().body, b"good");
    let page = Client::connect(edge.address).await.get("/").await;
    assert_eq!(page.promised(), ["/good"], "the others are not tried again for a while");
    edge.log_line(&["skips=bad_answer:6"]).await;
    edge.log_line(&["/missing", "failure=\"status 404 Not Found\"", "pushed_by="])
        .await;
}

#[tokio::test]
async fn a_push_whose_origin_fails_never_harms_the_document() {
    let origin = Origin::start().await;
    origin
        .serve_ok("/", &[("link", LINK)], b"page")
        .on("/a.css", [Step::Close]);
    let edge = Edge::start(origin.address).await;
    let page = Client::connect(edge.address).await.get("/").await;
    assert_eq!(page.answer.body, b"page");
    let error = page.push("/a.css").answer.as_ref().expect_err("cancelled");
    assert_eq!(error.reason(), Some(h2::Reason::CANCEL));
}

#[tokio::test]
async fn a_promise_carries_only_what_chooses_a_representation() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[("link", LINK)], b"page").asset("/a.css", b"css");
    let edge = Edge::start(origin.address).await;
    let client = Client::connect(edge.address).await;
    let fields = [
        ("accept-encoding", "gzip"),
        ("accept-language", "de"),
        ("user-agent", "test"),
        ("cookie", "secret=1"),
        ("authorization", "Basic c2VjcmV0"),
        ("referer", "https://elsewhere.example/"),
        ("x-other", "1"),
    ];
    let page = client.fetch(client.get_request("/", &fields)).await;
    let promised = &page.push("/a.css").request;
    let mut names: Vec<_> = promised.headers().keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept", "accept-encoding", "accept-language", "user-agent"]);
    let asked = origin.request("/a.css").await;
    assert_eq!(asked.field("accept-encoding"), Some("gzip"));
    assert_eq!(asked.field("host"), Some(edge.address.to_string().as_str()));
    assert_eq!(
        (
            asked.field("cookie"),
            asked.field("authorization"),
            asked.field("referer")
        ),
        (None, None, None)
    );
}

#[tokio::test]
async fn credentials_ride_along_where_the_route_says_so() {
    let origin = Origin::start().await;
    origin
        .serve_ok("/", &[("link", LINK)], b"page")
        .serve_ok("/a.css", &[("cache-control", "private")], b"mine");
    let rest = "routes:\n  - { name: own, upstream: app, push: { credentials: include } }\n";
    let edge = Edge::with(&config(origin.address, rest)).await;
    let client = Client::connect(edge.address).await;
    let page = client.fetch(client.get_request("/", &[("cookie", "a=1")])).await;
    assert_eq!(page.push("/a.css").delivered().body, b"mine");
    assert_eq!(origin.request("/a.css").await.field("cookie"), Some("a=1"));
}

#[tokio::test]
async fn an_idle_connection_is_closed_with_goaway() {
    let origin = Origin::start().await;
    let edge = Edge::with(&config(
        origin.address,
        &format!("server: {{ limits: {{ idle_timeout: 200ms }} }}\n{PAGES}"),
    ))
    .await;
    let mut raw = Raw::connect(edge.address, &[]).await;
    let frames = raw.rest().await;
    let last = frames.last().expect("frames");
    assert_eq!(
        (last.kind, last.error_code()),
        (crate::support::raw::GOAWAY, 0),
        "{frames:?}"
    );
}

#[tokio::test]
async fn a_busy_connection_is_not_idle() {
    let origin = Origin::start().await;
    origin.on(
        "/",
        [
            Step::Think(Duration::from_millis(600)),
            Step::Send(response("200 OK", &[], b"late")),
        ],
    );
    let edge = Edge::with(&config(
        origin.address,
        &format!("server: {{ limits: {{ idle_timeout: 100ms }} }}\n{PAGES}"),
    ))
    .await;
    assert_eq!(Client::connect(edge.address).await.get("/").await.answer.body, b"late");
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let origin = Origin::start().await;
    let rest = format!("server: {{ limits: {{ handshake_timeout: 200ms }} }}\n{PAGES}");
    let edge = Edge::with(&config(origin.address, &rest)).await;
    for said in [b"".as_slice(), b"PRI * HT", b"GET / HTTP/1.1\r\nhost: a"] {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(edge.address)
            .await
            .expect("the edge listens");
        stream.write_all(said).await.expect("sent");
        let mut answer = Vec::new();
        let _ = within("the connection to be closed", stream.read_to_end(&mut answer)).await;
    }
    assert_eq!(origin.seen().len(), 0);
}

#[tokio::test]
async fn a_shutdown_finishes_what_is_in_flight_and_what_was_promised() {
    let origin = Origin::start().await;
    origin
        .on(
            "/",
            [
                Step::Send(early_hints(&[LINK])),
                Step::Gate("page"),
                Step::Send(response("200 OK", &[("link", "</late.js>; rel=preload")], b"page")),
            ],
        )
        .on(
            "/a.css",
            [
                Step::Gate("asset"),
                Step::Send(response("200 OK", &[], &vec![b's'; 200_000])),
            ],
        )
        .asset("/late.js", b"late");
    let mut edge = Edge::start(origin.address).await;
    let client = Client::connect(edge.address).await;
    let page = tokio::spawn(async move { client.get("/").await });
    origin.request("/a.css").await;
    let mut other = Raw::connect(edge.address, &[]).await;
    other.next_that("settings", |f| f.kind == SETTINGS).await;
    edge.signal("TERM");
    let frames = other.rest().await;
    assert!(
        frames.iter().any(|f| f.kind == crate::support::raw::GOAWAY),
        "{frames:?}"
    );
    origin.open("page");
    origin.open("asset");
    let page = page.await.expect("no panic");
    assert_eq!(page.answer.body, b"page");
    assert_eq!(page.push("/a.css").delivered().body.len(), 200_000);
    assert_eq!(
        page.promised(),
        ["/a.css"],
        "nothing new is promised after the shutdown began"
    );
    assert!(edge.ended().await, "it ends by itself, and well");
    assert!(
        edge.log()
            .iter()
            .any(|line| line.contains("every connection has finished"))
    );
}

#[tokio::test]
async fn a_client_that_never_reads_is_cut_and_others_are_served() {
    let origin = Origin::start().await;
    origin
        .serve_ok("/big", &[], &vec![b'x'; 1 << 20])
        .serve_ok("/small", &[], b"small");
    let rest = format!("server: {{ limits: {{ write_timeout: 300ms }} }}\n{PAGES}");
    let edge = Edge::with(&config(origin.address, &rest)).await;
    let mut raw = Raw::connect(edge.address, &[(INITIAL_WINDOW_SIZE, 0)]).await;
    for n in 0..50 {
        raw.get(n * 2 + 1, "/big").await;
    }
    let client = Client::connect(edge.address).await;
    assert_eq!(client.get("/small").await.answer.body, b"small");
    let mut reset = 0;
    while reset < 50 {
        raw.next_that("a reset", |f| f.kind == RST_STREAM).await;
        reset += 1;
    }
    raw.get(101, "/small").await;
    raw.next_that("an answer on the same connection", |f| {
        f.kind == HEADERS && f.stream == 101
    })
    .await;
}

#[tokio::test]
async fn a_stream_limit_lowered_after_the_promise_never_costs_the_connection() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[("link", LINK)], b"page").on(
        "/a.css",
        [Step::Gate("css"), Step::Send(response("200 OK", &[], b"css"))],
    );
    let edge = Edge::start(origin.address).await;
    let mut raw = Raw::connect(edge.address, &[]).await;
    raw.get(1, "/").await;
    let promise = raw.next_promise().await;
    raw.settings(&[(MAX_CONCURRENT_STREAMS, 0)]).await;
    raw.settle().await;
    origin.open("css");
    let reset = raw.next_that("the promise's reset", |f| f.kind == RST_STREAM).await;
    assert_eq!((reset.stream, reset.error_code()), (promise, 8));
    raw.send(RST_STREAM, 0, promise, &CANCEL).await;
    raw.settings(&[(MAX_CONCURRENT_STREAMS, 10)]).await;
    assert_eq!(promises_of(&mut raw, &origin, 3).await, 1, "the connection goes on");
}

#[tokio::test]
async fn a_promise_without_a_route_is_cancelled() {
    let origin = Origin::start().await;
    origin.serve_ok("/page", &[("link", LINK)], b"page");
    let rest = "routes:\n  - { name: page, match: { path: ^/page }, upstream: app }\n";
    let edge = Edge::with(&config(origin.address, rest)).await;
    let page = Client::connect(edge.address).await.get("/page").await;
    assert_eq!(page.answer.body, b"page");
    let error = page.push("/a.css").answer.as_ref().expect_err("cancelled");
    assert_eq!(error.reason(), Some(h2::Reason::CANCEL));
    assert!(
        Client::connect(edge.address)
            .await
            .get("/page")
            .await
            .promised()
            .is_empty(),
        "and not tried again"
    );
}

#[tokio::test]
async fn a_push_does_not_wait_for_ever_behind_somebody_elses_download() {
    let origin = Origin::start().await;
    origin
        .serve_ok("/download", &[], &vec![b'x'; 8 << 20])
        .serve_ok("/", &[("link", LINK)], b"page")
        .asset("/a.css", b"css");
    let edge = Edge::start(origin.address).await;
    let mut raw = Raw::connect(edge.address, &[(INITIAL_WINDOW_SIZE, 16 << 20)]).await;
    raw.get(1, "/download").await;
    raw.next_that("the download", |f| f.kind == DATA && f.stream == 1).await;
    raw.get(3, "/").await;
    // The download goes on, a little at a time.
    loop {
        let frame = raw.next().await.expect("the connection lives");
        if frame.kind == DATA && frame.stream == 2 && frame.flags & END_STREAM != 0 {
            break;
        }
        if frame.kind == DATA {
            assert!(
                frame.stream != 1 || frame.flags & END_STREAM == 0,
                "the push came before the download ended"
            );
            raw.window(0, frame.payload.len() as u32).await;
            tokio::time::sleep(Duration::from_millis(10)).await; // models a slow link
        }
    }
}

/// A value that changes from answer to answer goes into the table of the connection's header compression. It
/// must not keep the buffer that it came in, or fifty of them are 200 KB a connection.
#[tokio::test]
async fn a_connection_does_not_keep_what_headers_were_read_into() {
    const CONNECTIONS: usize = 100;
    const MOST: usize = 10 << 20;
    let origin = Origin::start().await;
    let paths: Vec<_> = (0..60).map(|n| format!("/{n}")).collect();
    for path in &paths {
        let id = format!("{path}-a-request-has-a-name-of-its-own");
        origin.serve_ok(path, &[("X-Request-Id", &id)], b"");
    }
    let edge = Edge::start(origin.address).await;
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let client = Client::connect(edge.address).await;
        client.get(&paths[0]).await;
        clients.push(client);
    }
    let before = edge.memory();
    for client in &clients {
        for path in &paths {
            assert_eq!(client.get(path).await.answer.status, 200);
        }
    }
    let more = edge.memory().saturating_sub(before);
    assert!(more < MOST, "{more} bytes more");
}

#[tokio::test]
async fn pushes_that_the_client_does_not_read_wait_for_a_place_before_the_origin_is_asked() {
    const ASSETS: usize = 100;
    const PLACES: usize = 32;
    let origin = Origin::start().await;
    let links: Vec<String> = (0..ASSETS)
        .map(|n| format!("</asset-{n}>; rel=preload; as=style"))
        .collect();
    origin.on(
        "/",
        [Step::Send(response("200 OK", &[("link", &links.join(", "))], b"page"))],
    );
    for n in 0..ASSETS {
        origin.asset(&format!("/asset-{n}"), &[b'a'; 500]);
    }
    let routes = "push: { max_promises: 100 }\nroutes: [{ name: pages, upstream: app }]";
    let edge = Edge::with(&config(origin.address, routes)).await;
    let asked = || {
        origin
            .seen()
            .iter()
            .filter(|seen| seen.path().starts_with("/asset-"))
            .count()
    };
    let mut raw = Raw::connect(
        edge.address,
        &[(INITIAL_WINDOW_SIZE, 0), (MAX_CONCURRENT_STREAMS, 100_000)],
    )
    .await;
    raw.get(1, "/").await;
    let mut promises = Vec::new();
    for _ in 0..ASSETS {
        promises.push(raw.next_promise().await);
    }
    let mut begun = 0;
    while begun < PLACES {
        let frame = raw.next().await.expect("the connection lives");
        begun += usize::from(frame.kind == HEADERS && frame.stream.is_multiple_of(2));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(asked(), PLACES, "no place is left");
    // One is taken, one is not wanted: two more are asked for.
    raw.window(promises[0], 500).await;
    raw.next_that("the end of a push", |frame| {
        frame.kind == DATA && frame.stream == promises[0]
    })
    .await;
    raw.send(RST_STREAM, 0, promises[1], &CANCEL).await;
    // One that waits is reset as well, and never asked for.
    raw.send(RST_STREAM, 0, promises[ASSETS - 1], &CANCEL).await;
    within("two more", async {
        while asked() < PLACES + 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    // Windows that open have all the others come.
    raw.settings(&[(INITIAL_WINDOW_SIZE, 1000)]).await;
    let mut ended = 1;
    while ended < ASSETS - 2 {
        let frame = raw.next().await.expect("the connection lives");
        ended += usize::from(frame.kind == DATA && frame.stream.is_multiple_of(2) && frame.flags & END_STREAM != 0);
    }
    assert_eq!(asked(), ASSETS - 1);
}
