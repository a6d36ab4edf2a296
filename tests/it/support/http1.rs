//! An HTTP/1.x client of raw bytes.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{raw::Raw, within};

/// A connection to the edge.
pub struct Http1 {
    pub stream: TcpStream,
    pub buffer: Vec<u8>,
}

impl Http1 {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the edge listens");
        stream.set_nodelay(true).expect("a TCP socket");
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// Connects and sends.
    pub async fn sending(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Self {
        let mut http1 = Self::connect(address).await;
        http1.send(bytes).await;
        http1
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within("sending", self.stream.write_all(bytes.as_ref()))
            .await
            .expect("sent");
    }

    /// The next head, with its empty line.
    pub async fn head(&mut self) -> String {
        let end = self
            .until("a head", |buffer| {
                buffer.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4)
            })
            .await;
        String::from_utf8_lossy(&self.buffer.drain(..end).collect::<Vec<_>>()).into_owned()
    }

    /// The next bytes, this many.
    pub async fn exactly(&mut self, bytes: usize) -> Vec<u8> {
        self.until("bytes", |buffer| (buffer.len() >= bytes).then_some(()))
            .await;
        self.buffer.drain(..bytes).collect()
    }

    /// The next head, and its body of a given length.
    pub async fn answer(&mut self) -> (String, Vec<u8>) {
        let head = self.head().await;
        let length = field(&head, "content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
        let body = self.exactly(length).await;
        (head, body)
    }

    /// Everything up to the end of the connection, however it ends.
    pub async fn rest(&mut self) -> Vec<u8> {
        let _ = within("the end of the connection", self.stream.read_to_end(&mut self.buffer)).await;
        std::mem::take(&mut self.buffer)
    }

    /// The connection as one of frames, which it has become.
    pub fn into_raw(self, authority: SocketAddr) -> Raw {
        Raw::over(self.stream, self.buffer, authority)
    }

    async fn until<T>(&mut self, what: &str, found: impl Fn(&[u8]) -> Option<T>) -> T {
        within(what, async {
            loop {
                if let Some(found) = found(&self.buffer) {
                    return found;
                }
                let read = self.stream.read_buf(&mut self.buffer).await.expect("read");
                assert_ne!(
                    read,
                    0,
                    "the connection ended before {what}: {}",
                    self.buffer.escape_ascii()
                );
            }
        })
        .await
    }
}

/// The value of the first field of this name in a head.
pub fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}
