//! Visits a page over an HTTP/2 connection: requests the page, follows its pushes, then requests the assets that it
//! names.
//!
//! Every exchange is a task (`exchange`) that reports [`Event`]s, from which [`Visit2`] alone makes the record. All
//! tasks must run on one thread: the h2 crate drops an interim response that arrives between the two polls of a
//! response's head.

mod exchange;

use std::time::Duration;

use bytes::Bytes;
use h2::client::{PushPromise, ResponseFuture, SendRequest};
use http::{Request, Version};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, timeout_at};
use url::Url;

use self::exchange::{Clock, Event, VisitBody, accept, explain, follow};
use super::itinerary::{Itinerary, Purpose, Wire};
use super::recorder::{MAX_ASSETS, Recorder};
use super::transport::Transport;
use super::visited::{Initiator, PushSetting, Visited};

/// Bytes of a stream's window, about a browser's: a page of usual size is sent without waiting for WINDOW_UPDATE.
pub(super) const STREAM_WINDOW: u32 = 6 << 20;

/// Visits the page and records all exchanges, failed ones too.
///
/// # Errors
///
/// The connection ended before the first request. `None`: HTTP/2 had not begun at the deadline.
pub(super) async fn visit(
    transport: Box<dyn Transport>,
    itinerary: &Itinerary,
    deadline: Instant,
) -> Result<Visited, Option<h2::Error>> {
    let connected = Instant::now();
    let mut builder = h2::client::Builder::new();
    builder
        .enable_push(itinerary.push == PushSetting::Accepted)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(u32::try_from(MAX_ASSETS).unwrap_or(u32::MAX));
    let begun = timeout_at(deadline, builder.handshake::<_, Bytes>(transport)).await;
    let (sender, connection) = begun.map_err(|_| None)?.map_err(Some)?;
    let connection = tokio::spawn(connection);

    let (events, incoming) = unbounded_channel();
    let mut visit = Visit2 {
        itinerary,
        sender,
        clock: Clock(connected),
        events,
        open: 0,
        recorder: Recorder::new(itinerary),
    };
    let in_time = timeout_at(deadline, visit.run(incoming)).await.is_ok();
    let visited = visit.recorder.into_visited();
    drop(visit.sender);
    // Every handle is dropped, so the connection sends GOAWAY and ends. A server may delay that by `GOODBYE` at most.
    if in_time {
        let _ = timeout_at(Instant::now() + GOODBYE, connection).await;
    }
    Ok(visited)
}

/// A visit that is under way.
struct Visit2<'a> {
    itinerary: &'a Itinerary,
    sender: SendRequest<Bytes>,
    clock: Clock,
    events: UnboundedSender<Event>,
    /// Exchanges that have not ended.
    open: usize,
    recorder: Recorder<'a>,
}

impl Visit2<'_> {
    /// Requests the page, and handles events until no exchange is open.
    async fn run(&mut self, mut incoming: UnboundedReceiver<Event>) {
        self.request(self.itinerary.page.clone(), Purpose::Page).await;
        while self.open > 0 {
            let Some(event) = incoming.recv().await else {
                return;
            };
            match event {
                Event::Hinted(0, at, headers) => self.recorder.hinted(at, headers),
                Event::Hinted(..) => {}
                Event::Promised(at, promise) => self.promised(at, promise),
                Event::Ended(index, result) => {
                    self.open -= 1;
                    let is_answer = result.as_ref().map_or_else(|failure| failure.is_answer, |_| true);
                    let result = result.map_err(|failure| failure.reason);
                    if is_answer {
                        self.recorder.answered();
                    }
                    for asset in self.recorder.ended(index, result) {
                        self.request(asset, Purpose::Asset).await;
                    }
                }
            }
        }
    }

    /// Starts an exchange for a URL.
    async fn request(&mut self, url: Url, purpose: Purpose) {
        let start = self.clock.elapsed();
        let sent = self.send(&url, purpose).await;
        let stream = sent.as_ref().map_or(0, |response| response.stream_id().as_u32());
        let index = self
            .recorder
            .begin(stream, Initiator::Client, start, Some(url), String::new());
        match sent {
            Ok(mut response) => {
                self.open += 1;
                let promises = response.push_promises();
                let body = match purpose {
                    Purpose::Page => VisitBody::Collected,
                    Purpose::Asset => VisitBody::Counted,
                };
                tokio::spawn(follow(index, response, promises, body, self.clock, self.events.clone()));
            }
            Err(reason) => {
                self.recorder.ended(index, Err(reason));
            }
        }
    }

    async fn send(&mut self, url: &Url, purpose: Purpose) -> Result<ResponseFuture, String> {
        let request = if purpose == Purpose::Page && self.itinerary.wire == Wire::Upgrade {
            // Was sent as HTTP/1.1 and is kept back here; without an authority, which would enter the HPACK table.
            Request::get("/").version(Version::HTTP_11).body(())
        } else {
            let mut request = Request::get(url.as_str());
            if let Some(fields) = request.headers_mut() {
                *fields = self.itinerary.request_fields(purpose);
            }
            request.body(())
        };
        let request = request.map_err(|error| error.to_string())?;
        // Waits where the server's MAX_CONCURRENT_STREAMS is reached.
        self.sender = self
            .sender
            .clone()
            .ready()
            .await
            .map_err(|error| explain(&error).reason)?;
        let (response, _) = self
            .sender
            .send_request(request, true)
            .map_err(|error| explain(&error).reason)?;
        Ok(response)
    }

    fn promised(&mut self, at: Duration, promise: PushPromise) {
        if !self.recorder.has_room() {
            // Dropping the promise resets its stream.
            return;
        }
        let (request, response) = promise.into_parts();
        let raw = request.uri().to_string();
        let url = Url::parse(&raw).ok();
        let stream = response.stream_id().as_u32();
        let index = self.recorder.begin(stream, Initiator::Server, at, url, raw);
        self.open += 1;
        tokio::spawn(accept(index, response, self.clock, self.events.clone()));
    }
}

/// Bytes of the connection's window, about a browser's.
const CONNECTION_WINDOW: u32 = 15 << 20;

/// Time limit of the connection's end.
const GOODBYE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests;
