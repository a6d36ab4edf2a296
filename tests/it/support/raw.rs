//! An HTTP/2 client of raw frames, for what no library would send.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const ENABLE_PUSH: u16 = 2;
pub const MAX_CONCURRENT_STREAMS: u16 = 3;
pub const INITIAL_WINDOW_SIZE: u16 = 4;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error code of RST_STREAM, or of GOAWAY.
    pub fn error_code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("four bytes"))
    }

    /// The stream that a PUSH_PROMISE promises.
    pub fn promised(&self) -> u32 {
        u32::from_be_bytes(self.payload[..4].try_into().expect("four bytes"))
    }

    /// The status of a response that begins with an entry of the static table (200, 204, 206, 304,
    /// 400, 404, 500), or that spells it out as the first field without Huffman coding.
    pub fn status(&self) -> Option<u16> {
        let statuses = [200, 204, 206, 304, 400, 404, 500];
        // A dynamic table size update may come first.
        let block = match self.payload.first()? {
            first if first & 0xe0 == 0x20 => &self.payload[1..],
            _ => &self.payload[..],
        };
        let index = usize::from(block.first()?.checked_sub(0x88)?);
        statuses.get(index).copied()
    }
}

/// The bytes of a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// The payload of SETTINGS.
pub fn settings_payload(settings: &[(u16, u32)]) -> Vec<u8> {
    settings
        .iter()
        .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect()
}

/// A header block: literal fields without indexing and without Huffman coding (RFC 7541 6.2.2).
pub fn block(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            string(&mut block, text);
        }
    }
    block
}

fn string(block: &mut Vec<u8>, text: &[u8]) {
    // An integer with a 7-bit prefix (RFC 7541 5.1).
    if text.len() < 127 {
        block.push(text.len() as u8);
    } else {
        block.push(127);
        let mut rest = text.len() - 127;
        while rest >= 128 {
            block.push((rest % 128) as u8 | 0x80);
            rest /= 128;
        }
        block.push(rest as u8);
    }
    block.extend_from_slice(text);
}

/// Fields of a GET.
pub fn get<'a>(authority: &'a str, path: &'a [u8]) -> Vec<(&'a [u8], &'a [u8])> {
    vec![
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":authority", authority.as_bytes()),
        (b":path", path),
    ]
}

/// A connection of raw frames, over TCP or over what is above it.
pub struct Raw<S = TcpStream> {
    stream: S,
    buffer: Vec<u8>,
    pub authority: String,
}

impl Raw {
    /// Connects and sends the preface with these settings.
    pub async fn connect(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let stream = TcpStream::connect(address).await.expect("the edge listens");
        stream.set_nodelay(true).expect("a TCP socket");
        let mut raw = Self {
            stream,
            buffer: Vec::new(),
            authority: address.to_string(),
        };
        raw.send_bytes(PREFACE).await;
        raw.settings(settings).await;
        raw
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    /// A connection that has become one of frames; `buffer` was read from it.
    pub fn over(stream: S, buffer: Vec<u8>, authority: SocketAddr) -> Self {
        Self {
            stream,
            buffer,
            authority: authority.to_string(),
        }
    }

    /// Sends bytes as they are; errors are for the reader to notice.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    /// Sends a frame.
    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.send_bytes(&frame(kind, flags, stream, payload)).await;
    }

    /// Sends SETTINGS.
    pub async fn settings(&mut self, settings: &[(u16, u32)]) {
        self.send(SETTINGS, 0, 0, &settings_payload(settings)).await;
    }

    /// Sends a request without a body.
    pub async fn request(&mut self, stream: u32, fields: &[(&[u8], &[u8])]) {
        self.send(HEADERS, END_STREAM | END_HEADERS, stream, &block(fields))
            .await;
    }

    /// Sends a GET without a body.
    pub async fn get(&mut self, stream: u32, path: &str) {
        let authority = self.authority.clone();
        self.request(stream, &get(&authority, path.as_bytes())).await;
    }

    /// Opens a window; stream 0 is the connection's.
    pub async fn window(&mut self, stream: u32, bytes: u32) {
        self.send(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes()).await;
    }

    /// The next frame; `None` when the connection has ended. Settings and pings are acknowledged.
    pub async fn next(&mut self) -> Option<Frame> {
        let frame = super::within("the next frame", self.read()).await?;
        match (frame.kind, frame.flags & ACK) {
            (SETTINGS, 0) => self.send(SETTINGS, ACK, 0, b"").await,
            (PING, 0) => self.send(PING, ACK, 0, &frame.payload).await,
            _ => {}
        }
        Some(frame)
    }

    /// The next frame, which nothing answers; `None` when the connection has ended.
    pub async fn read(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.take_frame() {
                return Some(frame);
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next frame for which this holds; panics when the connection ends before.
    pub async fn next_that(&mut self, what: &str, wanted: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            match self.next().await {
                Some(frame) if wanted(&frame) => return frame,
                Some(_) => {}
                None => panic!("the connection ended before {what}"),
            }
        }
    }

    /// The stream that the next PUSH_PROMISE promises.
    pub async fn next_promise(&mut self) -> u32 {
        let promise = self.next_that("the promise", |f| f.kind == PUSH_PROMISE).await;
        promise.promised()
    }

    /// Everything until the connection has answered a PING: what was under way has arrived by then.
    pub async fn settle(&mut self) -> Vec<Frame> {
        let mark = *b"settled?";
        self.send(PING, 0, 0, &mark).await;
        let mut frames = Vec::new();
        loop {
            let frame = self.next().await.expect("the connection lives");
            if frame.kind == PING && frame.flags & ACK != 0 && frame.payload == mark {
                return frames;
            }
            frames.push(frame);
        }
    }

    /// Everything up to the end of the connection.
    pub async fn rest(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            frames.push(frame);
        }
        frames
    }

    fn take_frame(&mut self) -> Option<Frame> {
        let head: [u8; 9] = self.buffer.get(..9)?.try_into().ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let payload = self.buffer.get(9..9 + length)?.to_vec();
        self.buffer.drain(..9 + length);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream,
            payload,
        })
    }
}
