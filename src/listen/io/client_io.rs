//! Wraps a client connection: hides bytes of later requests from Pingora, limits the time of writes, and carries the
//! facts of the connection (address, scheme) in its `ProxyDigest`.

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

use super::{
    chunks::Chunks,
    dated::{Dated, is_final_head},
    tunnel::{GOING_AWAY, Tunnel},
};
use crate::peer::{ClientConnection, Peer, ResponseDate, Scheme, TlsSession, canonical};

/// A connection whose client is known.
#[derive(Debug)]
pub(crate) struct ClientIo {
    io: Stream,
    /// Bytes to read before those of `io`: `ahead[position..]`.
    ahead: Vec<u8>,
    position: usize,
    /// How far Pingora may read.
    read_limit: ReadLimit,
    /// Resolves when a tunnel is to be cut because the server shuts down; unused until a 101 makes this a tunnel.
    leaving: Option<Leaving>,
    /// The state of the WebSocket, once a 101 has been written.
    tunnel: Option<Tunnel>,
    /// Timer that starts when the end of the client's half of the connection is seen beyond the read limit; when it
    /// expires, the client counts as gone.
    half_closed: Option<Pin<Box<Sleep>>>,
    /// A response head with the origin's date, which is being written instead of Pingora's.
    dated: Option<Dated>,
    /// Most time between two writes of which the client takes bytes; `None` is no limit.
    write_timeout: Option<Duration>,
    /// The end of that time, while a write waits.
    write_due: Option<Pin<Box<Sleep>>>,
    /// The [`ClientConnection`], in the form in which Pingora passes it on.
    facts: Option<Arc<ProxyDigest>>,
}

/// How far a connection may be read. Bytes beyond the limit stay for later; the end of the connection is noticed
/// anyway.
#[derive(Debug)]
pub(in crate::listen) enum ReadLimit {
    /// No limit.
    None,
    /// This many bytes, including those that were put back.
    Bytes(u64),
    /// This many bytes, and no limit once a 101 response has been written.
    Switching(u64),
    /// Chunked content up to its end, trailers included.
    Chunked(Box<Chunks>),
}

/// Bytes that are read beyond the limit, to notice a client that leaves.
const BEYOND_READ_LIMIT: usize = 1024;

/// Bytes of chunked content in one read.
const CHUNKED_READ: usize = 8 * 1024;

/// Time that a client has for its response after it has ended its half of the connection. Only a write can tell whether
/// such a client still reads or has left.
const HALF_CLOSED_PATIENCE: Duration = Duration::from_secs(5);

/// A future that resolves when a tunnel is to be cut; the mutex makes it `Sync`, which Pingora demands of transports.
struct Leaving(std::sync::Mutex<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl std::fmt::Debug for Leaving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Leaving")
    }
}

/// Returns the [`ClientConnection`] of a peer, in the form in which Pingora passes it on.
fn facts(peer: Peer, tls: Option<TlsSession>) -> Option<Arc<ProxyDigest>> {
    let connection = Arc::new(ClientConnection {
        peer,
        http2: None,
        date: ResponseDate::default(),
        tls,
    });
    // Pingora carries custom data only beside the response header of a CONNECT proxy, so this one is a dummy.
    let unused = ResponseHeader::build_no_case(StatusCode::OK, Some(0)).ok()?;
    Some(Arc::new(ProxyDigest::new(Box::new(unused), Some(Box::new(connection)))))
}

/// The first bytes of a 101 response as Pingora writes it.
const SWITCHING_PROTOCOLS: &[u8] = b"HTTP/1.1 101 ";

impl ClientIo {
    /// Returns a connection from this peer. `ahead` are bytes that were already read from `io`, and are to be read
    /// again.
    pub(in crate::listen) fn new(io: Stream, peer: Peer, ahead: Vec<u8>) -> Self {
        Self::over(io, ahead, facts(peer, None))
    }

    /// Returns a connection of this peer that reads and writes through TLS; `io` is the TLS stream over a `ClientIo`.
    pub(in crate::listen) fn secured(io: Stream, peer: Peer, tls: TlsSession) -> Self {
        Self::over(io, Vec::new(), facts(peer, Some(tls)))
    }

    fn over(io: Stream, ahead: Vec<u8>, facts: Option<Arc<ProxyDigest>>) -> Self {
        Self {
            io,
            ahead,
            position: 0,
            read_limit: ReadLimit::None,
            leaving: None,
            tunnel: None,
            half_closed: None,
            dated: None,
            write_timeout: None,
            write_due: None,
            facts,
        }
    }

    fn connection(&self) -> Option<&Arc<ClientConnection>> {
        self.facts.as_ref()?.user_data.as_ref()?.downcast_ref()
    }

    /// Returns the client.
    pub(in crate::listen) fn peer(&self) -> Option<&Peer> {
        Some(&self.connection()?.peer)
    }

