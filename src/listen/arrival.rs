//! A client connection as the rest of the server sees it: its bytes, and who is at its other end.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use async_trait::async_trait;
use http::StatusCode;
use pingora::{
    http::ResponseHeader,
    protocols::{
        GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest,
        UniqueID, UniqueIDType, l4::socket::SocketAddr, raw_connect::ProxyDigest,
    },
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::client::{Connection, Peer};

/// A connection whose client is known. Pingora asks it for the facts of the connection.
#[derive(Debug)]
pub struct Arrival {
    io: Stream,
    /// Bytes that were read ahead and are to be read again, from this position on.
    ahead: Vec<u8>,
    position: usize,
    facts: Option<Arc<ProxyDigest>>,
}

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
            facts,
        }
    }

    /// Puts bytes back that were read from it last, before the rest.
    pub(super) fn put_back(&mut self, read: &[u8]) {
        let rest = self.ahead.split_off(self.position.min(self.ahead.len()));
        self.ahead = [read, &rest].concat();
        self.position = 0;
    }
}

impl AsyncRead for Arrival {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let waiting = this.ahead.get(this.position..).unwrap_or_default();
        if waiting.is_empty() {
            return Pin::new(&mut this.io).poll_read(cx, buf);
        }
        let taken = waiting.get(..waiting.len().min(buf.remaining())).unwrap_or_default();
        buf.put_slice(taken);
        this.position += taken.len();
        if this.position == this.ahead.len() {
            (this.ahead, this.position) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Arrival {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
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

impl Ssl for Arrival {}

impl Peek for Arrival {}

impl GetTimingDigest for Arrival {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.io.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> std::time::Duration {
        self.io.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> std::time::Duration {
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

/// The address of the socket at the other end.
pub(super) fn socket_peer(io: &Stream) -> Option<std::net::SocketAddr> {
    match io.get_socket_digest()?.peer_addr()? {
        SocketAddr::Inet(address) => Some(*address),
        SocketAddr::Unix(_) => None,
    }
}
