//! Serves `GET /metrics`, `/healthz` and `/readyz` at `server.metrics`, on a thread of its own.
//!
//! Anybody who reaches the address may ask, so a caller can hold little: a head of [`MAX_HEAD`] bytes, one request for
//! each connection, [`TIME_LIMIT`], and [`MAX_CONNECTIONS`] in all. It goes on while the server drains, when Pingora's
//! services accept no more connections.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
    time::Duration,
};

use http::StatusCode;
use log::{debug, error, info};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Semaphore, watch},
    time::{Instant, sleep, timeout},
};

use super::{LifeStage, ObservedServer};
use crate::telemetry::{TextFormat, exhausted};

/// Most bytes of a request's head.
const MAX_HEAD: usize = 8 * 1024;

/// Most fields of a request's head.
const MAX_FIELDS: usize = 64;

/// Time for a connection, from its arrival to its end.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Most connections at a time; others are closed at once.
const MAX_CONNECTIONS: usize = 64;

/// Time, and bytes below, for which further bytes of a caller are read and dropped: a socket that is closed with unread
/// bytes sends a reset, and the caller may lose the response.
const DRAIN: Duration = Duration::from_secs(1);
const MAX_DRAINED: u64 = 64 * 1024;

/// Time in which another process has to give up the address after it has handed its listeners over.
const TAKE_OVER_LIMIT: Duration = Duration::from_secs(30);

/// Pause between two attempts to listen, and after an attempt to accept that failed.
const RETRY: Duration = Duration::from_millis(50);

/// The address at which metrics and health are asked for.
#[derive(Debug)]
pub(in crate::server) enum MetricsEndpoint {
    /// A socket that was opened.
    Open(TcpListener),
    /// An address that the process before still has.
    TakeOver(SocketAddr),
}

impl MetricsEndpoint {
    /// Opens the socket of an address.
    pub(in crate::server) fn open(address: SocketAddr) -> io::Result<Self> {
        TcpListener::bind(address).map(Self::Open)
    }

    /// Serves on a thread of its own until the process ends, or another process has taken over.
    pub(in crate::server) fn start(self, observed: Arc<ObservedServer>) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let serving = move || {
            if let Err(e) = runtime.block_on(self.serve(observed)) {
                error!("metrics and health are not served: {e}");
            }
        };
        thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(serving)
            .map(drop)
    }

    async fn serve(self, observed: Arc<ObservedServer>) -> io::Result<()> {
        let listener = self.listener().await?;
        info!("metrics at http://{}/metrics", listener.local_addr()?);
        let mut handed_over = observed.stage.subscribe();
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = is_handed_over(&mut handed_over) => return Ok(()),
            };
            let (connection, caller) = match accepted {
                Ok(accepted) => accepted,
                Err(e) => {
                    if exhausted::is_exhausted(&e) {
                        exhausted::warn_exhausted("a connection for metrics");
                    }
                    debug!("no connection for metrics: {e}");
                    sleep(RETRY).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                debug!("{caller} asks for metrics, as {MAX_CONNECTIONS} others do already");
                continue;
            };
            let observed = Arc::clone(&observed);
            tokio::spawn(async move {
                let _place = place;
                let outcome = timeout(TIME_LIMIT, respond(connection, &observed)).await;
                debug!("{caller} asked for metrics or health: {outcome:?}");
            });
        }
    }

    async fn listener(self) -> io::Result<tokio::net::TcpListener> {
        let listener = match self {
            Self::Open(listener) => listener,
            Self::TakeOver(address) => {
                let until = Instant::now() + TAKE_OVER_LIMIT;
                loop {
                    match TcpListener::bind(address) {
                        Err(e) if e.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => sleep(RETRY).await,
                        listener => break listener?,
                    }
                }
            }
        };
        listener.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(listener)
    }
}

/// Waits until another process has taken over.
async fn is_handed_over(stage: &mut watch::Receiver<LifeStage>) {
    if stage.wait_for(|stage| *stage == LifeStage::HandedOver).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Reads one request and responds to it.
async fn respond(mut connection: TcpStream, observed: &ObservedServer) -> io::Result<StatusCode> {
    let head = read_head(&mut connection).await?;
    let (answer, is_head) = match Asked::parse(&head) {
        Ok(asked) => (asked.answer(observed), asked.is_head),
        Err(refusal) => (Answer::refused(refusal), false),
    };
    connection.write_all(&answer.bytes(is_head)).await?;
    connection.shutdown().await?;
    let mut rest = connection.take(MAX_DRAINED);
    // Nothing of it matters any more.
    let _ = timeout(DRAIN, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
    Ok(answer.status)
}

/// Reads until a head is complete or too long.
async fn read_head(connection: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(1024);
    loop {
        let mut part = (&mut *connection).take(1024);
        if part.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let ends = |end: &[u8]| head.windows(end.len()).any(|window| window == end);
        if ends(b"\r\n\r\n") || ends(b"\n\n") || head.len() > MAX_HEAD {
            return Ok(head);
        }
    }
}

/// Why a request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum BadQuestion {
    #[error("not an HTTP/1.x request")]
    Syntax,
    #[error("a head of more than {MAX_HEAD} bytes or {MAX_FIELDS} fields")]
    TooLarge,
    #[error("only GET and HEAD")]
    Method,
    #[error("not found, there are only /metrics, /healthz and /readyz")]
    Path,
}

impl BadQuestion {
    const fn status(self) -> StatusCode {
        match self {
            Self::Syntax => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Path => StatusCode::NOT_FOUND,
        }
    }
}

/// The subject of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Metrics(TextFormat),
    Health,
    Readiness,
}

