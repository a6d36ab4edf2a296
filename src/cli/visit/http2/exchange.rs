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

use crate::cli::visit::message::check;
use crate::cli::visit::visited::VisitedResponse;

/// A report of a task.
pub(super) enum Event {
    /// A 103 arrived for the exchange with this index, at this time, with these fields.
    Hinted(usize, Duration, HeaderMap),
    /// A PUSH_PROMISE arrived at this time.
    Promised(Duration, PushPromise),
    /// The exchange with this index ended.
    Ended(usize, Result<VisitedResponse, ExchangeFailure>),
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
        let response = head(index, response, clock, &events)
            .await
            .map_err(|error| explain(&error))?;
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
    index: usize,
    mut response: ResponseFuture,
    clock: Clock,
    events: &UnboundedSender<Event>,
) -> Result<Response<RecvStream>, h2::Error> {
    poll_fn(|context| {
        loop {
            match response.poll_informational(context) {
                Poll::Ready(Some(Ok(early))) if early.status() == StatusCode::EARLY_HINTS => {
                    let headers = early.into_parts().0.headers;
                    let _ = events.send(Event::Hinted(index, clock.elapsed(), headers));
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
async fn receive(
    response: Response<RecvStream>,
    collects: VisitBody,
    clock: Clock,
) -> Result<VisitedResponse, ExchangeFailure> {
    let head_at = clock.elapsed();
    let (parts, mut stream) = response.into_parts();
    let mut body = Vec::new();
    let mut size = 0;
    while let Some(chunk) = stream.data().await {
        let chunk = chunk.map_err(|error| explain(&error))?;
        size += chunk.len();
        // Dropping the stream resets it.
        check(size).map_err(|reason| ExchangeFailure {
            reason,
            is_answer: true,
        })?;
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
    Ok(VisitedResponse {
        head_at,
        end: clock.elapsed(),
        status: parts.status,
        headers: parts.headers,
        size: size as u64,
        body,
    })
}

/// Why an exchange failed.
pub(super) struct ExchangeFailure {
    /// The cause in words.
    pub(super) reason: String,
    /// Whether the server showed by the failure that it speaks HTTP/2.
    pub(super) is_answer: bool,
}

/// Explains an error of the h2 crate to the user.
pub(super) fn explain(error: &h2::Error) -> ExchangeFailure {
    let reason = error.reason().map_or_else(|| error.to_string(), reason_name);
    let reason = match (error.is_reset(), error.is_go_away(), error.is_io()) {
        (true, ..) if error.is_remote() => format!("reset by the server: {reason}"),
        (_, true, _) if error.is_remote() => format!("the server closed the connection: {reason}"),
        (_, true, _) => format!("HTTP/2 was broken: {reason}; does the server speak HTTP/2 here?"),
        (_, _, true) => format!("the connection broke: {error}; does the server speak HTTP/2 here?"),
        _ => error.to_string(),
    };
    ExchangeFailure {
        reason,
        is_answer: error.is_remote(),
    }
}

/// Returns the name of an error code (RFC 9113 section 7).
fn reason_name(reason: Reason) -> String {
    format!("{reason:?}")
}
