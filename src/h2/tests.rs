//! Tests the order in which a whole connection sends its streams: the application answers at once, and the client reads
//! raw frames.

use std::{cell::RefCell, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, StatusCode, request::Parts};
use pingora::{
    apps::{HttpServerApp, ReusedHttpStream},
    http::ResponseHeader,
    protocols::http::ServerSession,
    server::ShutdownWatch,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::{Semaphore, watch},
    time::timeout,
};

use super::{
    Limits, RequestScheduler, Responder, serve,
    wire::frame::{FrameHeader, HEADER_LEN, PREFACE, flag, kind, setting},
};
use crate::{
    exchange::{ResponseSource, StoredResponse},
    peer,
    push::{Destination, Diary, Plan, Promise, PushedBy, Source, Urgency},
};

const BIG: usize = 1_000_000;
const PIECE: usize = 50_000;
const DEADLINE: Duration = Duration::from_secs(60);
const ASSETS: [(&str, Destination); 3] = [
    ("/image", Destination::Image),
    ("/style", Destination::Style),
    ("/script", Destination::Script),
];

/// An application that answers every request with [`BIG`] bytes; a document plans [`ASSETS`], and waits for a permit.
struct App {
    documents: Semaphore,
    /// The path of the asset whose response has the highest urgency.
    urgent: &'static str,
}

fn plan() -> Plan {
    let diary = Diary::new(16);
    let promises = ASSETS.map(|(path, destination)| Promise {
        request: Request::get(format!("http://h{path}")).body(()).expect("a request"),
        destination: Some(destination),
        source: Source::Early,
        urgency: Urgency::of(Some(destination), None),
        key: diary.key("http", "h", path),
        slot: None,
    });
    Plan {
        promises: promises.into(),
        hints: Vec::new(),
        ..Plan::default()
    }
}

#[async_trait]
impl HttpServerApp for App {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        _shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if session.req_header().uri.path() == "/" {
            let mut early = ResponseHeader::build(StatusCode::EARLY_HINTS, None).expect("a header");
            early.extensions_mut().insert(plan());
            session.write_response_header(Box::new(early)).await.expect("planned");
            self.documents.acquire().await.expect("open").forget();
        }
        let mut header = ResponseHeader::build(StatusCode::OK, None).expect("a header");
        if session.req_header().uri.path() == self.urgent {
            header.insert_header("priority", "u=0, i").expect("a field");
        }
        session
            .write_response_header(Box::new(header))
            .await
            .expect("a header goes");
        for _ in 0..BIG / PIECE {
            let piece = Bytes::from_static(&[0; PIECE]);
            session.write_response_body(piece, false).await.expect("a body goes");
        }
        session.write_response_body(Bytes::new(), true).await.expect("it ends");
        None
    }
}

/// Limits that no test reaches.
pub(super) const LIMITS: Limits = Limits {
    max_streams: 100,
    max_header_bytes: 16 * 1024,
    max_header_fields: 100,
    max_malformed: 1,
    diary_entries: 16,
    handshake_timeout: DEADLINE,
    idle_timeout: DEADLINE,
    read_timeout: DEADLINE,
    write_timeout: DEADLINE,
};

/// An empty store.
pub(super) struct Empty;

impl ResponseSource for Empty {
    fn find(&self, _: &Parts, _: &peer::ClientConnection, _: Option<PushedBy>) -> Option<StoredResponse> {
        None
    }
}

/// Returns a frame as bytes.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = bytes::BytesMut::new();
    let length = payload.len();
    FrameHeader {
        length,
        kind,
        flags,
        stream,
    }
    .put(&mut bytes);
    [&bytes, payload].concat()
}

/// A client that reads frames.
struct Reader {
    io: DuplexStream,
    bytes: Vec<u8>,
}

/// Lengths of content in the order in which it came, by stream, and the numbers of responses that began and ended.
#[derive(Default)]
struct Seen(RefCell<Record>);

#[derive(Default)]
struct Record {
    runs: Vec<(u32, usize)>,
    begun: usize,
    ended: usize,
}

impl Seen {
    fn record(&self, frame: FrameHeader) {
        let record = &mut *self.0.borrow_mut();
        record.begun += usize::from(frame.kind == kind::HEADERS);
        let may_end = matches!(frame.kind, kind::DATA | kind::HEADERS);
        record.ended += usize::from(may_end && frame.has(flag::END_STREAM));
        if frame.kind != kind::DATA || frame.length == 0 {
            return;
        }
        match record.runs.last_mut() {
            Some((last, bytes)) if *last == frame.stream => *bytes += frame.length,
            _ => record.runs.push((frame.stream, frame.length)),
        }
    }
}

impl Seen {
    fn bytes(&self) -> usize {
        self.0.borrow().runs.iter().map(|(_, bytes)| bytes).sum()
    }
}

