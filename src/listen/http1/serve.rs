//! Serves HTTP/1.x with Pingora's server, one request after another on a connection.
//!
//! Pingora limits the time of each read of a request head, not of the whole head, so a client that sends single bytes
//! could hold a connection for ever. The whole head is therefore read here within one limit, checked, and put back for
//! Pingora to parse. A request for an upgrade to HTTP/2 goes to [`ServeHttp2`] instead.
//!
//! Pingora reports bytes behind a request as an error of the client, or reads and loses the next request. So
//! [`ClientIo::read_limit`] hides all bytes behind the current request from it.

use std::{future::pending, io, sync::Arc, time::Duration};

use log::{debug, warn};
use pingora::{
    apps::{HttpPersistentSettings, HttpServerApp},
    protocols::{Shutdown, http::ServerSession},
    server::ShutdownWatch,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};

use super::{
    head::{BadHead, Framing, HeadLimits, Http1Head},
    head_end::{HeadEnd, skip_empty_lines},
    refuse::{log_late, refuse},
};
use crate::{
    listen::{
        ClientIo, ListenLimits, ListenMeter,
        http1::http2::ServeHttp2,
        io::{chunks::Chunks, client_io::ReadLimit},
    },
    peer::Scheme,
};

const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";

/// The servers, settings and limits of an HTTP/1.x connection.
pub(in crate::listen) struct Http1<'e, A, H> {
    pub(in crate::listen) app: &'e Arc<A>,
    pub(in crate::listen) http2: &'e H,
    /// Whether requests may change to HTTP/2.
    pub(in crate::listen) h2c_upgrade: bool,
    pub(in crate::listen) limits: ListenLimits,
    pub(in crate::listen) shutdown: &'e ShutdownWatch,
    pub(in crate::listen) meter: &'e ListenMeter,
}

