//! Connections for requests that may switch to another protocol, a WebSocket's.
//!
//! Pingora 0.9.1 runs both directions of a request side by side, and in no fixed order: that the
//! request has no body, and the origin's answer. If the 101 of a quick origin comes in before the
//! former was looked at, it is taken for the end of the switched connection, which is cut with all
//! that came behind the 101 (`pingora-proxy`, `proxy_h1.rs`, `proxy_handle_upstream`). So the
//! transport below lets the other direction go first: after a write, its first read waits for one
//! more turn of the task.

use std::{
    io,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use pingora::{
    Error, ErrorType, Result,
    connectors::l4::Connect,
    protocols::l4::{
        socket::SocketAddr,
        stream::Stream,
        virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream},
    },
    upstreams::peer::HttpPeer,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};

/// Makes the connection to this peer one that may be switched. It is not shared with other requests,
/// before or after.
pub(in crate::upstream) fn allow(peer: &mut HttpPeer, connect_timeout: Duration) {
    static CONNECTIONS: AtomicU64 = AtomicU64::new(0);
    peer.options.custom_l4 = Some(std::sync::Arc::new(Switchable { connect_timeout }));
    // Pools are numbered from 0 on.
    peer.group_key = u64::MAX - CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    peer.options.idle_timeout = Some(Duration::from_millis(1));
}

#[derive(Debug)]
struct Switchable {
    connect_timeout: Duration,
}

#[async_trait]
impl Connect for Switchable {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        let SocketAddr::Inet(address) = address else {
            return Error::e_explain(ErrorType::ConnectError, "not an address of TCP");
        };
        let io = match timeout(self.connect_timeout, TcpStream::connect(address)).await {
            Err(e) => return Error::e_because(ErrorType::ConnectTimedout, address.to_string(), e),
            Ok(Err(e)) => {
                let kind = match e.kind() {
                    io::ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
                    io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => ErrorType::ConnectNoRoute,
                    _ => ErrorType::ConnectError,
                };
                return Error::e_because(kind, address.to_string(), e);
            }
            Ok(Ok(io)) => io,
        };
        let socket = Yielding { io, has_written: false };
        Ok(VirtualSocketStream::new(Box::new(socket)).into())
    }
}

#[derive(Debug)]
struct Yielding<T> {
    io: T,
    has_written: bool,
}

impl<T: AsyncRead + Unpin> AsyncRead for Yielding<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.has_written) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Yielding<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.has_written = true;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl VirtualSocket for Yielding<TcpStream> {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        match option {
            VirtualSockOpt::NoDelay => self.io.set_nodelay(true),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test]
    async fn whoever_is_ready_with_the_answer_goes_first() {
        let (mut origin, io) = duplex(64);
        let mut io = Yielding { io, has_written: false };
        origin.write_all(b"101 and more").await.expect("sent");
        io.write_all(b"request").await.expect("sent");
        let mut response = [0; 12];
        let first = tokio::select! {
            biased;
            read = io.read_exact(&mut response) => read.map(|_| "the answer").expect("read"),
            () = std::future::ready(()) => "the end of the request",
        };
        assert_eq!(first, "the end of the request");
        io.read_exact(&mut response).await.expect("then the answer");
        assert_eq!(&response, b"101 and more");
    }
}
