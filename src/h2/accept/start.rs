//! Starts the task in which the application answers a request or a promise.

use std::{sync::Arc, time::Instant};

use http::request::Parts;
use pingora::{apps::HttpServerApp, protocols::http::ServerSession};

use super::scheduler::RunPermit;
use crate::{
    h2::{
        respond::{Http2Connection, session::Session},
        stream::Stream,
    },
    upstream::pace,
};

/// Serves one stream in a task of its own, so that a panic ends this stream only. `arrived`: when the request came, if
/// it had to wait.
pub(super) fn start<A>(
    connection: &Arc<Http2Connection<A>>,
    head: Box<Parts>,
    stream: Stream,
    arrived: Option<Instant>,
    permit: RunPermit,
) where
    A: HttpServerApp + Send + Sync + 'static,
{
    let connection = Arc::clone(connection);
    // A future is moved several times while it is spawned: the large session is made when the task runs.
    tokio::spawn(pace::scope(arrived, async move {
        let session = Box::new(Session::new(head, stream, Arc::clone(&connection)));
        let response = connection
            .app
            .process_new_http(ServerSession::new_custom(session), &connection.shutdown);
        permit.metered(response).await;
    }));
}
