//! Serves each connection that Pingora's listeners accept: handshake first, then HTTP/1.x or HTTP/2.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use arc_swap::ArcSwap;
use log::{debug, warn};
use pingora::{apps::HttpServerApp, protocols::Stream, server::ShutdownWatch};
use tokio::time::timeout;

use super::{
    connection_limit::ConnectionLimit,
    detect::Protocol,
    handshake::{HandshakeError, handshake},
    listener,
};
use crate::{
    listen::{
        ListenSnapshot, OpenConnections,
        http1::{http2::ServeHttp2, serve::Http1},
        io::client_io::ends,
    },
    telemetry::seldom::SeldomEach,
};

/// The entrance of every client connection.
#[derive(Debug)]
pub(crate) struct Acceptor<H> {
    http2: H,
    live: Arc<ArcSwap<ListenSnapshot>>,
    connections: OpenConnections,
    clients: ConnectionLimit,
    warnings: Warnings,
}

/// Rate limits of the warnings that clients can cause, one for each listener and reason.
#[derive(Debug, Default)]
struct Warnings(SeldomEach<(SocketAddr, &'static str)>);

impl<H> Acceptor<H> {
    /// Returns an acceptor that serves HTTP/2 with `http2`, and lists its connections in `connections`.
    pub(crate) fn new(http2: H, live: Arc<ArcSwap<ListenSnapshot>>, connections: OpenConnections) -> Self {
        Self {
            http2,
            live,
            connections,
            clients: ConnectionLimit::default(),
            warnings: Warnings::default(),
        }
    }

    /// Serves a connection. HTTP/1.x is served to its end; HTTP/2 gets a task of its own, so that an idle connection
    /// does not hold the memory of Pingora's task.
    pub(crate) async fn enter<A>(self: &Arc<Self>, app: &Arc<A>, stream: Stream, shutdown: &ShutdownWatch)
    where
        A: HttpServerApp + Send + Sync + 'static,
        H: ServeHttp2<A> + 'static,
    {
        let open = self.connections.open();
        let live = self.live.load_full();
        let Some((local, sender)) = ends(&stream) else {
            debug!("a connection was gone before it was served");
            return;
        };
        let Some(listener) = listener::find(&live.listeners, local) else {
            warn!("closing a connection to {local}, which is no listener's address");
            return;
        };
        let limits = &live.limits;
        let handshaking = handshake(
            stream,
            sender,
            listener,
            &self.clients,
            limits.max_connections_per_client,
        );
        let mut accepted = match timeout(limits.handshake_timeout, handshaking).await {
            Err(_) => {
                debug!(
                    "{sender} took longer than {:?} to its first request",
                    limits.handshake_timeout
                );
                return;
            }
            Ok(Err(refusal)) => {
                self.warnings.log(listener.address, sender, &refusal);
                return;
            }
            Ok(Ok(accepted)) => accepted,
        };
        match accepted.protocol {
            Protocol::Http1 => {
                let http1 = Http1 {
                    app,
                    http2: &self.http2,
                    h2c_upgrade: accepted.h2c_upgrade,
                    limits: live.limits,
                    shutdown,
                };
                http1.serve(accepted.client_io, accepted.first.read().to_vec()).await;
            }
            Protocol::Http2 => {
                accepted.client_io.put_back(accepted.first.read());
                let (acceptor, app, shutdown) = (Arc::clone(self), Arc::clone(app), shutdown.clone());
                let permit = accepted.permit;
                tokio::spawn(async move {
                    let _counted = (open, permit);
                    acceptor.http2.serve(&app, accepted.client_io, None, shutdown).await;
                });
            }
        }
    }
}

impl Warnings {
    /// Logs a refusal: as a warning if a terminator or a listener is misconfigured or a client has too many
    /// connections, which an operator should know; else as debug, since clients fail TLS or leave all the time.
    fn log(&self, listener: SocketAddr, sender: SocketAddr, refusal: &HandshakeError) {
        let may_warn = |reason| self.0.may_warn((listener, reason), Instant::now());
        match refusal.reason().and_then(may_warn) {
            Some(left_out) => warn!("closed a connection from {sender} to {listener}: {refusal}{left_out}"),
            None => debug!("closed a connection from {sender} to {listener}: {refusal}"),
        }
    }
}
