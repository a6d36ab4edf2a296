//! What becomes of a request: it begins, waits, is answered from memory, or is refused.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Waker},
    time::Instant,
};

use h2::{Reason, RecvStream, server::SendResponse};
use http::{Method, Request, Response, StatusCode, request::Parts};
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
use crate::{
    client::{Arrived, Scheme},
    push::Urgency,
};

/// Streams that are answered or wait, for each that may be open: a client may reset what it has asked for, and go on.
const MOST: usize = 4;

/// Requests of a connection that have not begun.
#[derive(Debug, Default)]
pub(super) struct Backlog(VecDeque<Queued>);

/// One of them.
#[derive(Debug)]
struct Queued {
    head: Parts,
    stream: Stream,
    urgency: Urgency,
    since: Instant,
    /// It is a stream of its connection all the same.
    _counted: ActiveStream,
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Answers a request from memory, begins it, lets it wait, or refuses it; `false` if it was malformed, or one too
    /// many of a client that resets its requests.
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
        let may_be_open = usize::try_from(connection.limits.max_streams).unwrap_or(usize::MAX);
        if self.0.len() >= may_be_open {
            self.0.retain_mut(|queued| !queued.is_reset());
        }
        if connection.active.count() >= may_be_open.saturating_mul(MOST) {
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
            note_fetched(connection, &head);
            self.0.push_back(Queued {
                urgency: urgency(&head.headers).unwrap_or_default(),
                since: Instant::now(),
                _counted: connection.active.begin(),
                head,
                stream,
            });
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

    /// Begins so many requests: the most urgent, and of these those that have waited longest. What the client has
    /// reset meanwhile never begins.
    pub(super) fn begin<A>(&mut self, connection: &Arc<Connection<A>>, requests: usize)
    where
        A: HttpServerApp + Send + Sync + 'static,
    {
        let mut begun = 0;
        while begun < requests
            && let Some(mut queued) = self.next()
        {
            if !queued.is_reset() {
                queued.head.extensions.insert(Arrived(queued.since));
                run(connection, queued.head, queued.stream, connection.admission.begin());
                begun += 1;
            }
        }
        if begun == 0 {
            connection.admission.pass_on();
        }
    }

    fn next(&mut self) -> Option<Queued> {
        let (index, _) = self.0.iter().enumerate().min_by_key(|(_, queued)| queued.urgency)?;
        self.0.remove(index)
    }
}

impl Queued {
    fn is_reset(&mut self) -> bool {
        let mut nobody = Context::from_waker(Waker::noop());
        self.stream.poll_reset(&mut nobody).is_ready()
    }
}

/// Nothing is pushed that the client has asked for, though it waits.
fn note_fetched<A>(connection: &Connection<A>, head: &Parts) {
    let told = connection.facts.as_ref().and_then(|facts| facts.peer.scheme);
    if let (&Method::GET, Some(authority), Some(path)) = (&head.method, head.uri.authority(), head.uri.path_and_query())
    {
        let scheme = Scheme::of(told, head).name();
        connection
            .client
            .record_fetched(scheme, authority.as_str(), path.as_str());
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Mutex, time::Duration};

    use async_trait::async_trait;
    use pingora::{
        apps::ReusedHttpStream, http::ResponseHeader, protocols::http::ServerSession, server::ShutdownWatch,
    };
    use tokio::{
        io::{AsyncWriteExt, duplex},
        sync::{Notify, watch},
        task::yield_now,
        time::timeout,
    };

    use super::*;
    use crate::h2::{
        Admission, Answers,
        frames::{HEADERS, PREFACE, RST_STREAM, SETTINGS, tests::frame},
        serve,
        tests::{Empty, LIMITS},
    };

    const DEADLINE: Duration = Duration::from_secs(20);

    /// Notes which paths it was asked for, in order.
    #[derive(Default)]
    struct App {
        paths: Mutex<Vec<String>>,
        asked: Notify,
    }

    #[async_trait]
    impl HttpServerApp for App {
        async fn process_new_http(
            self: &Arc<Self>,
            mut session: ServerSession,
            _: &ShutdownWatch,
        ) -> Option<ReusedHttpStream> {
            let path = session.req_header().uri.path().to_owned();
            self.paths.lock().expect("no panic").push(path);
            self.asked.notify_one();
            let header = ResponseHeader::build(StatusCode::NO_CONTENT, None).expect("a header");
            session
                .write_response_header(Box::new(header))
                .await
                .expect("a header goes");
            session.finish().await.expect("it ends");
            None
        }
    }

    /// The HEADERS of a request for a path of four bytes, with a priority.
    fn get(stream: u32, path: &str, priority: &str) -> Vec<u8> {
        let block = ["\x04\x04", path, "\x00\x08priority\x03", priority].concat();
        frame(HEADERS, 5, stream, &[b"\x82\x86\x41\x01h", block.as_bytes()].concat())
    }

    /// Paths in the order in which requests begin that all came while others kept the processor busy.
    async fn begun(frames: &[Vec<u8>], number: usize) -> Vec<String> {
        let (_sender, shutdown) = watch::channel(false);
        begun_until(shutdown, frames, number).await
    }

    async fn begun_until(shutdown: ShutdownWatch, frames: &[Vec<u8>], number: usize) -> Vec<String> {
        let admission = Arc::new(Admission::new(1));
        let busy: Vec<_> = (0..100).map(|_| admission.begin()).collect();
        tokio::spawn(admission.begin().spend(async move {
            loop {
                let since = Instant::now();
                while since.elapsed() < Duration::from_micros(200) {}
                yield_now().await;
            }
        }));
        let app = Arc::new(App::default());
        let (mut io, server) = duplex(16 * 1024);
        let sent = [PREFACE.as_slice(), &frame(SETTINGS, 0, 0, &[]), &frames.concat()].concat();
        io.write_all(&sent).await.expect("sent");
        let answers = Answers {
            memory: Arc::new(Empty),
            app: Arc::clone(&app),
            admission,
        };
        let serving = serve(Box::new(server), None, answers, LIMITS, shutdown);
        let asked = async {
            while app.paths.lock().expect("no panic").len() < number {
                app.asked.notified().await;
            }
        };
        tokio::select! {
            () = serving => unreachable!("the connection lives"),
            asked = timeout(DEADLINE, asked) => asked.expect("all begin"),
        }
        drop(busy);
        app.paths.lock().expect("no panic").clone()
    }

    #[tokio::test]
    async fn the_most_urgent_begins_first_and_then_who_waits_longest() {
        let frames = [get(1, "/img", "u=5"), get(3, "/pic", "u=5"), get(5, "/doc", "u=0")];
        assert_eq!(begun(&frames, 3).await, ["/doc", "/img", "/pic"]);
    }

    #[tokio::test]
    async fn what_waits_when_a_shutdown_begins_is_answered() {
        let (_sender, shutdown) = watch::channel(true);
        let frames = [get(1, "/one", "u=3"), get(3, "/two", "u=3")];
        assert_eq!(begun_until(shutdown, &frames, 2).await, ["/one", "/two"]);
    }

    #[tokio::test]
    async fn what_is_reset_while_it_waits_never_begins() {
        let cancel = frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]);
        let frames = [get(1, "/one", "u=3"), cancel, get(3, "/two", "u=3")];
        assert_eq!(begun(&frames, 1).await, ["/two"]);
    }
}
