//! Follows one exchange of an HTTP/2 connection to its end, in a task that reports [`Event`]s.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use h2::client::{PushPromise, PushPromises, PushedResponseFuture, ResponseFuture};
use h2::{Reason, RecvStream};
use http::{HeaderMap, Response, StatusCode};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

/// A report of a task.
pub(super) enum Event {
    /// A 103 arrived at this time, with these fields.
    Hinted(Duration, HeaderMap),
    /// A PUSH_PROMISE arrived at this time.
    Promised(Duration, PushPromise),
    /// The exchange with this index ended.
    Ended(usize, Result<VisitResponse, String>),
}

/// A complete response.
pub(super) struct VisitResponse {
    /// The time of its end, since the connection was made.
    pub(super) end: Duration,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Bytes of the content.
    pub(super) size: u64,
    /// The content of a page; empty for other exchanges.
    pub(super) body: Vec<u8>,
}

/// Whether content is collected, or only counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum VisitBody {
    Collected,
    Counted,
}

/// A clock that began when the connection was made.
#[derive(Clone, Copy)]
pub(super) struct Clock(pub(super) Instant);

impl Clock {
    pub(super) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Follows a request and the promises on its stream. The promises are reported before the end of the request.
pub(super) async fn follow(
    index: usize,
    response: ResponseFuture,
    mut promises: PushPromises,
    body: VisitBody,
    clock: Clock,
    events: UnboundedSender<Event>,
) {
    let promised = async {
        while let Some(Ok(promise)) = promises.push_promise().await {
            let _ = events.send(Event::Promised(clock.elapsed(), promise));
        }
    };
    let responded = async {
        let response = head(response, clock, &events).await.map_err(|error| explain(&error))?;
        receive(response, body, clock).await
    };
    let ((), result) = tokio::join!(promised, responded);
    let _ = events.send(Event::Ended(index, result));
}

/// Follows a promise to its end.
pub(super) async fn accept(index: usize, response: PushedResponseFuture, clock: Clock, events: UnboundedSender<Event>) {
    let result = match response.await {
        Ok(response) => receive(response, VisitBody::Counted, clock).await,
        Err(error) => Err(explain(&error)),
    };
    let _ = events.send(Event::Ended(index, result));
}

/// Awaits the final response's head, and reports the 103s before it.
async fn head(
    mut response: ResponseFuture,
    clock: Clock,
    events: &UnboundedSender<Event>,
) -> Result<Response<RecvStream>, h2::Error> {
    poll_fn(|context| {
        loop {
            match response.poll_informational(context) {
                Poll::Ready(Some(Ok(early))) if early.status() == StatusCode::EARLY_HINTS => {
                    let headers = early.into_parts().0.headers;
                    let _ = events.send(Event::Hinted(clock.elapsed(), headers));
                }
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        Pin::new(&mut response).poll(context)
    })
    .await
}

/// Receives the content and the trailers of a response.
async fn receive(response: Response<RecvStream>, collects: VisitBody, clock: Clock) -> Result<VisitResponse, String> {
    let (parts, mut stream) = response.into_parts();
    let mut body = Vec::new();
    let mut size = 0;
    while let Some(chunk) = stream.data().await {
        let chunk = chunk.map_err(|error| explain(&error))?;
        size += chunk.len();
        if size > MAX_BODY {
            // Dropping the stream resets it.
            return Err(format!("the body is larger than {} MiB", MAX_BODY >> 20));
        }
        if collects == VisitBody::Collected {
            body.extend_from_slice(&chunk);
        }
        stream
            .flow_control()
            .release_capacity(chunk.len())
            .map_err(|error| explain(&error))?;
    }
    // The response ends with its trailers, which the size does not count.
    stream.trailers().await.map_err(|error| explain(&error))?;
    Ok(VisitResponse {
        end: clock.elapsed(),
        status: parts.status,
        headers: parts.headers,
        size: size as u64,
        body,
    })
}

/// Formats an error of the h2 crate for the user of a probe.
pub(super) fn explain(error: &h2::Error) -> String {
    let reason = error.reason().map_or_else(|| error.to_string(), reason_name);
    if error.is_reset() && error.is_remote() {
        return format!("reset by the server: {reason}");
    }
    if error.is_go_away() && error.is_remote() {
        return format!("the server closed the connection: {reason}");
    }
    if error.is_go_away() {
        return format!("HTTP/2 was broken: {reason}; does the server speak HTTP/2 here?");
    }
    if error.is_io() {
        return format!("the connection broke: {error}; does the server speak HTTP/2 here?");
    }
    error.to_string()
}

/// Returns the name of an error code (RFC 9113 section 7).
fn reason_name(reason: Reason) -> String {
    format!("{reason:?}")
}

/// Bytes of the largest content that is read.
const MAX_BODY: usize = 16 << 20;