    /// Returns the client's scheme, if the connection tells.
    pub(in crate::listen) fn scheme(&self) -> Option<Scheme> {
        self.peer()?.scheme
    }

    /// Sets how far the connection may be read from now on.
    pub(in crate::listen) fn read_limit(&mut self, read_limit: ReadLimit) {
        self.read_limit = read_limit;
    }

    /// Returns whether everything within the limit was read; true without a limit.
    pub(in crate::listen) fn is_at_read_limit(&self) -> bool {
        match &self.read_limit {
            ReadLimit::None => true,
            ReadLimit::Bytes(left) | ReadLimit::Switching(left) => *left == 0,
            ReadLimit::Chunked(chunks) => chunks.is_over(),
        }
    }

    /// Puts bytes back that were read last, so that they are read again first.
    pub(in crate::listen) fn put_back(&mut self, read: &[u8]) {
        let rest = self.ahead.split_off(self.position.min(self.ahead.len()));
        self.ahead = [read, &rest].concat();
        self.position = 0;
    }

    /// Sets the time after which a write fails if the client takes no bytes. Pingora limits only the writes of response
    /// content.
    pub(in crate::listen) fn limit_writes(&mut self, timeout: Option<Duration>) {
        self.write_timeout = timeout;
    }

    /// Has a tunnel cut when `leaving` resolves; without effect unless a 101 makes this connection a tunnel.
    pub(in crate::listen) fn leave_when(&mut self, leaving: impl Future<Output = ()> + Send + 'static) {
        self.leaving = Some(Leaving(std::sync::Mutex::new(Box::pin(leaving))));
    }

    /// Returns whether this is a tunnel that is to be cut now.
    fn poll_leaving(&mut self, cx: &mut Context<'_>) -> bool {
        let leaving = self.leaving.as_mut().filter(|_| self.tunnel.is_some());
        leaving.is_some_and(|leaving| leaving.0.lock().is_ok_and(|mut when| when.as_mut().poll(cx).is_ready()))
    }

    /// Sends a Close frame to a WebSocket's client, if the last write ended between two frames. The result of the write
    /// is ignored: a client that takes no bytes gets no Close frame.
    fn send_close(&mut self, cx: &mut Context<'_>) {
        if self.tunnel.take().is_some_and(|tunnel| tunnel.is_between_frames()) {
            let _ = Pin::new(&mut self.io).poll_write(cx, &GOING_AWAY);
        }
    }

    /// Returns the outcome of a write, or `TimedOut` once it has waited for `write_timeout`.
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

    /// Returns whether `buf` is a response head that is written with the origin's date, or the rest of one.
    fn is_dated(&mut self, buf: &[u8]) -> bool {
        if self.dated.is_none() && is_final_head(buf) {
            let date = self.connection().and_then(|connection| connection.date.take());
            self.dated = date.and_then(|date| Dated::new(buf, date.as_bytes()));
        }
        self.dated.is_some()
    }

    /// Reads without a limit: bytes that were put back first, then those of `io`.
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

    /// Waits until the connection ends. If the client sends bytes first, this stays pending for ever: then the next
    /// write notices that the client has left.
    fn poll_beyond_limit(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.position < self.ahead.len() {
            return Poll::Pending;
        }
        if let Some(patience) = &mut self.half_closed {
            return patience.as_mut().poll(cx).map(Ok);
        }
        let mut buffer = [0; BEYOND_READ_LIMIT];
        let mut read = ReadBuf::new(&mut buffer);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
        if read.filled().is_empty() {
            let patience = self.half_closed.insert(Box::pin(sleep(HALF_CLOSED_PATIENCE)));
            return patience.as_mut().poll(cx).map(Ok);
        }
        (self.ahead, self.position) = (read.filled().to_vec(), 0);
        Poll::Pending
    }
}

impl ClientIo {
    /// Reads at most `left` bytes; returns their number.
    fn poll_read_some(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>, left: u64) -> Poll<io::Result<u64>> {
        let room = buf.remaining().min(usize::try_from(left).unwrap_or(usize::MAX));
        let mut limited = ReadBuf::new(buf.initialize_unfilled_to(room));
        ready!(self.poll_read_on(cx, &mut limited))?;
        let read = limited.filled().len();
        buf.advance(read);
        Poll::Ready(Ok(u64::try_from(read).unwrap_or(u64::MAX)))
    }

