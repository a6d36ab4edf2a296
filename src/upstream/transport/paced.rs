//! A connection to an origin as Pingora has it: [`Paced`]. It is read at the pace of its request, and while its valve is open.

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

/// The exchange on a connection of a request, by what Pingora tells of the connection; `None` if it is not one of ours.
pub fn exchange(facts: &ProxyDigest) -> Option<Arc<Exchange>> {
    facts.user_data.as_ref()?.downcast_ref::<Arc<Exchange>>().cloned()
}

/// A connection to an origin that is read at the pace of the request which has it.
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
        // Pingora has a place for facts of one's own only beside the header of a CONNECT proxy.
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

    /// Waits while the valve is shut. Ready with `true` where only a byte may be read, for the sake of Pingora's limit.
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
    async fn while_its_valve_is_shut_a_byte_at_a_time_is_read() {
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
    async fn a_response_that_nobody_waits_for_is_not_waited_for() {
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
