//! The document first (rule 12), and pushes one after another.

use crate::support::{
    edge::Edge,
    origin::{Origin, Step, early_hints, response},
    raw::{DATA, END_STREAM, HEADERS, INITIAL_WINDOW_SIZE, PUSH_PROMISE, Raw},
};

const BIG: usize = 1_500_000;

/// Bytes of pushes that may stand in the edge's and the kernel's buffers when a document starts.
const QUEUED: usize = 64 * 1024;

#[tokio::test]
async fn every_byte_of_the_document_goes_before_the_pushes_which_go_one_after_another_by_urgency() {
    let origin = Origin::start().await;
    let links = "</image>; rel=preload; as=image, </style>; rel=preload; as=style, </script>; rel=preload; as=script";
    origin
        .serve_ok("/", &[("link", links)], &vec![b'd'; BIG])
        .asset("/image", &vec![b'i'; BIG])
        .asset("/style", &vec![b's'; BIG])
        .asset("/script", &vec![b'j'; BIG]);
    let edge = Edge::start(origin.address).await;
    let mut raw = Raw::connect(edge.address, &[(INITIAL_WINDOW_SIZE, 8 << 20)]).await;
    raw.get(1, "/").await;
    // The connection's window stops the document after 64 KiB, until all three answers have begun.
    let mut document = 0;
    let mut begun = 0;
    while begun < 3 || document < 65_535 {
        let frame = raw
            .next_that("data or a header", |f| matches!(f.kind, DATA | HEADERS))
            .await;
        begun += usize::from(frame.kind == HEADERS && frame.stream != 1);
        if frame.kind == DATA {
            assert_eq!(frame.stream, 1, "only the document");
            document += frame.payload.len();
        }
    }
    raw.window(0, 64 << 20).await;
    let mut runs = vec![(1, document)];
    let mut ended = 0;
    while ended < 4 {
        let frame = raw.next_that("data", |f| f.kind == DATA).await;
        ended += usize::from(frame.flags & END_STREAM != 0);
        match runs.last_mut() {
            Some((stream, bytes)) if *stream == frame.stream => *bytes += frame.payload.len(),
            _ => runs.push((frame.stream, frame.payload.len())),
        }
    }
    assert_eq!(
        runs,
        [(1, BIG), (4, BIG), (6, BIG), (2, BIG)],
        "the document, style, script, image"
    );
}

#[tokio::test]
async fn a_document_overtakes_a_push_that_is_under_way() {
    let origin = Origin::start().await;
    origin
        .on(
            "/",
            [
                Step::Send(early_hints(&["</big>; rel=preload; as=image"])),
                Step::Gate("page"),
                Step::Send(response("200 OK", &[], &vec![b'd'; BIG])),
            ],
        )
        .asset("/big", &vec![b'i'; 4 * BIG]);
    let edge = Edge::start(origin.address).await;
    // A window that the push fills and the client does not open until the document has started.
    let mut raw = Raw::connect(edge.address, &[(INITIAL_WINDOW_SIZE, 8 << 20)]).await;
    raw.get(1, "/").await;
    let promise = raw
        .next_that("the promise", |f| f.kind == PUSH_PROMISE)
        .await
        .promised();
    let mut pushed = 0;
    while pushed < 65_535 {
        let frame = raw
            .next_that("pushed bytes", |f| f.kind == DATA && f.stream == promise)
            .await;
        pushed += frame.payload.len();
    }
    assert_eq!(pushed, 65_535, "the connection's window is full");
    origin.open("page");
    raw.next_that("the document's header", |f| f.kind == HEADERS && f.stream == 1)
        .await;
    raw.window(0, 32 << 20).await;
    let (mut document, mut between) = (0, 0);
    while document < BIG {
        let frame = raw.next_that("data", |f| f.kind == DATA).await;
        if frame.stream == 1 {
            document += frame.payload.len();
        } else {
            between += frame.payload.len();
        }
    }
    assert!(
        between <= QUEUED,
        "{between} pushed bytes before the end of the document"
    );
    raw.next_that("the push to go on", |f| f.kind == DATA && f.stream == promise)
        .await;
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
    let promise = raw
        .next_that("the promise", |f| f.kind == PUSH_PROMISE)
        .await
        .promised();
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
    let promise = raw
        .next_that("the promise", |f| f.kind == PUSH_PROMISE)
        .await
        .promised();
    let body = raw.next_that("the pushed body", |f| f.kind == DATA).await;
    assert_eq!((body.stream, body.payload.as_slice()), (promise, b"css".as_slice()));
    origin.open("body");
    raw.next_that("the document's body", |f| f.kind == DATA && f.stream == 1)
        .await;
}
