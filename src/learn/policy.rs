//! What an operator decided about learning on one route. Built by `config`.

use std::time::Duration;

use http::{HeaderMap, HeaderName, header};

/// Whether a route learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Learning {
    /// It observes responses and delivers what it learned.
    On,
    /// It does neither.
    #[default]
    Off,
}

/// Where the links of a document are learned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LearnSource {
    /// Its `Link` fields.
    Link,
    /// The head of its HTML, where it has no `Link` fields.
    Html,
}

/// What tells one document of a host from another, besides its path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LearnKey {
    /// Nothing.
    #[default]
    Path,
    /// The query as it is.
    PathAndQuery,
    /// These query parameters, in whatever order a request has them.
    Parameters(Vec<Box<str>>),
}

/// Whether a visitor who asks whether its copy is still good is pushed what was learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Returning {
    /// It has the assets, most likely: hints only.
    #[default]
    Skip,
    /// It is pushed to like any other.
    Push,
}

impl Returning {
    /// Whether the sender of a request with these fields is not pushed what was learned: it asks only whether its
    /// copy is still good (RFC 9110 section 13.1).
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
/// Off; from `Link` and HTML; documents by their path; three visitors; a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LearnPolicy {
    /// Whether anything is learned at all.
    pub learning: Learning,
    /// Where links are learned from.
    pub from: Vec<LearnSource>,
    /// What makes a document.
    pub key: LearnKey,
    /// Request fields whose values make documents of their own, for an application that varies its
    /// links by them.
    pub vary: Vec<HeaderName>,
    /// Visitors with nothing in common who must have got a link that may be personal, 2 to 16.
    pub min_visitors: usize,
    /// For how long a document that nobody asks for is remembered.
    pub expire_after: Duration,
    /// For how long a document stops being learned whose learned links keep being wrong; each time
    /// twice as long.
    pub pause: Duration,
    /// What a returning visitor gets.
    pub returning: Returning,
}

impl Default for LearnPolicy {
    fn default() -> Self {
        Self {
            learning: Learning::Off,
            from: vec![LearnSource::Link, LearnSource::Html],
            key: LearnKey::Path,
            vary: Vec::new(),
            min_visitors: 3,
            expire_after: Duration::from_secs(24 * 60 * 60),
            pause: Duration::from_secs(10 * 60),
            returning: Returning::Skip,
        }
    }
}
