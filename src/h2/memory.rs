//! Answers that need no application: the seam to what is kept in memory.
//!
//! It is asked before the application, for requests and promises alike. What it answers is sent here:
//! a short answer at once, by the task of the connection; what has to wait, by a task of its own.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, request::Parts};
use log::debug;
use pingora::apps::HttpServerApp;

use super::{
    connection::Connection,
    queue::Queue,
    stream::{Stream, StreamError, urgency},
};
use crate::{
    cache::Body,
    client,
    push::{PushedBy, Urgency},
};

/// Whatever keeps answers.
pub trait Memory: Send + Sync {
    /// The answer to a request that came on this connection, or to a promise of one of its streams; `None` where
    /// the application is to be asked.
    fn recall(&self, request: &Parts, connection: &client::Connection, pushed_by: Option<PushedBy>)
    -> Option<Recalled>;
}

/// An answer from memory.
pub struct Recalled {
    /// Its status and fields, none of which belongs to one connection.
    pub response: Response<()>,
    /// Its content; empty where it has none, as for HEAD.
    pub body: Body,
    /// Who wants to know what became of it.
    pub report: Option<Box<dyn Report>>,
}

/// Hears of an answer that has come to its end.
pub trait Report: Send {
    /// This many bytes of content were handed over; `failure` says why not all.
    fn sent(self: Box<Self>, bytes: usize, failure: Option<&str>);
}

impl std::fmt::Debug for Recalled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recalled")
            .field("response", &self.response)
            .field("length", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl<A> Connection<A> {
    /// The answer to a request or promise, if it is in memory.
    pub(super) fn recall(&self, request: &Parts, pushed_by: Option<PushedBy>) -> Option<Recalled> {
        self.memory.recall(request, self.facts.as_deref()?, pushed_by)
    }
}

/// Answers a request, for which the client may have asked an urgency. Never waits.
pub(super) fn respond<A>(
    connection: &Arc<Connection<A>>,
    mut stream: Stream,
    asked: Option<Urgency>,
    recalled: Recalled,
) where
    A: HttpServerApp + Send + Sync + 'static,
{
    let Recalled { response, body, report } = recalled;
    if !body.is_empty() {
        stream.open_lane(&connection.order, urgency(response.headers()), asked);
    }
    let begun = stream.begin(response, body.is_empty());
    go_on(connection, stream, begun, body, Telling(report));
}

/// Answers a promise, once it is written: then the task of the connection goes on with it.
pub(super) fn fulfil<A>(connection: &Arc<Connection<A>>, mut stream: Stream, recalled: Recalled)
where
    A: HttpServerApp + Send + Sync + 'static,
{
    let Recalled { response, body, report } = recalled;
    if !body.is_empty() {
        stream.open_lane(&connection.order, urgency(response.headers()), None);
    }
    let telling = Telling(report);
    // Until then it is no stream at work: a client that reads nothing at all is idle.
    let connection = Arc::clone(connection);
    stream.open_then(response, body.is_empty(), move |stream, begun| {
        go_on(&connection, stream, begun, body, telling);
    });
}

/// Sends the content of an answer that has begun: at once, or what has to wait in a task of its own.
fn go_on<A>(
    connection: &Arc<Connection<A>>,
    mut stream: Stream,
    begun: Result<(), StreamError>,
    body: Body,
    telling: Telling,
) where
    A: HttpServerApp + Send + Sync + 'static,
{
    let at_once = begun.and_then(|()| match body.pieces() {
        [] => Ok(true),
        [only] => stream.send_at_once(only),
        _ => Ok(false),
    });
    match at_once {
        Ok(true) => telling.tell(body.len(), None),
        Ok(false) => carry_on(connection, stream, body, telling),
        Err(e) => end(&mut stream, 0, telling, Err(e)),
    }
}

/// Sends the content of an answer as the client's windows take it.
fn carry_on<A>(connection: &Arc<Connection<A>>, mut stream: Stream, body: Body, telling: Telling)
where
    A: HttpServerApp + Send + Sync + 'static,
{
    let active = connection.active.begin();
    let queue = connection.queue.clone();
    let limit = connection.limits.write_timeout;
    tokio::spawn(async move {
        let _active = active;
        let mut sent = 0;
        let outcome = content(&mut stream, &body, &queue, limit, &mut sent).await;
        end(&mut stream, sent, telling, outcome);
    });
}

async fn content(
    stream: &mut Stream,
    body: &Body,
    queue: &Queue,
    limit: std::time::Duration,
    sent: &mut usize,
) -> Result<(), StreamError> {
    let mut pieces = body.pieces().iter().peekable();
    while let Some(piece) = pieces.next() {
        stream
            .send_body(Bytes::clone(piece), pieces.peek().is_none(), queue, limit)
            .await?;
        *sent += piece.len();
    }
    Ok(())
}

fn end(stream: &mut Stream, sent: usize, telling: Telling, outcome: Result<(), StreamError>) {
    if let Err(e) = &outcome {
        debug!("stream {}: an answer from memory is not complete: {e}", stream.id());
        stream.reset(stream.failure_reason());
    }
    telling.tell(sent, outcome.err().as_ref());
}

/// Whoever wants to know what became of an answer; is told in any case.
struct Telling(Option<Box<dyn Report>>);

impl Telling {
    fn tell(mut self, sent: usize, failure: Option<&StreamError>) {
        if let Some(report) = self.0.take() {
            report.sent(sent, failure.map(ToString::to_string).as_deref());
        }
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        if let Some(report) = self.0.take() {
            report.sent(0, Some(&StreamError::Gone.to_string()));
        }
    }
}