impl Reader {
    /// Reads frames until `enough` returns `true`.
    async fn read_until(&mut self, seen: &Seen, enough: impl Fn(&Seen) -> bool) {
        let reading = async {
            let mut bytes = vec![0; 64 * 1024];
            while !enough(seen) {
                let read = self.io.read(&mut bytes).await.expect("bytes");
                assert_ne!(read, 0, "the connection lives");
                self.bytes.extend_from_slice(bytes.get(..read).unwrap_or_default());
                while let Some((head, rest)) = self.bytes.split_first_chunk::<HEADER_LEN>() {
                    let header = FrameHeader::parse(*head);
                    let Some((_, rest)) = rest.split_at_checked(header.length) else {
                        break;
                    };
                    seen.record(header);
                    self.bytes = rest.to_vec();
                }
            }
        };
        timeout(DEADLINE, reading).await.expect("enough in time");
    }

    async fn open_window(&mut self) {
        let frame = frame(kind::WINDOW_UPDATE, 0, 0, &(64_u32 << 20).to_be_bytes());
        self.io.write_all(&frame).await.expect("sent");
    }
}

/// Starts a connection whose client has requested a document. The connection's window is 64 KiB - 1, and the windows
/// of streams never fill.
async fn request_a_document(app: &Arc<App>) -> Reader {
    let (mut io, server) = duplex(16 * 1024);
    let (sender, shutdown) = watch::channel(false);
    let responder = Responder {
        stored: Arc::new(Empty),
        app: Arc::clone(app),
        scheduler: Arc::new(RequestScheduler::new(1)),
        meter: Arc::default(),
    };
    tokio::spawn(async move {
        let _sender = sender;
        serve(Box::new(server), None, responder, LIMITS, shutdown).await;
    });
    let window = [
        &setting::INITIAL_WINDOW_SIZE.to_be_bytes()[..],
        &(64_u32 << 20).to_be_bytes(),
    ]
    .concat();
    let settings = frame(kind::SETTINGS, 0, 0, &window);
    let get = frame(kind::HEADERS, 5, 1, b"\x82\x86\x84\x41\x01h");
    io.write_all(&[PREFACE.as_slice(), &settings, &get].concat())
        .await
        .expect("sent");
    Reader { io, bytes: Vec::new() }
}

/// Returns the order in which streams are sent after the connection's window opens, when all responses have begun.
async fn order_of_streams(urgent: &'static str) -> Vec<u32> {
    let app = Arc::new(App {
        documents: Semaphore::new(1),
        urgent,
    });
    let mut reader = request_a_document(&app).await;
    let seen = Seen::default();
    reader
        .read_until(&seen, |seen| seen.0.borrow().begun == 4 && seen.bytes() == 65_535)
        .await;
    reader.open_window().await;
    reader.read_until(&seen, |seen| seen.0.borrow().ended == 4).await;
    let runs = seen.0.take().runs;
    let document_at = runs.iter().position(|run| run.0 == 1).expect("a document");
    let before: usize = runs.iter().take(document_at).map(|(_, bytes)| bytes).sum();
    assert!(before <= 65_535, "{before} bytes of pushes were on their way");
    let mut streams: Vec<u32> = runs.iter().skip(document_at).map(|(stream, _)| *stream).collect();
    streams.dedup();
    streams
}

#[tokio::test]
async fn the_document_goes_first_and_pushes_one_after_another_by_urgency() {
    assert_eq!(
        order_of_streams("").await,
        [1, 4, 6, 2],
        "the document, style, script, image"
    );
}

#[tokio::test]
async fn the_urgency_in_a_pushed_response_overrides_that_of_the_plan() {
    assert_eq!(
        order_of_streams("/image").await,
        [1, 2, 4, 6],
        "the document, image, style, script"
    );
}

#[tokio::test]
async fn a_document_overtakes_the_pushes_that_are_under_way() {
    let app = Arc::new(App {
        documents: Semaphore::new(0),
        urgent: "",
    });
    let mut reader = request_a_document(&app).await;
    let seen = Seen::default();
    reader.open_window().await;
    reader.read_until(&seen, |seen| seen.bytes() > BIG / 2).await;
    app.documents.add_permits(1);
    reader
        .read_until(&seen, |seen| seen.0.borrow().runs.iter().any(|run| run.0 == 1))
        .await;
    let at_begin = seen.0.borrow().runs.len();
    reader.read_until(&seen, |seen| seen.0.borrow().ended == 4).await;
    let runs = seen.0.take().runs;
    let document_ends = runs.iter().rposition(|run| run.0 == 1).expect("a document");
    let between: usize = runs
        .iter()
        .take(document_ends)
        .skip(at_begin)
        .filter(|(stream, _)| *stream != 1)
        .map(|(_, bytes)| bytes)
        .sum();
    assert!(
        between <= 16 * 1024,
        "{between} bytes of pushes between those of the document"
    );
    assert!(document_ends + 1 < runs.len(), "the pushes go on");
}