/// A request that can be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    subject: Subject,
    /// The method is HEAD.
    is_head: bool,
}

impl Asked {
    fn parse(head: &[u8]) -> Result<Self, BadQuestion> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        match request.parse(head) {
            Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => {}
            Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(BadQuestion::TooLarge),
            Err(_) => return Err(BadQuestion::Syntax),
        }
        let is_head = match request.method {
            Some("GET") => false,
            Some("HEAD") => true,
            _ => return Err(BadQuestion::Method),
        };
        let target = request.path.unwrap_or_default();
        let subject = match target.split('?').next() {
            Some("/metrics") => {
                let accepts = request
                    .headers
                    .iter()
                    .filter(|field| field.name.eq_ignore_ascii_case("accept"));
                let accept: Vec<&[u8]> = accepts.map(|field| field.value).collect();
                Subject::Metrics(TextFormat::accepted(&accept.join(&b","[..])))
            }
            Some("/healthz") => Subject::Health,
            Some("/readyz") => Subject::Readiness,
            _ => return Err(BadQuestion::Path),
        };
        Ok(Self { subject, is_head })
    }

    fn answer(self, observed: &ObservedServer) -> Answer {
        match self.subject {
            Subject::Metrics(format) => Answer {
                status: StatusCode::OK,
                media_type: format.media_type(),
                content: format.write(observed.snapshot()),
            },
            Subject::Health => Answer::json(StatusCode::OK, "{\"healthy\":true}\n".to_owned()),
            Subject::Readiness => {
                let readiness = observed.readiness();
                let status = if readiness.is_ready {
                    StatusCode::OK
                } else {
                    StatusCode::SERVICE_UNAVAILABLE
                };
                // Serializing these structures never fails.
                Answer::json(status, serde_json::to_string(&readiness).unwrap_or_default() + "\n")
            }
        }
    }
}

/// A response.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    media_type: &'static str,
    content: String,
}

impl Answer {
    fn json(status: StatusCode, content: String) -> Self {
        Self {
            status,
            media_type: "application/json",
            content,
        }
    }

    fn refused(why: BadQuestion) -> Self {
        let content = serde_json::json!({ "error": why.to_string() });
        Self::json(why.status(), format!("{content}\n"))
    }

    fn bytes(&self, is_head: bool) -> Vec<u8> {
        let allow = if self.status == StatusCode::METHOD_NOT_ALLOWED {
            "Allow: GET, HEAD\r\n"
        } else {
            ""
        };
        let mut bytes = format!(
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\n{allow}Connection: close\r\n\r\n",
            self.status,
            self.media_type,
            self.content.len()
        )
        .into_bytes();
        if !is_head {
            bytes.extend_from_slice(self.content.as_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_three_paths_are_answered() {
        let get = |subject| {
            Ok(Asked {
                subject,
                is_head: false,
            })
        };
        for (head, expected) in [
            (
                "GET /metrics HTTP/1.1\r\n\r\n",
                get(Subject::Metrics(TextFormat::Prometheus)),
            ),
            (
                "GET /metrics?x=y HTTP/1.1\r\nHost: a\r\n\r\n",
                get(Subject::Metrics(TextFormat::Prometheus)),
            ),
            (
                "GET /metrics HTTP/1.1\r\naccept: text/plain;q=0.5\r\nACCEPT: application/openmetrics-text\r\n\r\n",
                get(Subject::Metrics(TextFormat::OpenMetrics)),
            ),
            ("GET /healthz HTTP/1.0\r\n\r\n", get(Subject::Health)),
            ("GET /readyz HTTP/1.1\n\n", get(Subject::Readiness)),
            (
                "HEAD /readyz HTTP/1.1\r\n\r\n",
                Ok(Asked {
                    subject: Subject::Readiness,
                    is_head: true,
                }),
            ),
            ("POST /metrics HTTP/1.1\r\n\r\n", Err(BadQuestion::Method)),
            ("GET / HTTP/1.1\r\n\r\n", Err(BadQuestion::Path)),
            ("GET /purge HTTP/1.1\r\n\r\n", Err(BadQuestion::Path)),
            ("GET http://a/metrics HTTP/1.1\r\n\r\n", Err(BadQuestion::Path)),
            ("GET /metrics\r\n\r\n", Err(BadQuestion::Syntax)),
            ("\u{1}\r\n\r\n", Err(BadQuestion::Syntax)),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Err(BadQuestion::Syntax)),
        ] {
            assert_eq!(Asked::parse(head.as_bytes()), expected, "{head:?}");
        }
    }

    #[test]
    fn a_long_head_is_refused() {
        let long = format!("GET /metrics HTTP/1.1\r\nx: {}", "x".repeat(MAX_HEAD));
        let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(MAX_FIELDS + 1));
        for head in [long, many] {
            assert_eq!(Asked::parse(head.as_bytes()), Err(BadQuestion::TooLarge));
        }
    }
}
