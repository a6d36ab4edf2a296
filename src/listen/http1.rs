//! HTTP/1.x: Pingora's own server, one request after another on a connection.
//!
//! Pingora gives each read of a request header a time limit, not the header as a whole, so a client
//! that drips bytes could keep a connection for ever. The header is therefore awaited here, within
//! one limit, and put back for Pingora to parse.

use std::{io, sync::Arc, time::Duration};

use log::{debug, warn};
use pingora::{
    apps::{HttpPersistentSettings, HttpServerApp},
    protocols::http::ServerSession,
    server::ShutdownWatch,
};
use tokio::{io::AsyncReadExt, time::timeout};

use super::{Arrival, Limits};

/// Bytes of a header that are awaited here; a longer one is Pingora's to refuse.
const MAX_HEAD: usize = 64 * 1024;

/// Serves a connection to its end; `first` was read from it already.
pub(super) async fn serve<A>(
    mut arrival: Box<Arrival>,
    mut first: Vec<u8>,
    app: &Arc<A>,
    limits: &Limits,
    shutdown: &ShutdownWatch,
) where
    A: HttpServerApp + Send + Sync + 'static,
{
    let mut settings: Option<HttpPersistentSettings> = None;
    let mut shutdown_begins = shutdown.clone();
    loop {
        let head = read_head(&mut arrival, std::mem::take(&mut first), limits);
        let head = tokio::select! {
            biased;
            head = head => head,
            _ = shutdown_begins.wait_for(|&begun| begun) => return,
        };
        let head = match head {
            Ok(head) => head,
            Err(e) => return debug!("an HTTP/1 connection ended without a request: {e}"),
        };
        arrival.put_back(&head);
        let mut session = ServerSession::new_http1(arrival);
        session.set_keepalive(Some(limits.idle_timeout.as_secs().max(1)));
        if let Some(settings) = settings.take() {
            settings.apply_to_session(&mut session);
        }
        if *shutdown.borrow() {
            // After a shutdown has begun a connection gets the one answer it waits for.
            session.set_keepalive(None);
        }
        match app
            .process_new_http(session, shutdown)
            .await
            .map(|reused| reused.consume())
        {
            Some((reused, kept)) => {
                let Ok(reused) = reused.into_any().downcast::<Arrival>() else {
                    return warn!("Pingora gave back another transport than it was given");
                };
                (arrival, settings) = (reused, kept);
            }
            None => return,
        }
    }
}

/// Reads until a request header is complete: the first byte within the idle limit, the rest within
/// the handshake limit.
async fn read_head(stream: &mut Arrival, mut head: Vec<u8>, limits: &Limits) -> io::Result<Vec<u8>> {
    if head.is_empty() {
        within(limits.idle_timeout, stream.read_buf(&mut head)).await?;
    }
    let rest = async {
        let mut searched = 0;
        while !has_end(&head, searched) && head.len() < MAX_HEAD {
            searched = head.len().saturating_sub(3);
            if stream.read_buf(&mut head).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(head)
    };
    within(limits.handshake_timeout, rest).await
}

async fn within<T>(limit: Duration, reading: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, reading)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Whether an empty line ends the header, with or without the carriage returns (RFC 9112 section 2.2).
fn has_end(head: &[u8], from: usize) -> bool {
    let new = head.get(from..).unwrap_or_default();
    new.windows(3).any(|w| w == b"\n\r\n") || new.windows(2).any(|w| w == b"\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_line_ends_a_header() {
        assert!(has_end(b"GET / HTTP/1.1\r\nhost: a\r\n\r\nbody", 0));
        assert!(has_end(b"GET / HTTP/1.0\n\n", 0));
        assert!(!has_end(b"GET / HTTP/1.1\r\nhost: a\r\n", 0));
        assert!(!has_end(b"", 7));
    }
}
