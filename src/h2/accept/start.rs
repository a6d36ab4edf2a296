//! Starts the application's answer to a request or a promise.

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

/// Serves one stream in a task of its own: a panic ends that stream only. `arrived` tells of one that had to wait.
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
    // What is spawned is moved some times before it runs, so it holds little: the session is made where it runs.
    tokio::spawn(pace::scope(arrived, async move {
        let session = Box::new(Session::new(head, stream, Arc::clone(&connection)));
        let response = connection
            .app
            .process_new_http(ServerSession::new_custom(session), &connection.shutdown);
        permit.metered(response).await;
    }));
}
