//! Contents that are known by their position, an origin of them, and clients that compare each byte, as slowly as they are
//! told to.

use std::{net::SocketAddr, sync::OnceLock, time::Duration};

use h2::{
    RecvStream,
    client::{ResponseFuture, SendRequest},
};
use http::Request;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpSocket, TcpStream},
    time::{sleep, timeout},
};

/// A prime, so that no size of pieces or windows fits into it.
const PATTERN: usize = 65_521;

/// The bytes from this place of a content on, as many as the pattern has left.
fn expected(seed: usize, at: usize) -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    let bytes = BYTES.get_or_init(|| {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..PATTERN).map(|_| next()).collect()
    });
    &bytes[(seed * 7919 + at) % PATTERN..]
}

/// Where a content is compared.
struct Checked {
    seed: usize,
    at: usize,
}

impl Checked {
    fn take(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() {
            let expected = expected(self.seed, self.at);
            let length = expected.len().min(bytes.len());
            if expected[..length] != bytes[..length] {
                return Err(format!("other bytes within {length} of {}", self.at));
            }
            bytes = &bytes[length..];
            self.at += length;
        }
        Ok(())
    }
}

/// A path of a content: `name` makes it one of its own.
pub fn path(size: usize, is_chunked: bool, name: usize) -> String {
    format!("/{}/{size}/{name}", if is_chunked { "chunked" } else { "length" })
}

fn parse(path: &str) -> Option<(bool, usize, usize)> {
    let mut parts = path.split('/').skip(1);
    let is_chunked = parts.next()? == "chunked";
    Some((is_chunked, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// An origin that answers each [`path`] with its content, and `/page/PATH` with a page that preloads that.
pub async fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(BufReader::new(stream)));
        }
    });
    address
}

async fn serve(mut stream: BufReader<TcpStream>) -> std::io::Result<()> {
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        while !matches!(line.as_str(), "\r\n" | "") {
            line.clear();
            stream.read_line(&mut line).await?;
        }
        let mut head = "HTTP/1.1 200 OK\r\ncache-control: max-age=600\r\n".to_owned();
        if let Some(target) = path.strip_prefix("/page") {
            head.push_str(&format!(
                "link: <{target}>; rel=preload; as=image\r\ncontent-length: 4\r\n\r\npage"
            ));
            stream.write_all(head.as_bytes()).await?;
            continue;
        }
        let Some((is_chunked, size, seed)) = parse(&path) else {
            stream
                .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
                .await?;
            continue;
        };
        head.push_str(&if is_chunked {
            "transfer-encoding: chunked\r\n\r\n".to_owned()
        } else {
            format!("content-length: {size}\r\n\r\n")
        });
        stream.write_all(head.as_bytes()).await?;
        let mut at = 0;
        while at < size {
            let bytes = expected(seed, at);
            // Chunks of many lengths.
            let bytes = &bytes[..bytes.len().min(size - at).min(1 + (at * 7 + 3_000) % 40_000)];
            if is_chunked {
                stream.write_all(format!("{:x}\r\n", bytes.len()).as_bytes()).await?;
            }
            stream.write_all(bytes).await?;
            if is_chunked {
                stream.write_all(b"\r\n").await?;
            }
            at += bytes.len();
        }
        if is_chunked {
            stream.write_all(b"0\r\n\r\n").await?;
        }
    }
}

/// How fast a client reads.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Bytes a second; 0 is as fast as it can.
    pub rate: usize,
    /// Where it stops for a while, and for how long.
    pub stall: Option<(usize, Duration)>,
    /// How long after the others it begins.
    pub after: Duration,
    /// Where it leaves.
    pub leaves: Option<usize>,
}

pub const FULL: Pace = Pace {
    rate: 0,
    stall: None,
    after: Duration::ZERO,
    leaves: None,
};

pub const fn rate(rate: usize) -> Pace {
    Pace { rate, ..FULL }
}

pub const fn stalled(at: usize, seconds: u64) -> Pace {
    Pace {
        stall: Some((at, Duration::from_secs(seconds))),
        ..FULL
    }
}

pub const fn after(milliseconds: u64, pace: Pace) -> Pace {
    Pace {
        after: Duration::from_millis(milliseconds),
        ..pace
    }
}

/// Takes its time up to a place, and is gone.
pub const fn leaving(at: usize, rate: usize) -> Pace {
    Pace {
        rate,
        leaves: Some(at),
        ..FULL
    }
}

impl Pace {
    fn leaves_at(&self, at: usize) -> bool {
        self.leaves.is_some_and(|leaves| at >= leaves)
    }

    /// After bytes up to a place were read.
    async fn wait(&self, before: usize, now: usize) {
        if let Some((at, time)) = self.stall
            && (before..now).contains(&at)
        {
            sleep(time).await;
        }
        if self.rate > 0 {
            sleep(Duration::from_secs_f64((now - before) as f64 / self.rate as f64)).await;
        }
    }
}

/// How long anything may take that goes on by itself.
const PATIENCE: Duration = Duration::from_secs(30);

async fn within<T>(at: usize, future: impl Future<Output = T>) -> Result<T, String> {
    timeout(PATIENCE, future)
        .await
        .map_err(|_| format!("nothing more at {at}"))
}

/// Connects with small buffers, so that a slow client is soon felt.
async fn connect(edge: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(64 * 1024).expect("a size");
    let stream = socket.connect(edge).await.expect("the edge listens");
    stream.set_nodelay(true).expect("a TCP socket");
    stream
}

