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
        ListenMeter, ListenSnapshot, OpenConnections,
        http1::{http2::ServeHttp2, serve::Http1},
        io::client_io::ends,
        meter::{ConnectionProtocol, ConnectionRefusal},
    },
    telemetry::seldom::{Seldom, SeldomEach},
};

/// The entrance of every client connection.
#[derive(Debug)]
pub(crate) struct Acceptor<H> {
    http2: H,
    live: Arc<ArcSwap<ListenSnapshot>>,
    connections: OpenConnections,
    clients: ConnectionLimit,
    warnings: Warnings,
    meter: Arc<ListenMeter>,
}

/// Rate limits of the warnings that clients can cause, one for each listener and reason.
#[derive(Debug, Default)]
struct Warnings {
    refusals: SeldomEach<(SocketAddr, &'static str)>,
    full: Seldom,
}

impl<H> Acceptor<H> {
    /// Returns an acceptor that serves HTTP/2 with `http2`, lists its connections in `connections`, and counts them.
    pub(crate) fn new(
        http2: H,
        live: Arc<ArcSwap<ListenSnapshot>>,
        connections: OpenConnections,
        meter: Arc<ListenMeter>,
    ) -> Self {
        Self {
            http2,
            live,
            connections,
            clients: ConnectionLimit::default(),
            warnings: Warnings::default(),
            meter,
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
        let (count, most) = (self.connections.count(), live.limits.max_connections);
        if count > most {
            self.meter.refused.increment(ConnectionRefusal::Full);
            return self.warnings.log_full(most);
        }
        let Some((local, sender)) = ends(&stream) else {
            self.meter.refused.increment(ConnectionRefusal::Ended);
            debug!("a connection was gone before it was served");
            return;
        };
        let Some(listener) = listener::find(&live.listeners, local) else {
            self.meter.refused.increment(ConnectionRefusal::NoListener);
            warn!("closing a connection to {local}, which is no listener's address");
            return;
        };
        let limits = &live.limits;
        let handshaking = handshake(
            stream,
            sender,
            listener,
            (&self.clients, limits.max_connections_per_client),
            &self.meter,
        );
        let mut accepted = match timeout(limits.handshake_timeout, handshaking).await {
            Err(_) => {
                self.meter.refused.increment(ConnectionRefusal::Timeout);
                debug!(
                    "{sender} took longer than {:?} to its first request",
                    limits.handshake_timeout
                );
                return;
            }
            Ok(Err(refusal)) => {
                self.meter.refused.increment((&refusal).into());
                self.warnings.log(listener.address, sender, &refusal);
                return;
            }
            Ok(Ok(accepted)) => accepted,
        };
        match accepted.protocol {
            Protocol::Http1 => {
                self.meter.accepted.increment(ConnectionProtocol::Http1);
                let http1 = Http1 {
                    app,
                    http2: &self.http2,
                    h2c_upgrade: accepted.h2c_upgrade,
                    limits: live.limits,
                    shutdown,
                    meter: &self.meter,
                };
                http1.serve(accepted.client_io, accepted.first.read().to_vec()).await;
            }
            Protocol::Http2 => {
                self.meter.accepted.increment(ConnectionProtocol::Http2);
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
    /// Logs that a connection is closed since all clients together have as many as they may.
    fn log_full(&self, most: usize) {
        if let Some(left_out) = self.full.may_warn(Instant::now()) {
            warn!("closed a new connection: {most} are open, which is server.max_connections{left_out}");
        }
    }

    /// Logs a refusal: as a warning if a terminator or a listener is misconfigured or a client has too many
    /// connections, which an operator should know; else as debug, since clients fail TLS or leave all the time.
    fn log(&self, listener: SocketAddr, sender: SocketAddr, refusal: &HandshakeError) {
        let may_warn = |reason| self.refusals.may_warn((listener, reason), Instant::now());
        match refusal.reason().and_then(may_warn) {
            Some(left_out) => warn!("closed a connection from {sender} to {listener}: {refusal}{left_out}"),
            None => debug!("closed a connection from {sender} to {listener}: {refusal}"),
        }
    }
}