impl<A, H> Http1<'_, A, H>
where
    A: HttpServerApp + Send + Sync + 'static,
    H: ServeHttp2<A>,
{
    /// Serves a connection to its end; `first` are the bytes that were already read from it.
    pub(in crate::listen) async fn serve(&self, mut client_io: Box<ClientIo>, mut first: Vec<u8>) {
        let mut settings: Option<HttpPersistentSettings> = None;
        // Twice Pingora's own limit, which so ends a write first where there is one: Pingora's error names the cause.
        client_io.limit_writes(Some(self.limits.write_timeout.saturating_mul(2)));
        skip_empty_lines(&mut first);
        let mut bytes = first;
        loop {
            if let Err(e) = self.read_head(&mut client_io, &mut bytes).await {
                if e.kind() == io::ErrorKind::TimedOut && !bytes.is_empty() {
                    log_late(&client_io, &bytes, self.limits.handshake_timeout);
                }
                return debug!("an HTTP/1 connection ended without a request: {e}");
            }
            let shutdown_began = *self.shutdown.borrow();
            let mut head = match self.head(&bytes) {
                Ok(head) => head,
                Err(bad) => {
                    self.meter.http1_faults.increment(bad.fault());
                    return refuse(client_io, &bytes, bad, self.limits.write_timeout).await;
                }
            };
            if let Some(request) = head.upgrade.take()
                && self.h2c_upgrade
                && !shutdown_began
                && client_io.scheme() != Some(Scheme::Https)
                && let Some(beginning) = self.http2.upgrade(request)
            {
                client_io.put_back(bytes.get(head.length..).unwrap_or_default());
                return self.upgrade(client_io, beginning).await;
            }
            let rest = bytes.get(head.length..).unwrap_or_default();
            let length = match &head.rewritten {
                Some(rewritten) => {
                    client_io.put_back(&[rewritten, rest].concat());
                    rewritten.len()
                }
                None => {
                    client_io.put_back(&bytes);
                    head.length
                }
            };
            if matches!(head.body, Framing::Switching(_)) {
                client_io.leave_when(leaving(self.shutdown.clone(), self.limits.graceful_timeout));
            }
            client_io.read_limit(read_limit(length, head.body));
            let mut session = ServerSession::new_http1(client_io);
            session.set_keepalive(Some(self.limits.idle_timeout.as_secs().max(1)));
            if let Some(settings) = settings.take() {
                settings.apply_to_session(&mut session);
            }
            if shutdown_began {
                // After a shutdown has begun, a connection gets the response to its current request and closes.
                session.set_keepalive(None);
            }
            match self
                .app
                .process_new_http(session, self.shutdown)
                .await
                .map(|reused| reused.consume())
            {
                Some((reused, kept)) => {
                    let Ok(reused) = reused.into_any().downcast::<ClientIo>() else {
                        return warn!("Pingora gave back another transport than it was given");
                    };
                    (client_io, settings) = (reused, kept);
                    if !client_io.is_at_read_limit() {
                        // Unread content would be parsed as the next request.
                        return debug!("closing an HTTP/1 connection whose request was not read to its end");
                    }
                    client_io.read_limit(ReadLimit::None);
                }
                None => return,
            }
            let Some(next) = self.next_request(&mut client_io).await else {
                // Over TLS this sends close_notify, which tells the client that nothing was cut off.
                return Shutdown::shutdown(&mut *client_io).await;
            };
            bytes = next;
        }
    }

    /// Waits for the first bytes of the next request; `None` if the client leaves, stays idle too long, or a shutdown
    /// begins. A shutdown closes a connection only here, between two requests.
    async fn next_request(&self, client_io: &mut ClientIo) -> Option<Vec<u8>> {
        let mut shutdown = self.shutdown.clone();
        let reading = async {
            let mut next = Vec::new();
            while next.is_empty() {
                if client_io.read_buf(&mut next).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                skip_empty_lines(&mut next);
            }
            Ok(next)
        };
        tokio::select! {
            // A request that has arrived is served, even if a shutdown begins at the same moment.
            biased;
            next = within(self.limits.idle_timeout, reading) => next.ok(),
            _ = shutdown.wait_for(|&begun| begun) => None,
        }
    }

    /// Reads until the request head is complete, broken or too long.
    async fn read_head(&self, client_io: &mut ClientIo, head: &mut Vec<u8>) -> io::Result<()> {
        let reading = async {
            let mut end = HeadEnd::default();
            while !end.has_come(head) && head.len() <= self.limits.max_header_bytes {
                // A carriage return may have arrived whose line feed completes an empty line.
                let may_begin = head.len() <= 1;
                if client_io.read_buf(head).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                if may_begin {
                    skip_empty_lines(head);
                    end = HeadEnd::default();
                }
            }
            Ok(())
        };
        within(self.limits.handshake_timeout, reading).await
    }

    fn head(&self, bytes: &[u8]) -> Result<Http1Head, BadHead> {
        Http1Head::read(
            bytes,
            HeadLimits {
                bytes: self.limits.max_header_bytes,
                fields: self.limits.max_header_fields,
            },
        )
    }

    /// Sends the 101 response, then has HTTP/2 serve the connection, beginning with the request of the upgrade.
    async fn upgrade(&self, mut client_io: Box<ClientIo>, beginning: H::Beginning) {
        let switching = async {
            client_io.write_all(SWITCHING).await?;
            client_io.flush().await
        };
        match within(self.limits.handshake_timeout, switching).await {
            Ok(()) => {
                // HTTP/2 limits the time of its writes itself.
                client_io.limit_writes(None);
                self.http2
                    .serve(self.app, client_io, Some(beginning), self.shutdown.clone())
                    .await;
            }
            Err(e) => debug!("a connection ended before it was upgraded: {e}"),
        }
    }
}

/// Waits until shortly before the end of a shutdown's `graceful_timeout`: by [`LEAVING_EARLY`], but at most half of it.
async fn leaving(mut shutdown: ShutdownWatch, graceful_timeout: Duration) {
    if shutdown.wait_for(|&begun| begun).await.is_err() {
        pending::<()>().await;
    }
    sleep(graceful_timeout.saturating_sub(LEAVING_EARLY).max(graceful_timeout / 2)).await;
}

/// Time to close a tunnel before the process ends.
const LEAVING_EARLY: Duration = Duration::from_secs(1);

/// Returns how far Pingora may read for a request whose head has this many bytes.
fn read_limit(head: usize, body: Framing) -> ReadLimit {
    let head = u64::try_from(head).unwrap_or(u64::MAX);
    match body {
        Framing::Length(length) => ReadLimit::Bytes(head.saturating_add(length)),
        Framing::Switching(length) => ReadLimit::Switching(head.saturating_add(length)),
        Framing::Chunked => ReadLimit::Chunked(Box::new(Chunks::after(head))),
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
