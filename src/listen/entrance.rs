//! The application that Pingora's listeners hand connections to.

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use log::debug;
use pingora::{
    apps::{HttpServerApp, ServerApp},
    protocols::Stream,
    server::ShutdownWatch,
};
use tokio::time::timeout;

use super::{
    Arrival, Connections, Live, UpgradeRequest,
    arrival::socket_peer,
    http1::Http1,
    preface::{self, Protocol},
};
use crate::client::Peer;

/// Whoever serves HTTP/2 connections: those that begin with the preface, and upgraded ones.
#[async_trait]
pub trait ServeHttp2: Send + Sync {
    /// What an upgraded connection begins with.
    type Beginning: Send;

    /// Takes a request for an upgrade, or leaves it to HTTP/1.1.
    fn upgrade(&self, request: UpgradeRequest) -> Option<Self::Beginning>;

    /// Serves a connection to its end. Its facts are in its digest. After an upgrade the client was
    /// told, and its preface is still to come.
    async fn serve(&self, stream: Stream, beginning: Option<Self::Beginning>, shutdown: ShutdownWatch);
}

/// Tells protocols apart and hands connections on.
#[derive(Debug)]
pub struct Entrance<A, H> {
    app: Arc<A>,
    http2: H,
    live: Arc<ArcSwap<Live>>,
    connections: Connections,
}

impl<A, H> Entrance<A, H> {
    /// An entrance for HTTP/1.x to `app` and for HTTP/2 to `http2`.
    pub fn new(app: Arc<A>, http2: H, live: Arc<ArcSwap<Live>>, connections: Connections) -> Self {
        Self {
            app,
            http2,
            live,
            connections,
        }
    }
}

#[async_trait]
impl<A, H> ServerApp for Entrance<A, H>
where
    A: HttpServerApp + Send + Sync + 'static,
    H: ServeHttp2 + 'static,
{
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let _open = self.connections.open();
        let live = self.live.load_full();
        let Some(address) = socket_peer(&stream) else {
            debug!("a connection was gone before it was served");
            return None;
        };
        let peer = Peer {
            address,
            scheme: None,
            is_trusted: false,
        };
        let mut arrival = Box::new(Arrival::new(stream, peer, Vec::new()));
        let limit = live.limits.handshake_timeout;
        match timeout(limit, preface::read(&mut arrival)).await {
            Err(_) => debug!("a connection said nothing for {limit:?}"),
            Ok(Err(e)) => debug!("a connection ended before its first request: {e}"),
            Ok(Ok(first)) => match first.protocol() {
                Protocol::Http1 => {
                    let http1 = Http1 {
                        app: &self.app,
                        http2: &self.http2,
                        limits: live.limits,
                        shutdown,
                    };
                    http1.serve(arrival, first.read().to_vec()).await;
                }
                Protocol::Http2 => {
                    arrival.put_back(first.read());
                    self.http2.serve(arrival, None, shutdown.clone()).await;
                }
            },
        }
        None
    }

    async fn cleanup(&self) {
        self.app.http_cleanup().await;
    }
}
