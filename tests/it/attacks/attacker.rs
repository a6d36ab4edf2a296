//! A client that floods: it writes for as long as the edge takes bytes, and meanwhile reads what comes, or does not.

use std::{collections::HashMap, io::ErrorKind, net::SocketAddr, time::Duration};

use tokio::{
    io::Interest,
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::support::{
    DEADLINE,
    raw::{
        ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, WINDOW_UPDATE, block,
        frame, get, settings_payload,
    },
};

/// ENHANCE_YOUR_CALM.
pub const CALM: u32 = 11;

/// How a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// GOAWAY with this error code, and closed.
    Goaway(u32),
    /// Closed without GOAWAY.
    Closed,
    /// It answers a PING.
    Lives,
    /// It is not closed, and answers nothing.
    Silent,
}

/// One connection of an attacker.
pub struct Attacker {
    stream: TcpStream,
    input: Vec<u8>,
    authority: String,
    /// Bytes that the edge took.
    pub sent: usize,
    /// Frames that came, by their type.
    pub frames: HashMap<u8, usize>,
    /// Responses that came, by their first byte: an indexed `:status`.
    pub statuses: HashMap<u8, usize>,
    /// RST_STREAM frames that came, by their error code.
    pub resets: HashMap<u32, usize>,
    /// Bytes of DATA that came.
    pub content: usize,
    windows: HashMap<u32, usize>,
    goaway: Option<u32>,
    is_closed: bool,
    next_stream: u32,
    pings: usize,
}

impl Attacker {
    /// Connects, without a byte.
    pub async fn silent(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the edge listens");
        stream.set_nodelay(true).expect("a TCP socket");
        Self {
            stream,
            input: Vec::new(),
            authority: address.to_string(),
            sent: 0,
            frames: HashMap::new(),
            statuses: HashMap::new(),
            resets: HashMap::new(),
            content: 0,
            windows: HashMap::new(),
            goaway: None,
            is_closed: false,
            next_stream: 1,
            pings: 0,
        }
    }

    /// Connects, and sends the preface with these settings.
    pub async fn connect(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut attacker = Self::silent(address).await;
        attacker.send(PREFACE).await;
        attacker.send(&frame(SETTINGS, 0, 0, &settings_payload(settings))).await;
        attacker
    }

