//! A client connection as the rest of the server sees it: its bytes, and who is at its other end.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use async_trait::async_trait;
use http::StatusCode;
use pingora::{
    http::ResponseHeader,
    protocols::{
        GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest,
        UniqueID, UniqueIDType, l4::socket::SocketAddr, raw_connect::ProxyDigest, tls::SslDigest,
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use crate::client::{Connection, Peer, Scheme, canonical};

/// A connection whose client is known. Pingora asks it for the facts of the connection.
#[derive(Debug)]
pub struct Arrival {
    io: Stream,
    /// Bytes that were read ahead and are to be read again, from this position on.
    ahead: Vec<u8>,
    position: usize,
    /// Bytes that may still be read, where that is limited.
    fence: Option<u64>,
    /// How long the client may take no byte that is written, where that is limited here.
    write_timeout: Option<Duration>,
    /// When a write that waits for the client has waited too long.
    write_due: Option<Pin<Box<Sleep>>>,
    facts: Option<Arc<ProxyDigest>>,
}

/// Bytes behind a fence that are read ahead, to notice a client that leaves.
const BEHIND_FENCE: usize = 1024;

impl Arrival {
    /// A connection from this peer. `ahead` was read from it already and is to be read again.
    pub(super) fn new(io: Stream, peer: Peer, ahead: Vec<u8>) -> Self {
        let connection = Arc::new(Connection { peer, http2: None });
        // Pingora has a place for facts of one's own only beside the header of a CONNECT proxy.
        let facts = ResponseHeader::build_no_case(StatusCode::OK, Some(0))
            .ok()
            .map(|unused| Arc::new(ProxyDigest::new(Box::new(unused), Some(Box::new(connection)))));
        Self {
            io,
            ahead,
            position: 0,
            fence: None,
            write_timeout: None,
            write_due: None,
            facts,
        }
    }

    /// The same connection with TLS around it, which was agreed on over `io`.
    pub(super) fn secured(io: Stream) -> Self {
        Self {
            facts: io.get_proxy_digest(),
            io,
            ahead: Vec::new(),
            position: 0,
            fence: None,
            write_timeout: None,
            write_due: None,
        }
    }

    /// What the client is known to speak.
    pub(super) fn scheme(&self) -> Option<Scheme> {
        let facts = self.facts.as_ref()?.user_data.as_ref()?;
        facts.downcast_ref::<Arc<Connection>>()?.peer.scheme
    }

    /// From here on this many bytes can be read, those that were put back among them; what follows
    /// waits behind the fence until it is moved. The end of the connection is seen across it.
    pub(super) fn fence(&mut self, bytes: Option<u64>) {
        self.fence = bytes;
    }

    /// Puts bytes back that were read from it last, before the rest.
    pub(super) fn put_back(&mut self, read: &[u8]) {
        let rest = self.ahead.split_off(self.position.min(self.ahead.len()));
        self.ahead = [read, &rest].concat();
        self.position = 0;
    }

    /// From here on a client that takes nothing for this long is gone. Pingora limits the writes of
    /// bodies only.
    pub(super) fn limit_writes(&mut self, timeout: Option<Duration>) {
        self.write_timeout = timeout;
    }

    /// The outcome of a write, or an error if it has waited too long.
    fn in_time<T>(&mut self, cx: &mut Context<'_>, write: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let Some(timeout) = self.write_timeout.filter(|_| write.is_pending()) else {
            self.write_due = None;
            return write;
        };
        let due = self.write_due.get_or_insert_with(|| Box::pin(sleep(timeout)));
        match due.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_read_on(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let waiting = self.ahead.get(self.position..).unwrap_or_default();
        if waiting.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let taken = waiting.get(..waiting.len().min(buf.remaining())).unwrap_or_default();
        buf.put_slice(taken);
        self.position += taken.len();
        if self.position == self.ahead.len() {
            (self.ahead, self.position) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }

    /// Ready only when the connection ends. A client that has sent more is not asked again: whether
    /// it left is seen when it is answered.
    fn poll_behind_fence(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.position < self.ahead.len() {
            return Poll::Pending;
        }
        let mut buffer = [0; BEHIND_FENCE];
        let mut read = ReadBuf::new(&mut buffer);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
        if read.filled().is_empty() {
            return Poll::Ready(Ok(()));
        }
        (self.ahead, self.position) = (read.filled().to_vec(), 0);
        Poll::Pending
    }
}

impl AsyncRead for Arrival {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match this.fence {
            None => this.poll_read_on(cx, buf),
            Some(0) => this.poll_behind_fence(cx),
            Some(left) => {
                let room = buf.remaining().min(usize::try_from(left).unwrap_or(usize::MAX));
                let mut limited = ReadBuf::new(buf.initialize_unfilled_to(room));
                ready!(this.poll_read_on(cx, &mut limited))?;
                let read = limited.filled().len();
                buf.advance(read);
                this.fence = Some(left.saturating_sub(u64::try_from(read).unwrap_or(u64::MAX)));
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Arrival {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.io).poll_write(cx, buf);
        self.in_time(cx, write)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let write = Pin::new(&mut self.io).poll_flush(cx);
        self.in_time(cx, write)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let write = Pin::new(&mut self.io).poll_shutdown(cx);
        self.in_time(cx, write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.in_time(cx, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for Arrival {
    async fn shutdown(&mut self) {
        self.io.shutdown().await;
    }
}

impl UniqueID for Arrival {
    fn id(&self) -> UniqueIDType {
        self.io.id()
    }
}

impl Ssl for Arrival {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.io.get_ssl_digest()
    }
}

impl Peek for Arrival {}

impl GetTimingDigest for Arrival {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.io.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.io.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.io.get_write_pending_time()
    }
}

impl GetProxyDigest for Arrival {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.facts.clone()
    }
}

impl GetSocketDigest for Arrival {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.io.get_socket_digest()
    }
}

/// The addresses of a socket's two ends: ours, and the other.
pub(super) fn ends(io: &Stream) -> Option<(std::net::SocketAddr, std::net::SocketAddr)> {
    let digest = io.get_socket_digest()?;
    match (digest.local_addr()?, digest.peer_addr()?) {
        (SocketAddr::Inet(local), SocketAddr::Inet(other)) => Some((canonical(*local), canonical(*other))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        time::timeout,
    };

    use super::*;
    use crate::client::Trusted;

    /// A connection whose transport holds `capacity` bytes, and its client.
    fn arrived(capacity: usize) -> (DuplexStream, Arrival) {
        let (client, io) = duplex(capacity);
        let peer = Peer {
            address: ([127, 0, 0, 1], 1).into(),
            scheme: None,
            is_trusted: false,
            trusted: Trusted::default(),
        };
        (client, Arrival::new(Box::new(io), peer, Vec::new()))
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_gone() {
        let (_client, mut arrival) = arrived(8);
        arrival.limit_writes(Some(Duration::from_millis(5)));
        let writing = timeout(Duration::from_secs(20), arrival.write_all(&[0; 9]));
        let error = writing.await.expect("an outcome").expect_err("no room for all");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn what_is_behind_the_fence_waits_for_its_turn() {
        let (mut client, mut arrival) = arrived(64);
        client.write_all(b"first|second").await.expect("sent");
        arrival.put_back(b">");
        arrival.fence(Some(6));
        let mut first = [0; 6];
        arrival.read_exact(&mut first).await.expect("read");
        assert_eq!(&first, b">first");
        let mut more = [0; 1];
        let waits = std::future::poll_fn(|cx| {
            let mut more = ReadBuf::new(&mut more);
            Poll::Ready(Pin::new(&mut arrival).poll_read(cx, &mut more).is_pending())
        });
        assert!(waits.await);
        drop(client);
        arrival.fence(None);
        let mut rest = Vec::new();
        arrival.read_to_end(&mut rest).await.expect("read");
        assert_eq!(rest, b"|second");
    }

    #[tokio::test]
    async fn the_end_of_the_connection_is_seen_across_the_fence() {
        let (client, mut arrival) = arrived(64);
        arrival.fence(Some(0));
        drop(client);
        assert_eq!(arrival.read(&mut [0; 1]).await.expect("read"), 0);
    }
}
