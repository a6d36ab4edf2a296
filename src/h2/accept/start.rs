//! Starts the application's answer to a request or a promise.

use std::sync::Arc;

use http::request::Parts;
use pingora::{apps::HttpServerApp, protocols::http::ServerSession};

use super::scheduler::RunPermit;
use crate::{
    h2::{
        respond::{Connection, session::Session},
        stream::Stream,
    },
    upstream::paced,
};

/// Serves one stream in a task of its own: a panic ends that stream only.
pub(super) fn start<A>(connection: &Arc<Connection<A>>, head: Parts, stream: Stream, permit: RunPermit)
where
    A: HttpServerApp + Send + Sync + 'static,
{
    let app = Arc::clone(&connection.app);
    let shutdown = connection.shutdown.clone();
    // Boxed first: the task is moved some times before it runs.
    let session = ServerSession::new_custom(Box::new(Session::new(head, stream, Arc::clone(connection))));
    tokio::spawn(paced(permit.metered(async move {
        app.process_new_http(session, &shutdown).await;
    })));
}
