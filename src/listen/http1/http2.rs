//! The seam to what serves HTTP/2.

use std::sync::Arc;

use async_trait::async_trait;
use pingora::{protocols::Stream, server::ShutdownWatch};

use crate::listen::UpgradeRequest;

/// Whoever serves HTTP/2 connections with this application: those that begin with the preface, and
/// upgraded ones.
#[async_trait]
pub(crate) trait ServeHttp2<A>: Send + Sync {
    /// What an upgraded connection begins with.
    type Beginning: Send;

    /// Takes a request for an upgrade, or leaves it to HTTP/1.1.
    fn upgrade(&self, request: UpgradeRequest) -> Option<Self::Beginning>;

    /// Serves a connection to its end. Its facts are in its digest. After an upgrade the client was
    /// told, and its preface is still to come.
    async fn serve(&self, app: &Arc<A>, stream: Stream, beginning: Option<Self::Beginning>, shutdown: ShutdownWatch);
}
