//! An origin that counts the requests which come to it, by the letter of RFC 9112.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

/// Its answer to everything.
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// How long a connection may last, longer than a client waits for its answer.
const PATIENCE: Duration = Duration::from_secs(12);

/// A running origin; ends with the runtime of its test.
#[derive(Debug)]
pub struct Recorder {
    pub address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicUsize,
    connections: AtomicUsize,
}

impl Recorder {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let counts = Arc::new(Counts::default());
        let counting = Arc::clone(&counts);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counting.connections.fetch_add(1, Ordering::SeqCst);
                let counts = Arc::clone(&counting);
                tokio::spawn(async move {
                    let _ = timeout(PATIENCE, serve(stream, &counts.requests)).await;
                    counts.connections.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, counts }
    }

    /// How many whole requests have come since this was asked last, once their connections are closed.
    pub async fn taken(&self) -> usize {
        // A connection may wait to be accepted.
        sleep(Duration::from_millis(10)).await;
        crate::support::within("connections to close", async {
            while self.counts.connections.load(Ordering::SeqCst) > 0 {
                sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
        self.counts.requests.swap(0, Ordering::SeqCst)
    }
}

/// Answers the first request, and counts all that come on a connection. Its answer ends the connection, so that the
/// requests of one case are not mixed up with those of the next; what comes behind a whole request counts as one, even if
/// it is none.
async fn serve(mut stream: TcpStream, requests: &AtomicUsize) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    let mut whole = 0;
    loop {
        while let Message::Whole(length) = message(&buffer) {
            buffer.drain(..length);
            whole += 1;
            requests.fetch_add(1, Ordering::SeqCst);
            if whole == 1 {
                stream.write_all(ANSWER.as_bytes()).await?;
                stream.shutdown().await?;
            }
        }
        if stream.read_buf(&mut buffer).await.unwrap_or_default() == 0 {
            let is_more = whole > 0 && !buffer.is_empty();
            requests.fetch_add(usize::from(is_more), Ordering::SeqCst);
            return Ok(());
        }
    }
}

/// What begins with some bytes.
#[derive(Debug, PartialEq, Eq)]
enum Message {
    /// A request of so many bytes.
    Whole(usize),
    /// A request whose end has not come, or that has none.
    Begun,
}

fn message(bytes: &[u8]) -> Message {
    let Some(head) = bytes.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4) else {
        return Message::Begun;
    };
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let field = |name: &str| {
        let mut fields = text.split("\r\n").filter_map(|line| line.split_once(':'));
        fields.find(|(n, _)| *n == name).map(|(_, value)| value.trim())
    };
    let content = &bytes[head..];
    let length = match (field("transfer-encoding"), field("content-length")) {
        (Some("chunked"), None) => chunks(content),
        (None, Some(length)) => length.parse().ok().filter(|length| *length <= content.len()),
        (None, None) => Some(0),
        _ => None,
    };
    length.map_or(Message::Begun, |length| Message::Whole(head + length))
}

/// How many bytes are chunks, up to the end of their trailers.
fn chunks(content: &[u8]) -> Option<usize> {
    let line = |from: usize| {
        let rest = content.get(from..)?;
        let length = rest.windows(2).position(|w| w == b"\r\n")?;
        Some((&rest[..length], from + length + 2))
    };
    let mut at = 0;
    loop {
        let (size, data) = line(at)?;
        let digits = std::str::from_utf8(size).ok()?.split(';').next()?;
        let size = usize::from_str_radix(digits, 16)
            .ok()
            .filter(|_| !digits.starts_with('+'))?;
        if size == 0 {
            at = data;
            break;
        }
        let end = data.checked_add(size)?;
        if content.get(end..end + 2)? != b"\r\n" {
            return None;
        }
        at = end + 2;
    }
    loop {
        let (trailer, next) = line(at)?;
        at = next;
        if trailer.is_empty() {
            return Some(at);
        }
    }
}

#[test]
fn only_whole_requests_count() {
    let head = "POST / HTTP/1.1\r\n";
    let table = [
        ("Host: a\r\n\r\n", Some("Host: a\r\n\r\n".len())),
        ("Content-Length: 2\r\n\r\nokGET", Some(23)),
        ("Content-Length: 3\r\n\r\nok", None),
        ("Content-Length: x\r\n\r\nok", None),
        ("Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nGET", Some(42)),
        (
            "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n",
            Some(48),
        ),
        ("Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n", None),
        ("Transfer-Encoding: chunked\r\n\r\n2\r\nokk\r\n0\r\n\r\n", None),
        ("Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n", None),
        ("Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n", None),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", None),
        ("Host: a\r\n", None),
    ];
    for (rest, length) in table {
        let expected = length.map_or(Message::Begun, |length| Message::Whole(head.len() + length));
        assert_eq!(message(format!("{head}{rest}").as_bytes()), expected, "{rest:?}");
    }
}
