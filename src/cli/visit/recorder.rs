//! Records a visit, and decides which assets are fetched after the page. Pure.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use url::Url;

use super::assets::{html_assets, link_assets};
use super::itinerary::{Follow, Itinerary};
use super::visited::{EarlyHints, Initiator, VisitOutcome, Visited, VisitedExchange, VisitedResponse, lines_of};

/// Promises and requests beside the page.
pub(super) const MAX_ASSETS: usize = 100;

/// A visit that is being recorded.
pub(super) struct Recorder<'a> {
    itinerary: &'a Itinerary,
    /// The number of promises and assets beyond [`MAX_ASSETS`].
    surplus: usize,
    visited: Visited,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(itinerary: &'a Itinerary) -> Self {
        Self {
            itinerary,
            surplus: 0,
            visited: Visited {
                push: itinerary.push,
                ..Visited::default()
            },
        }
    }

    pub(super) fn into_visited(mut self) -> Visited {
        if self.surplus > 0 {
            self.visited.notes.push(format!(
                "left out, as the limit is {MAX_ASSETS} assets: {}",
                self.surplus
            ));
        }
        self.visited
    }

    /// Returns whether another promise is followed. One that is not counts as left out.
    pub(super) fn has_room(&mut self) -> bool {
        let has_room = self.visited.exchanges.len() <= MAX_ASSETS;
        self.surplus += usize::from(!has_room);
        has_room
    }

    /// Records that the server speaks the protocol.
    pub(super) fn answered(&mut self) {
        self.visited.is_answered = true;
    }

    /// Adds an exchange, and returns its index. `raw` is the target where there is no `url`.
    pub(super) fn begin(
        &mut self,
        stream: u32,
        initiator: Initiator,
        start: Duration,
        url: Option<Url>,
        raw: String,
    ) -> usize {
        let index = self.visited.exchanges.len();
        self.visited.exchanges.push(VisitedExchange {
            stream,
            initiator,
            target: url.as_ref().map_or(raw, |url| self.target(url)),
            url,
            start,
            outcome: VisitOutcome::Open,
        });
        index
    }

    pub(super) fn hinted(&mut self, at: Duration, headers: HeaderMap) {
        self.answered();
        let targets = self.preloads(&headers).iter().map(|url| self.target(url)).collect();
        self.visited.hints.push(EarlyHints { at, headers, targets });
    }

    /// Records the end of an exchange. Returns the assets to fetch next: those of the page, or one whose push failed.
    pub(super) fn ended(&mut self, index: usize, result: Result<VisitedResponse, String>) -> Vec<Url> {
        let assets = match &result {
            Ok(response) if index == 0 => self.assets_of(response),
            Ok(_) => Vec::new(),
            Err(_) => self.failed_push(index).into_iter().collect(),
        };
        if let Some(exchange) = self.visited.exchanges.get_mut(index) {
            exchange.outcome = match result {
                Ok(response) => VisitOutcome::Complete(response),
                Err(reason) => VisitOutcome::Failed(reason),
            };
        }
        assets
    }

    /// Returns the URL of a promise, which a client asks for itself once the push has failed.
    fn failed_push(&mut self, index: usize) -> Option<Url> {
        let promise = self.visited.exchanges.get(index)?;
        let is_promise = promise.initiator == Initiator::Server && self.itinerary.follow == Follow::Assets;
        let url = promise.url.clone().filter(|_| is_promise)?;
        (url.origin() == self.itinerary.page.origin() && self.has_room()).then_some(url)
    }

    /// Returns the assets that the page names and that were not promised.
    fn assets_of(&mut self, page: &VisitedResponse) -> Vec<Url> {
        let links = self.preloads(&page.headers);
        self.visited.named = links.iter().map(|url| self.target(url)).collect();
        if page.status.is_redirection()
            && let Some(location) = lines_of(&page.headers, header::LOCATION).first()
        {
            let note = format!("the page redirects to {location}, which is not followed");
            self.visited.notes.push(note);
        }
        if page.headers.contains_key(header::CONTENT_ENCODING) {
            let note = "the page is compressed although the request allowed no compression: its HTML was not read";
            self.visited.notes.push(note.to_owned());
        } else if is_html(&page.headers) {
            self.visited.used = html_assets(&page.body, &self.itinerary.page);
        }
        if self.itinerary.follow == Follow::Nothing {
            return Vec::new();
        }
        let mut assets = self.visited.used.clone();
        for link in links {
            if !assets.contains(&link) {
                assets.push(link);
            }
        }
        let known = |asset: &Url| {
            self.visited
                .exchanges
                .iter()
                .any(|known| known.url.as_ref() == Some(asset))
        };
        assets.retain(|asset| !known(asset));
        let room = (MAX_ASSETS + 1).saturating_sub(self.visited.exchanges.len());
        self.surplus += assets.len().saturating_sub(room);
        assets.truncate(room);
        assets
    }

    /// Returns the URLs that `Link` fields ask to preload.
    fn preloads(&self, headers: &HeaderMap) -> Vec<Url> {
        let fields = headers.get_all(header::LINK).iter().map(HeaderValue::as_bytes);
        link_assets(fields, &self.itinerary.page)
    }

    /// Returns a URL as reports write it.
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
