//! Holds what was seen of each hop.

use http::HeaderMap;
use serde::Serialize;

/// The observations of one hop, by clients that were attached to it.
#[derive(Debug, Clone)]
pub(super) struct HopSight {
    /// The name that the user gave.
    pub(super) name: String,
    /// How it speaks HTTP/2 to a client.
    pub(super) http2: Http2Way,
    /// Whether it answers `Upgrade: h2c`; `None` with TLS, and where no page came.
    pub(super) upgrade: Option<bool>,
    /// The PROXY header that it required.
    pub(super) proxy_header: Option<&'static str>,
    /// The page, as a client that takes pushes gets it.
    pub(super) page: PageSight,
    /// The page, as a browser gets it.
    pub(super) browser: PageSight,
}

/// How a hop speaks HTTP/2 to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Http2Way {
    /// TLS, with `h2` selected by ALPN.
    Alpn,
    /// Cleartext, by prior knowledge.
    PriorKnowledge,
    /// Not at all.
    None,
    /// `h2` is selected by ALPN, and not spoken.
    AlpnOnly,
}

/// The observations of one client of a page.
#[derive(Debug, Clone, Default)]
pub(super) struct PageSight {
    /// The status; `None` without a final response.
    pub(super) status: Option<u16>,
    /// Why there is no page.
    pub(super) failure: Option<String>,
    /// The lines of `Link`.
    pub(super) links: Vec<String>,
    /// The lines of `Link` of each 103.
    pub(super) early: Vec<Vec<String>>,
    /// Targets that were pushed.
    pub(super) pushed: Vec<String>,
    /// Targets that were promised and not delivered.
    pub(super) withdrawn: Vec<String>,
    /// Time of the head, in microseconds since the connection was made.
    pub(super) head_us: u64,
    /// Time of the end.
    pub(super) end_us: u64,
    /// All fields of the head.
    pub(super) fields: HeaderMap,
}

impl PageSight {
    /// Returns whether the page came, and is no error of a server's.
    pub(super) fn is_good(&self) -> bool {
        self.status.is_some_and(|status| status < 500)
    }
}