    /// The next stream of the client's.
    pub fn stream(&mut self) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        stream
    }

    /// The bytes of a GET on the next stream, and the stream.
    pub fn get(&mut self, path: &str) -> (u32, Vec<u8>) {
        let stream = self.stream();
        let block = block(&get(&self.authority, path.as_bytes()));
        (stream, frame(HEADERS, END_HEADERS | END_STREAM, stream, &block))
    }

    /// The bytes of a request that has content, with these fields, on the next stream, and the stream.
    pub fn post(&mut self, path: &str, fields: &[(&[u8], &[u8])]) -> (u32, Vec<u8>) {
        let stream = self.stream();
        let mut all = get(&self.authority, path.as_bytes());
        all[0].1 = b"POST";
        all.extend_from_slice(fields);
        (stream, frame(HEADERS, END_HEADERS, stream, &block(&all)))
    }

    /// Where the edge listens, as a request names it.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Sends bytes and reads what comes meanwhile; `false` once the connection is over.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.write(bytes, Interest::READABLE | Interest::WRITABLE, DEADLINE)
            .await
    }

    /// Sends the same bytes so many times, or until the connection is over.
    pub async fn repeat(&mut self, bytes: &[u8], times: usize) -> bool {
        // In large pieces: the attacker is to be faster than the edge.
        let most = (64 * 1024 / bytes.len()).max(1);
        let mut left = times;
        while left > 0 {
            let number = left.min(most);
            if !self.send(&bytes.repeat(number)).await {
                return false;
            }
            left -= number;
        }
        true
    }

    /// Sends bytes and reads nothing; `false` if the edge takes no more of them.
    pub async fn send_unread(&mut self, bytes: &[u8]) -> bool {
        self.write(bytes, Interest::WRITABLE, Duration::from_millis(500)).await
    }

    async fn write(&mut self, mut bytes: &[u8], interest: Interest, patience: Duration) -> bool {
        while !bytes.is_empty() && !self.is_closed {
            let Ok(Ok(ready)) = timeout(patience, self.stream.ready(interest)).await else {
                return false;
            };
            if interest.is_readable() && ready.is_readable() {
                self.read();
            }
            match self.stream.try_write(bytes) {
                Ok(written) => {
                    self.sent += written;
                    bytes = &bytes[written..];
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(_) if interest.is_readable() => {
                    // A GOAWAY may still be there to be read.
                    self.read_to_end().await;
                }
                Err(_) => self.is_closed = true,
            }
        }
        !self.is_closed
    }

    async fn read_to_end(&mut self) {
        let until = Instant::now() + DEADLINE;
        while !self.is_closed && tokio::time::timeout_at(until, self.stream.readable()).await.is_ok() {
            self.read();
        }
    }

    /// Reads until this holds; `false` if the connection is over before.
    pub async fn read_until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> bool {
        let until = Instant::now() + DEADLINE;
        while !holds(self) {
            if self.is_closed {
                return false;
            }
            let readable = tokio::time::timeout_at(until, self.stream.readable()).await;
            assert!(readable.is_ok(), "{what} within {DEADLINE:?}: {:?}", self.frames);
            self.read();
        }
        true
    }

    /// Sends a PING and reads until it is answered, so that the edge has seen all that was sent before; `false` if
    /// the connection is over.
    pub async fn settle(&mut self) -> bool {
        let wanted = self.pings + 1;
        self.send(&frame(PING, 0, 0, b"settled?")).await
            && self.read_until("an answer to PING", |at| at.pings >= wanted).await
    }

    /// Fetches a path; `false` if the connection is over, or the answer is another than 200.
    pub async fn fetch(&mut self, path: &str) -> bool {
        let before = self.count_ok();
        let (_, request) = self.get(path);
        self.send(&request).await && self.read_until("an answer", |at| at.count_ok() > before).await
    }

    /// Responses with status 200 so far.
    pub fn count_ok(&self) -> usize {
        self.statuses.get(&0x88).copied().unwrap_or(0)
    }

    /// Frames of a type so far.
    pub fn count(&self, kind: u8) -> usize {
        self.frames.get(&kind).copied().unwrap_or(0)
    }

    /// RST_STREAM frames with this error code so far.
    pub fn count_resets(&self, code: u32) -> usize {
        self.resets.get(&code).copied().unwrap_or(0)
    }

    /// Bytes by which the edge has opened the window of a stream; 0 is the connection.
    pub fn window_of(&self, stream: u32) -> usize {
        self.windows.get(&stream).copied().unwrap_or(0)
    }

    /// How the connection stands: closed, or else whether it answers a PING. One that is to be closed is waited for.
    pub async fn end(&mut self, wanted: End) -> End {
        if matches!(wanted, End::Goaway(_) | End::Closed) {
            self.read_to_end().await;
        }
        if !self.is_closed && wanted != End::Silent {
            self.settle().await;
        }
        match self.goaway {
            Some(code) if self.is_closed => End::Goaway(code),
            None if self.is_closed => End::Closed,
            _ if wanted == End::Silent => End::Silent,
            _ => End::Lives,
        }
    }

    /// Reads what is there.
    fn read(&mut self) {
        let mut buffer = [0; 64 * 1024];
        loop {
            match self.stream.try_read(&mut buffer) {
                Ok(0) => self.is_closed = true,
                Ok(length) => {
                    self.input.extend_from_slice(&buffer[..length]);
                    self.take_frames();
                    continue;
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(_) => self.is_closed = true,
            }
            return;
        }
    }

    fn take_frames(&mut self) {
        let mut at = 0;
        while let Some(head) = self.input.get(at..at + 9) {
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let (kind, flags) = (head[3], head[4]);
            let Some(payload) = self.input.get(at + 9..at + 9 + length) else {
                break;
            };
            let number = |at: usize| {
                payload
                    .get(at..at + 4)
                    .map(|n| u32::from_be_bytes(n.try_into().expect("four")))
            };
            *self.frames.entry(kind).or_default() += 1;
            match kind {
                HEADERS => {
                    *self.statuses.entry(first_field(payload)).or_default() += 1;
                }
                DATA => self.content += length,
                WINDOW_UPDATE => {
                    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
                    *self.windows.entry(stream).or_default() += number(0).unwrap_or(0) as usize;
                }
                RST_STREAM => *self.resets.entry(number(0).unwrap_or(0)).or_default() += 1,
                GOAWAY => self.goaway = number(4),
                PING if flags & ACK != 0 && payload == b"settled?" => self.pings += 1,
                _ => {}
            }
            at += 9 + length;
        }
        self.input.drain(..at);
    }
}

/// The first byte of a block behind updates of the table's size.
fn first_field(block: &[u8]) -> u8 {
    let mut bytes = block.iter().copied();
    while let Some(first) = bytes.next() {
        if first & 0xe0 != 0x20 {
            return first;
        }
        // An integer with a prefix of 5 bits (RFC 7541 section 5.1).
        if first & 0x1f == 0x1f {
            bytes.by_ref().find(|byte| byte & 0x80 == 0);
        }
    }
    0
}
