//! Wraps a connection to an origin for Pingora: [`Paced`] reads it at the pace of its request, and only while its valve
//! is open.

use std::{
    future::Future,
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
        ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
        TimingDigest, UniqueID, UniqueIDType, raw_connect::ProxyDigest, tls::SslDigest,
    },
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take},
    time::{Sleep, sleep},
};

use super::{
    duplex::{Duplex, Exchange},
    pace::{self, TRICKLE_DELAY},
};

/// Returns the exchange of a connection from its `ProxyDigest`; `None` if the connection is not a `Paced` one.
pub fn exchange(facts: &ProxyDigest) -> Option<Arc<Exchange>> {
    facts.user_data.as_ref()?.downcast_ref::<Arc<Exchange>>().cloned()
}

/// A connection to an origin that is read at the pace of its current request.
#[derive(Debug)]
pub(in crate::upstream) struct Paced {
    io: Take<Duplex>,
    facts: Option<Arc<ProxyDigest>>,
    /// When the next byte is read although the valve is shut.
    drip: Option<Pin<Box<Sleep>>>,
}

impl Paced {
    pub(in crate::upstream) fn new(io: Stream) -> Self {
        let duplex = Duplex::new(io);
        // Pingora carries custom data only beside the response header of a CONNECT proxy.
        let facts = ResponseHeader::build_no_case(StatusCode::OK, Some(0))
            .ok()
            .map(|unused| {
                let exchange = Arc::clone(duplex.exchange());
                Arc::new(ProxyDigest::new(Box::new(unused), Some(Box::new(exchange))))
            });
        Self {
            io: duplex.take(0),
            facts,
            drip: None,
        }
    }

    /// Waits while the valve is shut. Ready with `true` after [`TRICKLE_DELAY`]: one byte may be read, so that
    /// Pingora's `read_timeout` does not pass.
    fn poll_valve(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.exchange().valve().poll_open(cx).is_ready() {
            self.drip = None;
            return Poll::Ready(false);
        }
        let drip = self.drip.get_or_insert_with(|| Box::pin(sleep(TRICKLE_DELAY)));
        ready!(drip.as_mut().poll(cx));
        self.drip = None;
        Poll::Ready(true)
    }

    fn io(&self) -> &Stream {
        self.io.get_ref().io()
    }

    fn exchange(&self) -> &Exchange {
        self.io.get_ref().exchange()
    }

    fn duplex(&mut self) -> Pin<&mut Duplex> {
        Pin::new(self.io.get_mut())
    }
}

impl AsyncRead for Paced {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.exchange().waits_for_nobody(cx) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let is_drip = ready!(self.poll_valve(cx));
        let allowance = match pace::allowance(cx) {
            None if pace::is_abandoned() => return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
            None if !is_drip => return self.duplex().poll_read(cx, buf),
            allowance => allowance
                .unwrap_or(usize::MAX)
                .min(if is_drip { 1 } else { usize::MAX }),
        };
        if allowance == 0 {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        self.io.set_limit(u64::try_from(allowance).unwrap_or(u64::MAX));
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        pace::count_read(read, cx);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Paced {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.duplex().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.duplex().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.duplex().poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.duplex().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io().is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for Paced {
    async fn shutdown(&mut self) {
        Shutdown::shutdown(&mut **self.io.get_mut().io_mut()).await;
    }
}

impl UniqueID for Paced {
    fn id(&self) -> UniqueIDType {
        self.io().id()
    }
}

impl Ssl for Paced {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.io().get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.io().selected_alpn_proto()
    }
}

impl Peek for Paced {}

impl GetTimingDigest for Paced {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.io().get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.io().get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.io().get_write_pending_time()
    }
}

impl GetProxyDigest for Paced {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.facts.clone()
    }
}

impl GetSocketDigest for Paced {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.io().get_socket_digest()
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncWriteExt, duplex},
        time::Instant,
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn while_the_valve_is_shut_one_byte_is_read_each_trickle_delay() {
        let (mut origin, io) = duplex(100);
        origin.write_all(&[b'x'; 100]).await.expect("room");
        let mut paced = Paced::new(Box::new(io));
        let exchange = Arc::clone(paced.io.get_ref().exchange());
        exchange.begin(true);
        exchange.valve().shut();
        let begun = Instant::now();
        let mut bytes = [0; 50];
        for _ in 0..3 {
            assert_eq!(paced.read(&mut bytes).await.expect("read"), 1);
        }
        assert_eq!(begun.elapsed(), 3 * TRICKLE_DELAY);
        exchange.valve().open();
        assert_eq!(paced.read(&mut bytes).await.expect("read"), 50);
        assert_eq!(begun.elapsed(), 3 * TRICKLE_DELAY);
    }

    #[tokio::test]
    async fn a_connection_for_the_cache_ends_when_the_client_leaves_before_the_head() {
        for (may_be_stored, is_awaited) in [(true, false), (false, true)] {
            let (mut origin, io) = duplex(100);
            let mut paced = Paced::new(Box::new(io));
            let exchange = Arc::clone(paced.io.get_ref().exchange());
            exchange.begin(may_be_stored);
            let reading = tokio::spawn(async move { paced.read(&mut [0; 50]).await });
            tokio::task::yield_now().await;
            exchange.valve().note_client_left();
            tokio::task::yield_now().await;
            assert_eq!(reading.is_finished(), !is_awaited);
            origin.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap_or_default();
            let read = reading.await.expect("no panic");
            assert_eq!(read.is_ok(), is_awaited, "{read:?}");
        }
    }
}
