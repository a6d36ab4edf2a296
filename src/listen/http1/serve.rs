//! HTTP/1.x: Pingora's own server, one request after another on a connection.
//!
//! Pingora gives each read of a request header a time limit, not the header as a whole, so a client
//! that drips bytes could keep a connection for ever. The header is therefore awaited here, within
//! one limit, and put back for Pingora to parse. A request that asks for HTTP/2 leaves here.
//!
//! Pingora takes bytes behind a request for a fault of the client, or keeps them where a header
//! cannot be awaited. So it is not shown them before their turn: see [`ClientIo::read_limit`].

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
    refuse::refuse,
};
use crate::{
    listen::{
        ClientIo, ClientLimits,
        http1::http2::ServeHttp2,
        io::{chunks::Chunks, client_io::ReadLimit},
    },
    peer::Scheme,
};

const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";

/// Who serves the requests of a connection, and how long they may take to arrive.
pub(in crate::listen) struct Http1<'e, A, H> {
    pub(in crate::listen) app: &'e Arc<A>,
    pub(in crate::listen) http2: &'e H,
    /// Requests may ask for HTTP/2.
    pub(in crate::listen) h2c_upgrade: bool,
    pub(in crate::listen) limits: ClientLimits,
    pub(in crate::listen) shutdown: &'e ShutdownWatch,
}

impl<A, H> Http1<'_, A, H>
where
    A: HttpServerApp + Send + Sync + 'static,
    H: ServeHttp2<A>,
{
    /// Serves a connection to its end; `first` was read from it already.
    pub(in crate::listen) async fn serve(&self, mut client_io: Box<ClientIo>, mut first: Vec<u8>) {
        let mut settings: Option<HttpPersistentSettings> = None;
        // Where Pingora has its limit, that one comes first: it names the error.
        client_io.limit_writes(Some(self.limits.write_timeout.saturating_mul(2)));
        skip_empty_lines(&mut first);
        let mut read = self.read_head(&mut client_io, first).await;
        loop {
            let bytes = match read {
                Ok(bytes) => bytes,
                Err(e) => return debug!("an HTTP/1 connection ended without a request: {e}"),
            };
            let shutdown_began = *self.shutdown.borrow();
            let mut head = match self.head(&bytes) {
                Ok(head) => head,
                Err(bad) => return refuse(client_io, &bytes, bad, self.limits.write_timeout).await,
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
                // After a shutdown has begun a connection gets the one answer it waits for.
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
                        // Nobody read the rest of the content, and what follows it is another request.
                        return debug!("closing an HTTP/1 connection whose request was not read to its end");
                    }
                    client_io.read_limit(ReadLimit::None);
                }
                None => return,
            }
            let Some(next) = self.next_request(&mut client_io).await else {
                // TLS has an end of its own, which tells the client that nothing was cut off.
                return Shutdown::shutdown(&mut *client_io).await;
            };
            read = self.read_head(&mut client_io, next).await;
        }
    }

    /// The first bytes of the next request; `None` where there is none. Only here, between two
    /// requests, does a shutdown close a connection.
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
            // What has arrived is answered, even at the last moment.
            biased;
            next = within(self.limits.idle_timeout, reading) => next.ok(),
            _ = shutdown.wait_for(|&begun| begun) => None,
        }
    }

    /// Reads until a request header is complete.
    async fn read_head(&self, client_io: &mut ClientIo, mut head: Vec<u8>) -> io::Result<Vec<u8>> {
        let reading = async {
            let mut end = HeadEnd::default();
            while !end.has_come(&head) && head.len() <= self.limits.max_header_bytes {
                // Half a line end may have come before it.
                let may_begin = head.len() <= 1;
                if client_io.read_buf(&mut head).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                if may_begin {
                    skip_empty_lines(&mut head);
                    end = HeadEnd::default();
                }
            }
            Ok(head)
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

    /// Switches to HTTP/2, which answers the request.
    async fn upgrade(&self, mut client_io: Box<ClientIo>, beginning: H::Beginning) {
        let switching = async {
            client_io.write_all(SWITCHING).await?;
            client_io.flush().await
        };
        match within(self.limits.handshake_timeout, switching).await {
            Ok(()) => {
                // HTTP/2 has limits of its own.
                client_io.limit_writes(None);
                self.http2
                    .serve(self.app, client_io, Some(beginning), self.shutdown.clone())
                    .await;
            }
            Err(e) => debug!("a connection ended before it was upgraded: {e}"),
        }
    }
}

/// Resolves shortly before a shutdown cuts whatever is still under way.
async fn leaving(mut shutdown: ShutdownWatch, graceful_timeout: Duration) {
    if shutdown.wait_for(|&begun| begun).await.is_err() {
        pending::<()>().await;
    }
    sleep(graceful_timeout.saturating_sub(LEAVING_EARLY).max(graceful_timeout / 2)).await;
}

/// Enough for a tunnel to be closed before the process ends.
const LEAVING_EARLY: Duration = Duration::from_secs(1);

/// How far Pingora may read for a request with a head of this length.
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
