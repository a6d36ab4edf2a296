//! Holds what a visit recorded: every exchange with its head, every 103, every promise.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use url::Url;

/// The record of one visit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::cli) struct Visited {
    /// Requests and promises, in the order in which they began; the page is the first.
    pub(in crate::cli) exchanges: Vec<VisitedExchange>,
    /// The 103s, in the order of arrival.
    pub(in crate::cli) hints: Vec<EarlyHints>,
    /// Targets that the page's own `Link` header asks to preload.
    pub(in crate::cli) named: Vec<String>,
    /// URLs on the page's own origin that its HTML makes a client fetch.
    pub(in crate::cli) used: Vec<Url>,
    /// Further remarks, a sentence each.
    pub(in crate::cli) notes: Vec<String>,
    /// Whether the server showed that it speaks the protocol: by a response, or by an error of the protocol.
    pub(in crate::cli) is_answered: bool,
    /// Whether the client accepted pushes.
    pub(in crate::cli) push: PushSetting,
}

impl Visited {
    /// Returns the page's response, if it was received completely, with any status.
    pub(in crate::cli) fn page(&self) -> Option<&VisitedResponse> {
        self.exchanges.first()?.response()
    }

    /// Returns the promises, delivered or not.
    pub(in crate::cli) fn promises(&self) -> impl Iterator<Item = &VisitedExchange> {
        let exchanges = self.exchanges.iter();
        exchanges.filter(|exchange| exchange.initiator == Initiator::Server)
    }
}

/// The client's SETTINGS_ENABLE_PUSH (RFC 9113 section 6.5.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::cli) enum PushSetting {
    /// Pushes are accepted.
    #[default]
    Accepted,
    /// Pushes are refused.
    Refused,
}

/// One request or promise, and its response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct VisitedExchange {
    /// The HTTP/2 stream; 0 for HTTP/1.1, and for a request that was not sent.
    pub(in crate::cli) stream: u32,
    /// The side that began the exchange.
    pub(in crate::cli) initiator: Initiator,
    /// The path and query, or the whole URL on another origin than the page's.
    pub(in crate::cli) target: String,
    /// The URL; `None` for a promise without a valid one.
    pub(in crate::cli) url: Option<Url>,
    /// The time of the request or promise, since the connection was made.
    pub(in crate::cli) start: Duration,
    /// The state of the exchange: open, or its end.
    pub(in crate::cli) outcome: VisitOutcome,
}

impl VisitedExchange {
    /// Returns the response, if it was received completely.
    pub(in crate::cli) fn response(&self) -> Option<&VisitedResponse> {
        match &self.outcome {
            VisitOutcome::Complete(response) => Some(response),
            VisitOutcome::Open | VisitOutcome::Failed(_) => None,
        }
    }
}

/// The side of the connection that began an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Initiator {
    /// The client, by a request.
    Client,
    /// The server, by a promise.
    Server,
}

/// The state of an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum VisitOutcome {
    /// The exchange has not ended.
    Open,
    /// The whole response was received.
    Complete(VisitedResponse),
    /// The exchange ended early, for this reason.
    Failed(String),
}

/// A complete response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct VisitedResponse {
    /// The time of its head, since the connection was made.
    pub(in crate::cli) head_at: Duration,
    /// The time of its end, since the connection was made.
    pub(in crate::cli) end: Duration,
    pub(in crate::cli) status: StatusCode,
    /// All fields of the head.
    pub(in crate::cli) headers: HeaderMap,
    /// Bytes of the content.
    pub(in crate::cli) size: u64,
    /// The content of a page; empty for other exchanges.
    pub(in crate::cli) body: Vec<u8>,
}

/// One 103 (RFC 8297).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct EarlyHints {
    /// The time of arrival, since the connection was made.
    pub(in crate::cli) at: Duration,
    /// All its fields.
    pub(in crate::cli) headers: HeaderMap,
    /// The targets that its links ask to preload.
    pub(in crate::cli) targets: Vec<String>,
}

/// Returns the lines of a field as text; bytes that are no UTF-8 are replaced.
pub(in crate::cli) fn lines_of(headers: &HeaderMap, name: http::HeaderName) -> Vec<String> {
    let lines = headers.get_all(name).into_iter();
    lines
        .map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned())
        .collect()
}
