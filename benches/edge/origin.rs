//! Responds as the application: from memory, on persistent connections, with a count of requested assets.
//!
//! | path | response |
//! |---|---|
//! | `/1k`, `/64k`, `/1m` | content of that size, no `Link` |
//! | `/page/N` | 1 KB that links to three assets of 1 KB, `/asset/N.css`, `.js`, `.woff2`, without Cache-Control |
//! | `/html` | 1 KB of HTML whose head names three assets, no `Link` |
//! | `/cached-page/N` | 1 KB that links to `/cached/N.css` and so on, which are fresh for an hour |

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::support::origin::NOT_FOUND;

/// Bytes of a page, and of each asset.
pub(crate) const SMALL: usize = 1024;

/// The three assets of a page: ending, content type, and the link's `as`.
pub(crate) const ASSETS: [(&str, &str, &str); 3] = [
    ("css", "text/css", "style"),
    ("js", "text/javascript", "script"),
    ("woff2", "font/woff2", "font; crossorigin"),
];

/// A running origin.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    assets: Arc<AtomicU64>,
}

impl Origin {
    /// Starts the origin in a thread of its own.
    pub(crate) fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("an address");
        let assets = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&assets);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let listener = TcpListener::from_std(listener).expect("a socket");
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, Arc::clone(&counted)));
                }
            });
        });
        Self { address, assets }
    }

    /// Returns the number of requests for assets.
    pub(crate) fn assets(&self) -> u64 {
        self.assets.load(Ordering::Relaxed)
    }
}

async fn serve(mut stream: TcpStream, assets: Arc<AtomicU64>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(4096);
    let mut answer = Vec::with_capacity(4096);
    loop {
        while let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let path = path(&buffer);
            answer.clear();
            if path.starts_with("/asset/") || path.starts_with("/cached/") {
                assets.fetch_add(1, Ordering::Relaxed);
            }
            let rest = respond(path, &mut answer);
            buffer.drain(..end + 4);
            stream.write_all(&answer).await?;
            stream.write_all(rest).await?;
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

/// Returns the path of a request line.
fn path(request: &[u8]) -> &str {
    let mut words = request.split(|byte| *byte == b' ');
    words
        .nth(1)
        .and_then(|path| str::from_utf8(path).ok())
        .unwrap_or_default()
}

/// Writes a response. Large content is returned instead of written.
fn respond(path: &str, answer: &mut Vec<u8>) -> &'static [u8] {
    let asset = |name: &str| {
        let ending = name.rsplit_once('.').map_or(name, |(_, ending)| ending);
        ASSETS
            .iter()
            .find(|(known, ..)| *known == ending)
            .map(|(_, kind, _)| *kind)
    };
    let (kind, fields, size) = if let Some(number) = path.strip_prefix("/page/") {
        ("text/html", links("/asset", number), SMALL)
    } else if let Some(number) = path.strip_prefix("/cached-page/") {
        ("text/html", links("/cached", number), SMALL)
    } else if path == "/html" {
        ("text/html", String::new(), SMALL)
    } else if let Some(kind) = path.strip_prefix("/asset/").and_then(asset) {
        (kind, String::new(), SMALL)
    } else if let Some(kind) = path.strip_prefix("/cached/").and_then(asset) {
        (kind, "cache-control: max-age=3600\r\n".to_owned(), SMALL)
    } else if let Some((_, size)) = BODIES.iter().find(|(known, _)| *known == path) {
        ("text/plain", String::new(), *size)
    } else {
        answer.extend_from_slice(NOT_FOUND);
        return &[];
    };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{fields}content-length: {size}\r\n\r\n");
    answer.extend_from_slice(head.as_bytes());
    let body = BODY.get(..size).unwrap_or(&BODY);
    if size > SMALL {
        return body;
    }
    if path == "/html" {
        answer.extend_from_slice(HTML);
        answer.extend_from_slice(body.get(HTML.len()..).unwrap_or_default());
        return &[];
    }
    answer.extend_from_slice(body);
    &[]
}

/// Returns the `Link` field of a page.
fn links(folder: &str, number: &str) -> String {
    let links = ASSETS.map(|(ending, _, kind)| format!("<{folder}/{number}.{ending}>; rel=preload; as={kind}"));
    format!("link: {}\r\n", links.join(", "))
}

/// Paths of plain content, and its sizes.
const BODIES: [(&str, usize); 3] = [("/1k", SMALL), ("/64k", 65_536), ("/1m", 1_048_576)];

const HTML: &[u8] = b"<!doctype html><html><head><title>A page</title><link rel=stylesheet href=/asset/0.css>\
    <script src=/asset/0.js></script><link rel=preload as=font crossorigin href=/asset/0.woff2></head><body>";

static BODY: [u8; 1_048_576] = [b'x'; 1_048_576];
