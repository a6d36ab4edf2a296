//! Holds an operator's settings for learning on one route. `config` builds them.

use std::time::Duration;

use http::{HeaderMap, HeaderName, header};

/// Whether a route learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Learning {
    /// The route observes responses and delivers learned links.
    On,
    /// The route does neither.
    #[default]
    Off,
}

/// Where the links of a document are learned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LearnSource {
    /// `Link` fields.
    Link,
    /// The HTML head, if the response has no `Link` fields.
    Html,
}

/// The part of the query that distinguishes documents with the same path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LearnKey {
    /// No part.
    #[default]
    Path,
    /// The whole query.
    PathAndQuery,
    /// These query parameters, in any order.
    Parameters(Vec<Box<str>>),
}

/// Whether learned links are pushed to a visitor that revalidates its stored copy of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Returning {
    /// Learned links are only hinted: the visitor has the assets, most likely.
    #[default]
    Skip,
    /// Learned links are pushed, as to any other visitor.
    Push,
}

impl Returning {
    /// Returns whether learned links are not pushed for a request with these fields, because it is a revalidation
    /// (RFC 9110 section 13.1).
    #[must_use]
    pub fn skips(self, request: &HeaderMap) -> bool {
        self == Self::Skip
            && (request.contains_key(header::IF_NONE_MATCH) || request.contains_key(header::IF_MODIFIED_SINCE))
    }
}

/// The settings of one route.
///
/// # Defaults
///
/// Off; from `Link` and HTML, of which 128 KiB; documents by their path; three visitors; a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LearnPolicy {
    /// Whether the route learns.
    pub learning: Learning,
    /// Where links are learned from.
    pub from: Vec<LearnSource>,
    /// The part of the query that distinguishes documents.
    pub key: LearnKey,
    /// Largest number of bytes of a page that are read, as received and once decoded, 4 KiB to 1 MiB.
    pub html_bytes: u32,
    /// Request fields that tell who asks, besides those that are known.
    pub identity: Vec<HeaderName>,
    /// Request fields whose values distinguish documents, for an application that varies its links by them.
    pub vary: Vec<HeaderName>,
    /// Number of visitors with nothing in common who must have got a link that may be personal, 2 to 16.
    pub min_visitors: usize,
    /// Time for which a document without requests is remembered.
    pub expire_after: Duration,
    /// Time for which learning stops on a document whose learned links keep being wrong; doubled with each pause.
    pub pause: Duration,
    /// Whether a returning visitor is pushed learned links.
    pub returning: Returning,
}

impl Default for LearnPolicy {
    fn default() -> Self {
        Self {
            learning: Learning::Off,
            from: vec![LearnSource::Link, LearnSource::Html],
            key: LearnKey::Path,
            html_bytes: 128 * 1024,
            identity: Vec::new(),
            vary: Vec::new(),
            min_visitors: 3,
            expire_after: Duration::from_secs(24 * 60 * 60),
            pause: Duration::from_secs(10 * 60),
            returning: Returning::Skip,
        }
    }
}
