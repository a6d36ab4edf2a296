//! What becomes of a request: it begins, waits, is answered from memory, or is refused.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Waker},
};

use h2::{Reason, RecvStream, server::SendResponse};
use http::{Request, Response, StatusCode, request::Parts};
use log::debug;
use pingora::apps::HttpServerApp;

use super::{
    admission::AtWork,
    chunk::Chunk,
    connection::{ActiveStream, Connection},
    memory,
    promise::run,
    stream::{Stream, urgency},
    validate::{Answer, validate},
};

/// Streams at work, for each that may be open: a client may reset what has begun, and go on.
const BACKLOG: usize = 4;

/// Requests of a connection that have not begun.
#[derive(Debug, Default)]
pub(super) struct Backlog(VecDeque<Waiting>);

/// One of them.
#[derive(Debug)]
struct Waiting {
    head: Parts,
    stream: Stream,
    /// It is a stream of its connection all the same.
    _active: ActiveStream,
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Answers a request from memory, begins it, lets it wait, or refuses it; `false` if it was malformed.
    pub(super) fn admit<A>(
        &mut self,
        connection: &Arc<Connection<A>>,
        request: Request<RecvStream>,
        mut respond: SendResponse<Chunk>,
    ) -> bool
    where
        A: HttpServerApp + Send + Sync + 'static,
    {
        let (head, body) = request.into_parts();
        if let Err(rejection) = validate(&head) {
            debug!("refusing a malformed HTTP/2 request: {rejection}");
            match rejection.answer() {
                Answer::Reset => respond.send_reset(Reason::PROTOCOL_ERROR),
                Answer::BadRequest => {
                    let mut response = Response::new(());
                    *response.status_mut() = StatusCode::BAD_REQUEST;
                    // A client that has reset the stream meanwhile needs no answer.
                    let _ = respond.send_response(response, true);
                }
            }
            return false;
        }
        let most = usize::try_from(connection.limits.max_streams).unwrap_or(usize::MAX) * BACKLOG;
        if connection.active.count() >= most {
            debug!("refusing a stream: too many that were reset are not finished");
            respond.send_reset(Reason::REFUSED_STREAM);
            return false;
        }
        // A request with content is nobody else's.
        let recalled = body.is_end_stream().then(|| connection.recall(&head, None)).flatten();
        let stream = Stream::requested(respond, body);
        if let Some(recalled) = recalled {
            memory::respond(connection, stream, urgency(&head.headers), recalled);
        } else if let Some(at_work) = self.may_begin(connection) {
            run(connection, head, stream, at_work);
        } else {
            let _active = connection.active.begin();
            self.0.push_back(Waiting { head, stream, _active });
        }
        true
    }

    fn may_begin<A>(&self, connection: &Connection<A>) -> Option<AtWork> {
        if self.is_empty() {
            connection.admission.try_begin()
        } else {
            None
        }
    }

    /// Begins so many requests, those that have waited longest. What the client has reset meanwhile never begins.
    pub(super) fn begin<A>(&mut self, connection: &Arc<Connection<A>>, mut requests: usize)
    where
        A: HttpServerApp + Send + Sync + 'static,
    {
        while requests > 0
            && let Some(Waiting { head, mut stream, .. }) = self.0.pop_front()
        {
            let is_reset = stream.poll_reset(&mut Context::from_waker(Waker::noop())).is_ready();
            if !is_reset {
                run(connection, head, stream, connection.admission.begin());
                requests -= 1;
            }
        }
    }
}
