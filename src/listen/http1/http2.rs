//! Defines [`ServeHttp2`], by which `listen` hands HTTP/2 connections on without knowing `h2`.

use std::sync::Arc;

use async_trait::async_trait;
use pingora::{protocols::Stream, server::ShutdownWatch};

use crate::listen::UpgradeRequest;

/// A server of HTTP/2 connections, both those that begin with the preface and those upgraded from HTTP/1.1, for the
/// application `A`.
#[async_trait]
pub(crate) trait ServeHttp2<A>: Send + Sync {
    /// The request and settings with which an upgraded connection begins.
    type Beginning: Send;

    /// Accepts a request for an upgrade, or returns `None` to have it served as HTTP/1.1.
    fn upgrade(&self, request: UpgradeRequest) -> Option<Self::Beginning>;

    /// Serves a connection to its end. The stream's `ProxyDigest` carries the [`crate::peer::ClientConnection`]. After
    /// an upgrade, the 101 response has been sent and the client's preface has not been read.
    async fn serve(&self, app: &Arc<A>, stream: Stream, beginning: Option<Self::Beginning>, shutdown: ShutdownWatch);
}
