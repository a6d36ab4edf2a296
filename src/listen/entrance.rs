//! The application that Pingora's listeners hand connections to.

use std::sync::Arc;

use async_trait::async_trait;
use log::debug;
use pingora::{
    apps::{HttpServerApp, ServerApp},
    protocols::Stream,
    server::ShutdownWatch,
};
use tokio::time::timeout;

use super::{
    Connections, Limits, http1,
    preface::{self, Protocol},
};

/// Whoever serves connections that begin with the HTTP/2 preface.
#[async_trait]
pub trait ServeHttp2: Send + Sync {
    /// Serves a connection to its end.
    async fn serve(&self, stream: Stream, shutdown: ShutdownWatch);
}

/// Tells protocols apart and hands connections on.
#[derive(Debug)]
pub struct Entrance<A, H> {
    app: Arc<A>,
    http2: H,
    limits: Limits,
    connections: Connections,
}

impl<A, H> Entrance<A, H> {
    /// An entrance for HTTP/1.x to `app` and for HTTP/2 to `http2`.
    pub fn new(app: Arc<A>, http2: H, limits: Limits, connections: Connections) -> Self {
        Self {
            app,
            http2,
            limits,
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
    async fn process_new(self: &Arc<Self>, mut stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let _open = self.connections.open();
        let limit = self.limits.handshake_timeout;
        match timeout(limit, preface::read(&mut stream)).await {
            Err(_) => debug!("a connection said nothing for {limit:?}"),
            Ok(Err(e)) => debug!("a connection ended before its first request: {e}"),
            Ok(Ok(first)) => match first.protocol() {
                Protocol::Http1 => {
                    http1::serve(stream, first.read().to_vec(), &self.app, &self.limits, shutdown).await;
                }
                Protocol::Http2 => {
                    if let Some(stream) = preface::put_back(stream, first.read()) {
                        self.http2.serve(stream, shutdown.clone()).await;
                    }
                }
            },
        }
        None
    }

    async fn cleanup(&self) {
        self.app.http_cleanup().await;
    }
}
