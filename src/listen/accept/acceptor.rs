//! Where Pingora's listeners hand connections to.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use arc_swap::ArcSwap;
use log::{debug, warn};
use pingora::{apps::HttpServerApp, protocols::Stream, server::ShutdownWatch};
use tokio::time::timeout;

use super::{
    connection_limit::PerClient,
    detect::Protocol,
    handshake::{Refusal, arrive},
    listener,
};
use crate::{
    listen::{
        Connections, Live,
        http1::{http2::ServeHttp2, serve::Http1},
        io::client_io::ends,
    },
    telemetry::seldom::Seldom,
};

/// Tells protocols apart and hands connections on.
#[derive(Debug)]
pub struct Entrance<H> {
    http2: H,
    live: Arc<ArcSwap<Live>>,
    connections: Connections,
    clients: PerClient,
    warnings: Warnings,
}

/// What is warned of now and then.
#[derive(Debug, Default)]
struct Warnings {
    header: Seldom,
    too_many: Seldom,
}

impl<H> Entrance<H> {
    /// An entrance for HTTP/1.x to an application, and for HTTP/2 to `http2`.
    pub fn new(http2: H, live: Arc<ArcSwap<Live>>, connections: Connections) -> Self {
        Self {
            http2,
            live,
            connections,
            clients: PerClient::default(),
            warnings: Warnings::default(),
        }
    }

    /// Serves a connection: on HTTP/1.x to its end, on HTTP/2 in a task of its own, so that an idle connection does
    /// not keep Pingora's.
    pub async fn enter<A>(self: &Arc<Self>, app: &Arc<A>, stream: Stream, shutdown: &ShutdownWatch)
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
        let arriving = arrive(
            stream,
            sender,
            listener,
            &self.clients,
            limits.max_connections_per_client,
        );
        let mut arrived = match timeout(limits.handshake_timeout, arriving).await {
            Err(_) => {
                debug!(
                    "{sender} took longer than {:?} to its first request",
                    limits.handshake_timeout
                );
                return;
            }
            Ok(Err(refusal)) => {
                self.warnings.tell(sender, &refusal);
                return;
            }
            Ok(Ok(arrived)) => arrived,
        };
        match arrived.protocol {
            Protocol::Http1 => {
                let http1 = Http1 {
                    app,
                    http2: &self.http2,
                    h2c_upgrade: arrived.h2c_upgrade,
                    limits: live.limits,
                    shutdown,
                };
                http1.serve(arrived.arrival, arrived.first.read().to_vec()).await;
            }
            Protocol::Http2 => {
                arrived.arrival.put_back(arrived.first.read());
                let (entrance, app, shutdown) = (Arc::clone(self), Arc::clone(app), shutdown.clone());
                let place = arrived.place;
                tokio::spawn(async move {
                    let _counted = (open, place);
                    entrance.http2.serve(&app, arrived.arrival, None, shutdown).await;
                });
            }
        }
    }
}

impl Warnings {
    /// An operator should know of a terminator that is set up wrongly, and of a greedy client; the
    /// rest is everyday.
    fn tell(&self, sender: SocketAddr, refusal: &Refusal) {
        let seldom = match refusal {
            Refusal::Untrusted | Refusal::Header(_) => &self.header,
            Refusal::TooMany { .. } => &self.too_many,
            Refusal::Tls(_) | Refusal::Ended(_) => return debug!("closed a connection from {sender}: {refusal}"),
        };
        match seldom.may_warn(Instant::now()) {
            Some(left_out) => warn!("closed a connection from {sender}: {refusal}{left_out}"),
            None => debug!("closed a connection from {sender}: {refusal}"),
        }
    }
}
