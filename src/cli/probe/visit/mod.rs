//! Visits a page over an HTTP/2 connection: requests the page, follows its pushes, then requests the assets that it
//! names.
//!
//! Every exchange is a task (`exchange`) that reports [`Event`]s, from which [`Visit`] alone makes the [`Report`]. All
//! tasks must run on one thread: the h2 crate drops an interim response that arrives between the two polls of a
//! response's head.

mod exchange;

use std::time::Duration;

use bytes::Bytes;
use h2::client::{PushPromise, ResponseFuture, SendRequest};
use http::{HeaderMap, Request, header};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, timeout_at};
use url::Url;

use self::exchange::{Clock, Event, VisitBody, VisitResponse, accept, explain, follow};
use super::connect::Transport;
use super::discover::{html_assets, link_assets};
use super::report::{Hint, Initiator, ProbeOutcome, PushSetting, Report, ReportedExchange};

/// A page to visit, and the way to do so.
#[derive(Debug, Clone)]
pub(super) struct Itinerary {
    /// The page.
    pub(super) page: Url,
    /// The setting for pushes.
    pub(super) push: PushSetting,
    /// The cause that the request for the page claims.
    pub(super) fetch: FetchKind,
    /// The moment at which the visit ends, complete or not.
    pub(super) deadline: Instant,
}

/// The cause of a request, as its Fetch Metadata fields claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FetchKind {
    /// `sec-fetch-mode: navigate`, which a server may require before it sends a 103.
    Navigation,
    /// No such field.
    Unspecified,
}

/// Visits the page and reports all exchanges, failed ones too.
///
/// # Errors
///
/// The connection ended before the first request.
pub(super) async fn visit(transport: Box<dyn Transport>, itinerary: &Itinerary) -> Result<Report, h2::Error> {
    let connected = Instant::now();
    let (sender, connection) = h2::client::Builder::new()
        .enable_push(itinerary.push == PushSetting::Accepted)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(MAX_ASSETS_U32)
        .handshake::<_, Bytes>(transport)
        .await?;
    let connection = tokio::spawn(connection);

    let (events, incoming) = unbounded_channel();
    let mut visit = Visit {
        itinerary,
        sender,
        clock: Clock(connected),
        events,
        open: 0,
        urls: Vec::new(),
        surplus: 0,
        report: Report {
            push: itinerary.push,
            ..Report::default()
        },
    };
    let in_time = timeout_at(itinerary.deadline, visit.run(incoming)).await.is_ok();
    let report = visit.into_report();
    // Every handle is dropped, so the connection sends GOAWAY and ends. A server may delay that by `GOODBYE` at most.
    if in_time {
        let _ = timeout_at(Instant::now() + GOODBYE, connection).await;
    }
    Ok(report)
}

/// A visit that is under way.
struct Visit<'a> {
    itinerary: &'a Itinerary,
    sender: SendRequest<Bytes>,
    clock: Clock,
    events: UnboundedSender<Event>,
    /// Exchanges that have not ended.
    open: usize,
    /// The URLs of the report's exchanges, by index; `None` where a promise has no valid URL.
    urls: Vec<Option<Url>>,
    /// The number of promises and assets beyond [`MAX_ASSETS`].
    surplus: usize,
    report: Report,
}

