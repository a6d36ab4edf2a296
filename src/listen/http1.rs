//! HTTP/1.x: Pingora's own server, one request after another on a connection.

use std::sync::Arc;

use pingora::{
    apps::HttpServerApp,
    protocols::{Stream, http::ServerSession},
    server::ShutdownWatch,
};

use super::Limits;

/// Serves a connection to its end.
pub(super) async fn serve<A>(stream: Stream, app: &Arc<A>, limits: &Limits, shutdown: &ShutdownWatch)
where
    A: HttpServerApp + Send + Sync + 'static,
{
    let mut session = ServerSession::new_http1(stream);
    session.set_read_timeout(Some(limits.handshake_timeout));
    // After a shutdown has begun a connection gets the one answer it waits for.
    let keepalive = (!*shutdown.borrow()).then(|| limits.idle_timeout.as_secs().max(1));
    session.set_keepalive(keepalive);
    let mut reusable = app.process_new_http(session, shutdown).await;
    while let Some((stream, settings)) = reusable.map(|reused| reused.consume()) {
        let mut session = ServerSession::new_http1(stream);
        if let Some(settings) = settings {
            settings.apply_to_session(&mut session);
        }
        reusable = app.process_new_http(session, shutdown).await;
    }
}
