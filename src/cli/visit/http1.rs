//! Visits a page over HTTP/1.1: a connection for each request, one after another.

use bytes::BytesMut;
use http::StatusCode;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::connect::connect;
use super::error::VisitError;
use super::itinerary::{Itinerary, Purpose};
use super::message::{read_body, read_head, request_head};
use super::recorder::Recorder;
use super::transport::Transport;
use super::visited::{Initiator, Visited, VisitedResponse};

/// Visits the page over `transport`, then its assets over connections of their own.
pub(super) async fn visit(transport: Box<dyn Transport>, itinerary: &Itinerary, deadline: Instant) -> Visited {
    let mut visit = Visit1 {
        itinerary,
        deadline,
        began: Instant::now(),
        recorder: Recorder::new(itinerary),
    };
    // An exchange that the deadline cuts stays open in the record.
    let _ = timeout_at(deadline, visit.run(transport)).await;
    visit.recorder.into_visited()
}

/// A visit that is under way.
struct Visit1<'a> {
    itinerary: &'a Itinerary,
    deadline: Instant,
    /// The time at which the first connection was made.
    began: Instant,
    recorder: Recorder<'a>,
}

impl Visit1<'_> {
    async fn run(&mut self, transport: Box<dyn Transport>) {
        let page = self.itinerary.page.clone();
        let assets = self.request(Ok(transport), page, Purpose::Page).await;
        for asset in assets {
            let transport = connect(self.itinerary, self.deadline).await;
            self.request(transport, asset, Purpose::Asset).await;
        }
    }

    /// Requests a URL, and returns the assets to fetch next.
    async fn request(
        &mut self,
        transport: Result<Box<dyn Transport>, VisitError>,
        url: Url,
        purpose: Purpose,
    ) -> Vec<Url> {
        let start = self.began.elapsed();
        let index = self
            .recorder
            .begin(0, Initiator::Client, start, Some(url.clone()), String::new());
        let result = match transport {
            Ok(transport) => self.exchange(transport, &url, purpose).await,
            Err(error) => Err(error.to_string()),
        };
        self.recorder.ended(index, result)
    }

    async fn exchange(
        &mut self,
        mut transport: Box<dyn Transport>,
        url: &Url,
        purpose: Purpose,
    ) -> Result<VisitedResponse, String> {
        let fields = self.itinerary.request_fields(purpose);
        let head = request_head(url, self.itinerary.authority(), &fields, &[("connection", "close")]);
        let sent = transport.write_all(&head).await;
        sent.map_err(|error| format!("the connection broke: {error}"))?;
        let mut buffer = BytesMut::new();
        let mut interim = 0;
        let head = loop {
            let head = match read_head(&mut transport, &mut buffer).await {
                Err(reason) if interim > 0 => return Err(format!("no final response behind the 103: {reason}")),
                head => head?,
            };
            self.recorder.answered();
            if !head.status.is_informational() {
                break head;
            }
            interim += 1;
            if interim > MAX_INTERIM || head.status == StatusCode::SWITCHING_PROTOCOLS {
                return Err(format!("unexpected interim response: {}", head.status.as_u16()));
            }
            if head.status == StatusCode::EARLY_HINTS && purpose == Purpose::Page {
                self.recorder.hinted(self.began.elapsed(), head.headers);
            }
        };
        let head_at = self.began.elapsed();
        let body = read_body(&mut transport, &mut buffer, &head).await?;
        Ok(VisitedResponse {
            head_at,
            end: self.began.elapsed(),
            status: head.status,
            headers: head.headers,
            size: u64::try_from(body.len()).unwrap_or(u64::MAX),
            body: if purpose == Purpose::Page { body } else { Vec::new() },
        })
    }
}

/// Interim responses before one final response.
const MAX_INTERIM: usize = 32;
