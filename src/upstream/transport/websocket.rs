//! Makes connections for requests that may switch to another protocol, such as WebSocket.
//!
//! Pingora 0.9.1 handles two events in no fixed order: the end of the request, which has no content, and the origin's
//! response. If a quick origin's 101 is handled first, Pingora takes the end of the request for the end of the switched
//! connection, and cuts it with all bytes behind the 101 (`pingora-proxy`, `proxy_h1.rs`, `proxy_handle_upstream`). So
//! the transport lets the request go first: the first read after a write waits for one more turn of the task.

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

/// Makes the connection to this peer one that may switch protocols. No other request uses the connection, before or
/// after.
pub(in crate::upstream) fn allow(peer: &mut HttpPeer, connect_timeout: Duration) {
    static CONNECTIONS: AtomicU64 = AtomicU64::new(0);
    peer.options.custom_l4 = Some(std::sync::Arc::new(Switchable { connect_timeout }));
    // A key of its own for each connection: keys of pools count up from 1.
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
    async fn the_end_of_the_request_is_handled_before_the_response() {
        let (mut origin, io) = duplex(64);
        let mut io = Yielding { io, has_written: false };
        origin.write_all(b"101 and more").await.expect("sent");
        io.write_all(b"request").await.expect("sent");
        let mut response = [0; 12];
        let first = tokio::select! {
            biased;
            read = io.read_exact(&mut response) => read.map(|_| "the response").expect("read"),
            () = std::future::ready(()) => "the end of the request",
        };
        assert_eq!(first, "the end of the request");
        io.read_exact(&mut response).await.expect("then the response");
        assert_eq!(&response, b"101 and more");
    }
}