impl Visit<'_> {
    /// Requests the page, and handles events until no exchange is open.
    async fn run(&mut self, mut incoming: UnboundedReceiver<Event>) {
        self.request(self.itinerary.page.clone(), self.itinerary.fetch).await;
        while self.open > 0 {
            let Some(event) = incoming.recv().await else {
                return;
            };
            match event {
                Event::Hinted(at, headers) => self.hinted(at, &headers),
                Event::Promised(at, promise) => self.promised(at, promise),
                Event::Ended(index, result) => {
                    self.open -= 1;
                    let page = self.ended(index, result);
                    for asset in page.map(|page| self.assets_of(&page)).unwrap_or_default() {
                        self.request(asset, FetchKind::Unspecified).await;
                    }
                }
            }
        }
    }

    fn into_report(mut self) -> Report {
        if self.surplus > 0 {
            self.report.notes.push(format!(
                "left out, as the limit is {MAX_ASSETS} assets: {}",
                self.surplus
            ));
        }
        self.report
    }

    /// Starts an exchange for a URL.
    async fn request(&mut self, url: Url, fetch: FetchKind) {
        let start = self.clock.elapsed();
        match self.send(&url, fetch).await {
            Ok(mut response) => {
                let index = self.begin(
                    response.stream_id().as_u32(),
                    Initiator::Client,
                    start,
                    Some(url),
                    String::new(),
                );
                let promises = response.push_promises();
                let body = if index == 0 {
                    VisitBody::Collected
                } else {
                    VisitBody::Counted
                };
                tokio::spawn(follow(index, response, promises, body, self.clock, self.events.clone()));
            }
            Err(reason) => {
                let index = self.begin(0, Initiator::Client, start, Some(url), String::new());
                self.open -= 1;
                self.ended(index, Err(reason));
            }
        }
    }

    async fn send(&mut self, url: &Url, fetch: FetchKind) -> Result<ResponseFuture, String> {
        let mut request = Request::get(url.as_str())
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::ACCEPT, "*/*");
        if fetch == FetchKind::Navigation {
            request = request
                .header("sec-fetch-mode", "navigate")
                .header("sec-fetch-dest", "document");
        }
        let request = request.body(()).map_err(|error| error.to_string())?;
        // Waits where the server's MAX_CONCURRENT_STREAMS is reached.
        self.sender = self.sender.clone().ready().await.map_err(|error| explain(&error))?;
        let (response, _) = self
            .sender
            .send_request(request, true)
            .map_err(|error| explain(&error))?;
        Ok(response)
    }

    /// Adds an exchange to the report, and returns its index. `raw` is the target where there is no `url`.
    fn begin(&mut self, stream: u32, initiator: Initiator, start: Duration, url: Option<Url>, raw: String) -> usize {
        let index = self.report.exchanges.len();
        self.report.exchanges.push(ReportedExchange {
            stream,
            initiator,
            target: url.as_ref().map_or(raw, |url| self.target(url)),
            start,
            outcome: ProbeOutcome::Open,
        });
        self.urls.push(url);
        self.open += 1;
        index
    }

    fn hinted(&mut self, at: Duration, headers: &HeaderMap) {
        let links = headers
            .get_all(header::LINK)
            .iter()
            .map(|field| String::from_utf8_lossy(field.as_bytes()).into_owned())
            .collect();
        let targets = self.preloads(headers).iter().map(|url| self.target(url)).collect();
        self.report.hints.push(Hint { at, links, targets });
    }

    fn promised(&mut self, at: Duration, promise: PushPromise) {
        if self.report.exchanges.len() > MAX_ASSETS {
            // Dropping the promise resets its stream.
            self.surplus += 1;
            return;
        }
        let (request, response) = promise.into_parts();
        let raw = request.uri().to_string();
        let url = Url::parse(&raw).ok();
        let index = self.begin(response.stream_id().as_u32(), Initiator::Server, at, url, raw);
        tokio::spawn(accept(index, response, self.clock, self.events.clone()));
    }

    /// Records the end of an exchange. Returns the response if the exchange is the page's and complete.
    fn ended(&mut self, index: usize, result: Result<VisitResponse, String>) -> Option<VisitResponse> {
        let exchange = self.report.exchanges.get_mut(index)?;
        match result {
            Ok(response) => {
                exchange.outcome = ProbeOutcome::Complete {
                    end: response.end,
                    status: response.status.as_u16(),
                    size: response.size,
                };
                (index == 0).then_some(response)
            }
            Err(reason) => {
                exchange.outcome = ProbeOutcome::Failed(reason);
                None
            }
        }
    }

    /// Returns the assets that the page names and that were not promised.
    fn assets_of(&mut self, page: &VisitResponse) -> Vec<Url> {
        let links = self.preloads(&page.headers);
        self.report.named = links.iter().map(|url| self.target(url)).collect();
        if page.status.is_redirection()
            && let Some(location) = page.headers.get(header::LOCATION)
        {
            let location = String::from_utf8_lossy(location.as_bytes());
            self.report
                .notes
                .push(format!("the page redirects to {location}, which is not followed"));
        }

        let mut assets = Vec::new();
        if page.headers.contains_key(header::CONTENT_ENCODING) {
            self.report.notes.push(
                "the page is compressed although the request allowed no compression: its HTML was not read".to_owned(),
            );
        } else if is_html(&page.headers) {
            assets = html_assets(&page.body, &self.itinerary.page);
        }
        for link in links {
            if !assets.contains(&link) {
                assets.push(link);
            }
        }
        assets.retain(|asset| !self.urls.iter().flatten().any(|known| known == asset));
        let room = (MAX_ASSETS + 1).saturating_sub(self.report.exchanges.len());
        self.surplus += assets.len().saturating_sub(room);
        assets.truncate(room);
        assets
    }

    /// Returns the URLs that `Link` fields ask to preload.
    fn preloads(&self, headers: &HeaderMap) -> Vec<Url> {
        let fields = headers.get_all(header::LINK).iter().map(header::HeaderValue::as_bytes);
        link_assets(fields, &self.itinerary.page)
    }

    /// Returns a URL as the report writes it.
    fn target(&self, url: &Url) -> String {
        if url.origin() == self.itinerary.page.origin() {
            url[url::Position::BeforePath..url::Position::AfterQuery].to_owned()
        } else {
            url.to_string()
        }
    }
}

/// Returns whether the type is HTML, or is not given.
fn is_html(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_none_or(|value| {
        let value = value.as_bytes().to_ascii_lowercase();
        value.starts_with(b"text/html") || value.starts_with(b"application/xhtml+xml")
    })
}

const USER_AGENT: &str = concat!("linkpush-probe/", env!("CARGO_PKG_VERSION"));

/// Promises and requests beside the page.
const MAX_ASSETS: usize = 100;
const MAX_ASSETS_U32: u32 = 100;

/// Bytes of a stream's window, about a browser's: a page of usual size is sent without waiting for WINDOW_UPDATE.
const STREAM_WINDOW: u32 = 6 << 20;
/// Bytes of the connection's window, about a browser's.
const CONNECTION_WINDOW: u32 = 15 << 20;

/// Time limit of the connection's end.
const GOODBYE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests;
