//! The document first (rule 12), as a client on the network sees it. That it holds byte for byte is tested
//! where no time passes, in `src/h2/tests.rs`: a server that is kept from running for 50 ms may let a push go.

use crate::support::{
    client::Client,
    edge::Edge,
    origin::{Origin, Step},
    raw::{DATA, END_STREAM, HEADERS, INITIAL_WINDOW_SIZE, Raw, get},
};

const BIG: usize = 1_500_000;

/// RFC 9218 section 7.1.
const PRIORITY_UPDATE: u8 = 16;

/// Few enough frames that nobody loses patience on a busy machine.
const BODY: usize = 300_000;

/// Asks for two big bodies, of which the first has only begun when the second comes, and returns which
/// stream ended first once the windows are opened.
async fn first_to_end(priorities: [&str; 2], answered: &str, update: Option<&[u8]>) -> u32 {
    let origin = Origin::start().await;
    let fields: &[(&str, &str)] = if answered.is_empty() {
        &[]
    } else {
        &[("priority", answered)]
    };
    origin
        .serve_ok("/first", &[], &vec![b'1'; BODY])
        .serve_ok("/second", fields, &vec![b'2'; BODY / 2]);
    let edge = Edge::start(origin.address).await;
    let mut raw = Raw::connect(edge.address, &[(INITIAL_WINDOW_SIZE, 8 << 20)]).await;
    let authority = raw.authority.clone();
    for (stream, path, priority) in [(1, "/first", priorities[0]), (3, "/second", priorities[1])] {
        let mut fields = get(&authority, path.as_bytes());
        if !priority.is_empty() {
            fields.push((b"priority", priority.as_bytes()));
        }
        raw.request(stream, &fields).await;
        raw.next_that("a header", |f| f.kind == HEADERS && f.stream == stream)
            .await;
    }
    if let Some(update) = update {
        raw.send(PRIORITY_UPDATE, 0, 0, update).await;
    }
    raw.settle().await;
    // A little at a time, so that turns decide who ends, not who was quicker.
    let mut ended = None;
    while ended.is_none() {
        raw.window(0, 16_384).await;
        let frame = raw.next_that("data", |f| f.kind == DATA).await;
        ended = (frame.flags & END_STREAM != 0).then_some(frame.stream);
    }
    ended.expect("one has ended")
}

#[tokio::test]
async fn client_and_origin_say_which_answer_is_urgent() {
    // In turn the half as big one ends first.
    assert_eq!(first_to_end(["", ""], "", None).await, 3);
    assert_eq!(
        first_to_end(["u=1", "u=5, i"], "", None).await,
        1,
        "the client's request"
    );
    assert_eq!(
        first_to_end(["u=1", "u=5"], "u=0", None).await,
        3,
        "the origin's answer"
    );
    let update = b"\0\0\0\x01u=0";
    assert_eq!(
        first_to_end(["u=6", "u=5"], "", Some(update)).await,
        1,
        "the client's second thought"
    );
}

#[tokio::test]
async fn everything_arrives_whole() {
    let origin = Origin::start().await;
    let links = "</image>; rel=preload; as=image, </style>; rel=preload; as=style, </script>; rel=preload; as=script";
    origin
        .serve_ok("/", &[("link", links)], &vec![b'd'; BIG])
        .asset("/image", &vec![b'i'; BIG])
        .asset("/style", &vec![b's'; BIG])
        .asset("/script", &vec![b'j'; BIG]);
    let edge = Edge::start(origin.address).await;
    let page = Client::connect(edge.address).await.get("/").await;
    assert!(page.answer.body == vec![b'd'; BIG]);
    for (path, byte) in [("/image", b'i'), ("/style", b's'), ("/script", b'j')] {
        assert!(page.push(path).delivered().body == vec![byte; BIG], "{path}");
    }
}

#[tokio::test]
async fn a_client_that_reads_its_pushes_first_is_not_left_waiting() {
    let origin = Origin::start().await;
    origin
        .serve_ok("/", &[("link", "</a.css>; rel=preload; as=style")], &vec![b'd'; BIG])
        .asset("/a.css", &vec![b's'; 50_000]);
    let edge = Edge::start(origin.address).await;
    let mut raw = Raw::connect(edge.address, &[(INITIAL_WINDOW_SIZE, 60_000)]).await;
    raw.window(0, 8 << 20).await;
    raw.get(1, "/").await;
    let promise = raw.next_promise().await;
    // The document's own window stays shut after 60,000 bytes; the push still arrives.
    raw.next_that("the end of the push", |f| {
        f.kind == DATA && f.stream == promise && f.flags & END_STREAM != 0
    })
    .await;
    let mut got = 60_000;
    while got < BIG {
        raw.window(1, 60_000).await;
        got += 60_000;
    }
    raw.next_that("the end of the document", |f| {
        f.kind == DATA && f.stream == 1 && f.flags & END_STREAM != 0
    })
    .await;
}

#[tokio::test]
async fn a_document_whose_body_is_late_does_not_hold_its_pushes_back() {
    let origin = Origin::start().await;
    let head = "HTTP/1.1 200 OK\r\nlink: </a.css>; rel=preload; as=style\r\ncontent-length: 4\r\n\r\n";
    origin
        .on(
            "/",
            [
                Step::Send(head.into()),
                Step::Gate("body"),
                Step::Send(b"page".to_vec()),
            ],
        )
        .asset("/a.css", b"css");
    let edge = Edge::start(origin.address).await;
    let mut raw = Raw::connect(edge.address, &[]).await;
    raw.get(1, "/").await;
    let promise = raw.next_promise().await;
    let body = raw.next_that("the pushed body", |f| f.kind == DATA).await;
    assert_eq!((body.stream, body.payload.as_slice()), (promise, b"css".as_slice()));
    origin.open("body");
    raw.next_that("the document's body", |f| f.kind == DATA && f.stream == 1)
        .await;
}