    /// Reads chunks in the form that [`Chunks`] gives them, and puts bytes beyond the content back.
    fn poll_read_chunked(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        chunks: &mut Chunks,
    ) -> Poll<io::Result<()>> {
        loop {
            let shown = chunks.take(buf.remaining());
            if !shown.is_empty() {
                buf.put_slice(&shown);
                return Poll::Ready(Ok(()));
            }
            if chunks.is_over() {
                return self.poll_beyond_limit(cx);
            }
            let mut buffer = [0; CHUNKED_READ];
            let mut read = ReadBuf::new(&mut buffer);
            ready!(self.poll_read_on(cx, &mut read))?;
            let read = read.filled();
            if read.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let taken = chunks.read(read);
            self.put_back(read.get(taken..).unwrap_or_default());
        }
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.poll_leaving(cx) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        match &mut this.read_limit {
            ReadLimit::None => this.poll_read_on(cx, buf),
            ReadLimit::Bytes(0) | ReadLimit::Switching(0) => this.poll_beyond_limit(cx),
            &mut ReadLimit::Bytes(left) => {
                let read = ready!(this.poll_read_some(cx, buf, left))?;
                this.read_limit = ReadLimit::Bytes(left.saturating_sub(read));
                Poll::Ready(Ok(()))
            }
            &mut ReadLimit::Switching(left) => {
                let read = ready!(this.poll_read_some(cx, buf, left))?;
                this.read_limit = ReadLimit::Switching(left.saturating_sub(read));
                Poll::Ready(Ok(()))
            }
            ReadLimit::Chunked(_) => {
                let ReadLimit::Chunked(mut chunks) = std::mem::replace(&mut this.read_limit, ReadLimit::None) else {
                    return Poll::Pending;
                };
                let read = this.poll_read_chunked(cx, buf, &mut chunks);
                this.read_limit = ReadLimit::Chunked(chunks);
                read
            }
        }
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if matches!(self.read_limit, ReadLimit::Switching(_)) && buf.starts_with(SWITCHING_PROTOCOLS) {
            // The bytes that follow belong to the other protocol.
            self.read_limit = ReadLimit::None;
            self.tunnel = Some(Tunnel::new());
        }
        if self.is_dated(buf) {
            let this = &mut *self;
            let write = match &mut this.dated {
                Some(dated) => dated.poll_write(cx, Pin::new(&mut this.io)),
                None => Poll::Ready(Ok(())),
            };
            if write.is_ready() {
                this.dated = None;
            }
            return self.in_time(cx, write).map_ok(|()| buf.len());
        }
        let write = Pin::new(&mut self.io).poll_write(cx, buf);
        if let (Some(tunnel), Poll::Ready(Ok(written))) = (&mut self.tunnel, &write) {
            tunnel.pass(buf.get(..*written).unwrap_or_default());
        }
        self.in_time(cx, write)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let write = Pin::new(&mut self.io).poll_flush(cx);
        self.in_time(cx, write)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.send_close(cx);
        let write = Pin::new(&mut self.io).poll_shutdown(cx);
        self.in_time(cx, write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = bufs.iter().find(|buf| !buf.is_empty());
        let is_head = self.dated.is_some() || first.is_some_and(|first| is_final_head(first));
        if self.tunnel.is_some() || matches!(self.read_limit, ReadLimit::Switching(_)) || is_head {
            return self.poll_write(cx, first.map_or(&[], |first| &**first));
        }
        let write = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.in_time(cx, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for ClientIo {
    async fn shutdown(&mut self) {
        std::future::poll_fn(|cx| {
            self.send_close(cx);
            Poll::Ready(())
        })
        .await;
        Shutdown::shutdown(&mut *self.io).await;
    }
}

impl UniqueID for ClientIo {
    fn id(&self) -> UniqueIDType {
        self.io.id()
    }
}

impl Ssl for ClientIo {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.io.get_ssl_digest()
    }
}

impl Peek for ClientIo {}

impl GetTimingDigest for ClientIo {
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

impl GetProxyDigest for ClientIo {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.facts.clone()
    }
}

impl GetSocketDigest for ClientIo {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.io.get_socket_digest()
    }
}

/// Returns the local address and the remote address of a socket.
pub(in crate::listen) fn ends(io: &Stream) -> Option<(std::net::SocketAddr, std::net::SocketAddr)> {
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
    use crate::peer::Trusted;

    /// A connection whose transport holds `capacity` bytes, and its client.
    fn accepted(capacity: usize) -> (DuplexStream, ClientIo) {
        let (client, io) = duplex(capacity);
        let peer = Peer {
            address: ([127, 0, 0, 1], 1).into(),
            scheme: None,
            is_trusted: false,
            trusted: Trusted::default(),
        };
        (client, ClientIo::new(Box::new(io), peer, Vec::new()))
    }

    #[tokio::test]
    async fn a_write_fails_when_the_client_takes_no_bytes_in_time() {
        let (_client, mut client_io) = accepted(8);
        client_io.limit_writes(Some(Duration::from_millis(5)));
        let writing = timeout(Duration::from_secs(20), client_io.write_all(&[0; 9]));
        let error = writing.await.expect("an outcome").expect_err("no room for all");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_head_gets_the_date_that_was_set_even_over_partial_writes() {
        let (mut client, mut client_io) = accepted(3);
        let dates = Arc::clone(client_io.connection().expect("a client"));
        let head = |date: &str| format!("HTTP/1.1 200 OK\r\nDate: {date}\r\nServer: a\r\n\r\n");
        let reading = tokio::spawn(async move {
            let mut read = String::new();
            client.read_to_string(&mut read).await.map(|_| read)
        });
        dates.date.set(Some(http::HeaderValue::from_static("yesterday")));
        let interim = "HTTP/1.1 103 Early Hints\r\nDate: now\r\n\r\n";
        for written in [
            interim,
            &head("now"),
            "HTTP/1.1 200 OK\r\nDate: content\r\n\r\n",
            &head("now"),
        ] {
            client_io.write_all(written.as_bytes()).await.expect("sent");
        }
        dates
            .date
            .set(Some(http::HeaderValue::from_static("a longer time ago")));
        let parts = head("now");
        let (begin, end) = parts.split_at(parts.len());
        let mut parts = [
            io::IoSlice::new(b""),
            io::IoSlice::new(begin.as_bytes()),
            io::IoSlice::new(end.as_bytes()),
        ];
        let written = client_io.write_vectored(&parts).await.expect("sent");
        assert_eq!(written, begin.len());
        parts = [io::IoSlice::new(b""); 3];
        assert_eq!(client_io.write_vectored(&parts).await.expect("sent"), 0);
        drop(client_io);
        let expected = [
            interim,
            &head("yesterday"),
            "HTTP/1.1 200 OK\r\nDate: content\r\n\r\n",
            &head("now"),
            &head("a longer time ago"),
        ];
        assert_eq!(reading.await.expect("no panic").expect("text"), expected.concat());
    }

    #[tokio::test]
    async fn bytes_beyond_the_read_limit_are_read_once_it_is_lifted() {
        let (mut client, mut client_io) = accepted(64);
        client.write_all(b"first|second").await.expect("sent");
        client_io.put_back(b">");
        client_io.read_limit(ReadLimit::Bytes(6));
        let mut first = [0; 6];
        client_io.read_exact(&mut first).await.expect("read");
        assert_eq!(&first, b">first");
        let mut more = [0; 1];
        let waits = std::future::poll_fn(|cx| {
            let mut more = ReadBuf::new(&mut more);
            Poll::Ready(Pin::new(&mut client_io).poll_read(cx, &mut more).is_pending())
        });
        assert!(waits.await);
        drop(client);
        client_io.read_limit(ReadLimit::None);
        let mut rest = Vec::new();
        client_io.read_to_end(&mut rest).await.expect("read");
        assert_eq!(rest, b"|second");
    }

    #[tokio::test]
    async fn bytes_behind_chunked_content_are_left_unread() {
        let (mut client, mut client_io) = accepted(64);
        client
            .write_all(b"ed\r\n0;x\r\nA: b\r\n\r\n|second")
            .await
            .expect("sent");
        client_io.put_back(b"3;a\r\nr");
        client_io.read_limit(ReadLimit::Chunked(Box::new(Chunks::after(0))));
        let mut chunks = [0; 13];
        client_io.read_exact(&mut chunks).await.expect("read");
        assert_eq!(&chunks, b"3\r\nred\r\n0\r\n\r\n");
        assert!(client_io.is_at_read_limit());
        client_io.read_limit(ReadLimit::None);
        drop(client);
        let mut rest = Vec::new();
        client_io.read_to_end(&mut rest).await.expect("read");
        assert_eq!(rest, b"|second");
    }

    #[tokio::test]
    async fn a_101_response_lifts_the_read_limit() {
        let (mut client, mut client_io) = accepted(64);
        client.write_all(b"frames").await.expect("sent");
        for (response, opens) in [
            (&b"HTTP/1.1 103 Early Hints"[..], false),
            (b"HTTP/1.1 101 Switching", true),
        ] {
            client_io.read_limit(ReadLimit::Switching(0));
            client_io.write_all(response).await.expect("sent");
            assert_eq!(matches!(client_io.read_limit, ReadLimit::None), opens);
        }
        let mut frames = [0; 6];
        client_io.read_exact(&mut frames).await.expect("read");
        assert_eq!(&frames, b"frames");
    }

    #[tokio::test]
    async fn a_client_that_ends_its_half_counts_as_gone_only_after_a_while() {
        let (client, mut client_io) = accepted(64);
        client_io.read_limit(ReadLimit::Bytes(0));
        drop(client);
        let waited = timeout(HALF_CLOSED_PATIENCE / 2, client_io.read(&mut [0; 1])).await;
        assert!(waited.is_err(), "it may be waiting for its response");
        assert_eq!(client_io.read(&mut [0; 1]).await.expect("read"), 0);
    }
}