/// An HTTP/2 connection of this window for each stream.
pub async fn http2(edge: SocketAddr, window: u32) -> SendRequest<bytes::Bytes> {
    let mut builder = h2::client::Builder::new();
    builder
        .initial_window_size(window)
        .initial_connection_window_size(64 << 20);
    let (send, connection) = builder.handshake(connect(edge).await).await.expect("a handshake");
    tokio::spawn(async move {
        let _ = connection.await;
    });
    send
}

/// Asks over HTTP/2 when it is time.
async fn ask(
    send: SendRequest<bytes::Bytes>,
    edge: SocketAddr,
    path: &str,
    pace: Pace,
) -> Result<ResponseFuture, String> {
    sleep(pace.after).await;
    let mut send = within(0, send.ready()).await?.map_err(|e| e.to_string())?;
    let request = Request::get(format!("http://{edge}{path}"));
    let request = request.body(()).expect("a request");
    let (answer, _) = send.send_request(request, true).map_err(|e| e.to_string())?;
    Ok(answer)
}

/// Reads a content over HTTP/2, and compares it.
pub async fn read_http2(
    send: SendRequest<bytes::Bytes>,
    edge: SocketAddr,
    path: &str,
    pace: Pace,
) -> Result<(), String> {
    let answer = ask(send, edge, path, pace).await?;
    let answer = within(0, answer).await?.map_err(|e| format!("no header: {e}"))?;
    if answer.status() != 200 {
        return Err(format!("{}", answer.status()));
    }
    read_stream(answer.into_body(), path, pace).await
}

async fn read_stream(mut stream: RecvStream, path: &str, pace: Pace) -> Result<(), String> {
    let (_, size, seed) = parse(path).expect("a path of a content");
    let mut checked = Checked { seed, at: 0 };
    while let Some(data) = within(checked.at, stream.data()).await? {
        let data = data.map_err(|e| format!("at {}: {e}", checked.at))?;
        let before = checked.at;
        checked.take(&data)?;
        pace.wait(before, checked.at).await;
        if pace.leaves_at(checked.at) {
            return Ok(());
        }
        let _ = stream.flow_control().release_capacity(data.len());
    }
    (checked.at == size)
        .then_some(())
        .ok_or_else(|| format!("ended at {} of {size}", checked.at))
}

/// Reads a page, and the content that is pushed with it at this pace.
pub async fn read_pushed(
    send: SendRequest<bytes::Bytes>,
    edge: SocketAddr,
    path: &str,
    pace: Pace,
) -> Result<(), String> {
    let mut answer = ask(send, edge, &format!("/page{path}"), pace).await?;
    let mut promises = answer.push_promises();
    let page = within(0, answer).await?.map_err(|e| format!("no page: {e}"))?;
    let mut body = page.into_body();
    while let Some(data) = within(0, body.data()).await? {
        data.map_err(|e| format!("the page: {e}"))?;
    }
    let promise = within(0, promises.push_promise()).await?.ok_or("no promise")?;
    let (request, pushed) = promise.map_err(|e| e.to_string())?.into_parts();
    assert_eq!(request.uri().path(), path);
    let pushed = within(0, pushed).await?.map_err(|e| format!("no pushed header: {e}"))?;
    read_stream(pushed.into_body(), path, pace).await
}

/// Reads a content over HTTP/1.1, and compares it.
pub async fn read_http1(edge: SocketAddr, path: &str, pace: Pace) -> Result<(), String> {
    sleep(pace.after).await;
    let (_, size, seed) = parse(path).expect("a path of a content");
    let mut stream = BufReader::new(connect(edge).await);
    let request = format!("GET {path} HTTP/1.1\r\nhost: {edge}\r\n\r\n");
    stream
        .get_mut()
        .write_all(request.as_bytes())
        .await
        .map_err(|e| e.to_string())?;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let read = within(0, stream.read_line(&mut head)).await?;
        if read.map_err(|e| format!("no header: {e}"))? == 0 {
            return Err(format!("ended in the header: {head}"));
        }
    }
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(head);
    }
    let mut checked = Checked { seed, at: 0 };
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        loop {
            let mut line = String::new();
            let read = within(checked.at, stream.read_line(&mut line)).await?;
            read.map_err(|e| format!("at {}: {e}", checked.at))?;
            let length = usize::from_str_radix(line.trim_end(), 16)
                .map_err(|_| format!("no chunk at {} of {size}: {line:?}", checked.at))?;
            take(&mut stream, length, &mut checked, pace).await?;
            if pace.leaves_at(checked.at) {
                return Ok(());
            }
            let mut end = [0; 2];
            let read = within(checked.at, stream.read_exact(&mut end)).await?;
            read.map_err(|e| format!("at {}: {e}", checked.at))?;
            if length == 0 {
                break;
            }
        }
    } else {
        take(&mut stream, size, &mut checked, pace).await?;
    }
    (checked.at == size || pace.leaves_at(checked.at))
        .then_some(())
        .ok_or_else(|| format!("ended at {} of {size}", checked.at))
}

async fn take(
    stream: &mut BufReader<TcpStream>,
    mut length: usize,
    checked: &mut Checked,
    pace: Pace,
) -> Result<(), String> {
    let mut buffer = vec![0; 32 * 1024];
    while length > 0 {
        let most = length.min(buffer.len());
        let read = within(checked.at, stream.read(&mut buffer[..most])).await?;
        let read = read.map_err(|e| format!("at {}: {e}", checked.at))?;
        if read == 0 {
            return Err(format!("cut at {}", checked.at));
        }
        let before = checked.at;
        checked.take(&buffer[..read])?;
        pace.wait(before, checked.at).await;
        if pace.leaves_at(checked.at) {
            break;
        }
        length -= read;
    }
    Ok(())
}
