//! Holds an operator's settings for the assets of one route.
//!
//! `config` builds them from checked values, [`plan`](super::plan()) reads them.

use std::time::Duration;

use super::Destination;
use crate::link::{Document, Target};

/// How a route delivers the assets that its documents link to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delivery {
    /// Push to a client that takes pushes, else hint.
    #[default]
    Auto,
    /// Push, never hint.
    Push,
    /// Hint, never push.
    Hint,
    /// Neither: the client gets only the `Link` field.
    Off,
}

/// Effect of the `nopush` parameter of a link (Preload, "server push").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Nopush {
    /// A link with `nopush` is not pushed.
    #[default]
    Honour,
    /// A link with `nopush` is pushed like any other: for frameworks that mark every link.
    Ignore,
}

/// Whether a promised request carries the document's `cookie` and `authorization`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Credentials {
    /// The promised request carries neither.
    #[default]
    Omit,
    /// The promised request carries both, and responses that are private to this client may be pushed.
    Include,
}

/// Which requests may get a `103 Early Hints`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HintRequests {
    /// Only requests with `Sec-Fetch-Mode: navigate`: browsers ignore a 103 elsewhere, and some other clients break on
    /// it.
    #[default]
    Navigate,
    /// Every GET over HTTP/2.
    All,
}

/// Which `as` values a route pushes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Destinations {
    /// Every value, and links without `as`, as other pushing servers do.
    #[default]
    Any,
    /// Only these; a link without `as`, or with an unknown value, is not pushed.
    Only(Vec<Destination>),
}

impl Destinations {
    /// Returns whether a link with this `as` may be pushed.
    #[must_use]
    pub fn allow(&self, destination: Option<Destination>) -> bool {
        match self {
            Self::Any => true,
            Self::Only(list) => destination.is_some_and(|d| list.contains(&d)),
        }
    }
}

/// Another authority whose assets a route may push, besides the document's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Host in lower case; an IPv6 address keeps its brackets.
    pub host: Box<str>,
    /// Port; `None` is the default port of the document's scheme.
    pub port: Option<u16>,
}

/// The settings of one route, complete with their defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Push, hint or nothing.
    pub delivery: Delivery,
    /// Which `as` values are pushed.
    pub destinations: Destinations,
    /// Largest number of promises for one document, 1 to 100.
    pub max_promises: usize,
    /// Largest number of links in all 103s of one document, 1 to 100.
    pub max_hints: usize,
    /// Effect of `nopush`.
    pub nopush: Nopush,
    /// Whether promised requests carry credentials.
    pub credentials: Credentials,
    /// Authorities whose assets may be pushed, besides the document's own.
    pub authorities: Vec<Authority>,
    /// Which requests get a 103.
    pub hint_requests: HintRequests,
    /// Configured `Link` field values, each with at least one well-formed link.
    pub links: Vec<Box<str>>,
    /// Number of refused promises (RST_STREAM) after which a connection gets no more, 1 to 1000.
    pub max_refusals: u32,
    /// Time for which a URL whose pushed response could not be delivered is not promised again.
    pub retry_bad_after: Duration,
}

impl Policy {
    /// Returns whether the route lists a target's authority, and the target's scheme is the document's.
    #[must_use]
    pub fn lists(&self, document: &Document, target: &Target) -> bool {
        let default_port = if target.scheme() == "https" { 443 } else { 80 };
        target.scheme() == document.scheme()
            && self.authorities.iter().any(|authority| {
                *authority.host == *target.host() && authority.port.unwrap_or(default_port) == target.port()
            })
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            delivery: Delivery::Auto,
            destinations: Destinations::Any,
            max_promises: 16,
            max_hints: 20,
            nopush: Nopush::Honour,
            credentials: Credentials::Omit,
            authorities: Vec::new(),
            hint_requests: HintRequests::Navigate,
            links: Vec::new(),
            max_refusals: 3,
            retry_bad_after: Duration::from_secs(300),
        }
    }
}
