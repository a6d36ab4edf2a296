//! What an operator decided about one route's assets.
//!
//! Built by `config`, read by [`plan`](super::plan()). Every value here is already valid.

use std::time::Duration;

use super::Destination;
use crate::link::{Document, Target};

/// How a route delivers what its documents link to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delivery {
    /// Push to a client that takes pushes, else hint.
    #[default]
    Auto,
    /// Push, never hint.
    Push,
    /// Hint, never push.
    Hint,
    /// Neither: the `Link` header is all the client gets.
    Off,
}

/// What the `nopush` parameter of a link means (Preload, "server push").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Nopush {
    /// Such a link is not pushed.
    #[default]
    Honour,
    /// Such a link is pushed like any other: for frameworks that mark every link.
    Ignore,
}

/// Whether a promised request carries the document's `cookie` and `authorization`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Credentials {
    /// It never does.
    #[default]
    Omit,
    /// It carries both, and answers that are private to this client may be pushed.
    Include,
}

/// Which requests may get a `103 Early Hints`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HintRequests {
    /// Only those with `Sec-Fetch-Mode: navigate`: browsers ignore a 103 elsewhere, and some other clients break on it.
    #[default]
    Navigate,
    /// Every GET over HTTP/2.
    All,
}

/// Which `as` values a route pushes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Destinations {
    /// Whatever `as` says, and links without it: what every pushing server does.
    #[default]
    Any,
    /// Only these; a link without `as`, or with an unknown one, is not pushed.
    Only(Vec<Destination>),
}

impl Destinations {
    /// Whether a link with this `as` may be pushed.
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
    /// Which kinds of asset are pushed.
    pub destinations: Destinations,
    /// Promises for one document at most, 1 to 100.
    pub max_promises: usize,
    /// Links in all the 103s of one document at most, 1 to 100.
    pub max_hints: usize,
    /// What `nopush` means.
    pub nopush: Nopush,
    /// Whether promised requests carry credentials.
    pub credentials: Credentials,
    /// Authorities besides the document's own.
    pub authorities: Vec<Authority>,
    /// Which requests get a 103.
    pub hint_requests: HintRequests,
    /// Link field values that the route names itself, each with at least one well-formed link.
    pub links: Vec<Box<str>>,
    /// Refused promises (RST_STREAM) after which a connection gets no more, 1 to 1000.
    pub max_refusals: u32,
    /// For how long a URL whose pushed answer could not be used is not promised again.
    pub retry_bad_after: Duration,
}

impl Policy {
    /// Whether the route lists a target's authority; its scheme must still be the document's.
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
