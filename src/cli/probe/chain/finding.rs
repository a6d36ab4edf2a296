//! Names what a chain of hops shows: one word for text, JSON and documentation.

use serde::Serialize;

use crate::meter::{Label as _, labels};

labels! {
    /// A conclusion about one hop of a chain. The label is its word in text, JSON and documentation.
    pub enum ChainFinding {
        /// The hop gives no page.
        NoPage = "no_page",
        /// The hop behind sends a 103, and this hop gives no page because of it.
        EarlyBreaksPage = "early_breaks_page",
        /// `h2` is selected by ALPN, and not spoken.
        AlpnWithoutHttp2 = "alpn_without_http2",
        /// `Link` does not pass the hop.
        LinkLost = "link_lost",
        /// `Link` passes the hop up to a length.
        LinkCut = "link_cut",
        /// The hop changes `Link`.
        LinkChanged = "link_changed",
        /// The status is another one than at the hop behind.
        StatusDiffers = "status_differs",
        /// The last hop sends no `Link`, so nothing asks for a push.
        NoLink = "no_link",
        /// The outermost hop speaks no HTTP/2 to clients.
        NoHttp2 = "no_http2",
        /// The hop does not push, and the one behind it does, or none does.
        PushDies = "push_dies",
        /// The hop withdraws promises.
        PushWithdrawn = "push_withdrawn",
        /// The hop behind sends a 103, and this hop does not pass it on.
        EarlyLost = "early_lost",
        /// The hop puts `Link` into other field lines, which changes nothing.
        LinkMerged = "link_merged",
        /// The hop takes connections only with a PROXY header.
        ProxyHeader = "proxy_header",
        /// A 103 reaches the browser.
        EarlyArrives = "early_arrives",
        /// Pushes reach the client.
        PushArrives = "push_arrives",
    }
}

impl ChainFinding {
    /// How much it matters.
    #[must_use]
    pub const fn weight(self) -> FindingWeight {
        match self {
            Self::NoPage
            | Self::EarlyBreaksPage
            | Self::AlpnWithoutHttp2
            | Self::LinkLost
            | Self::LinkCut
            | Self::LinkChanged
            | Self::StatusDiffers => FindingWeight::Broken,
            Self::NoLink | Self::NoHttp2 | Self::PushDies => FindingWeight::Loss,
            Self::PushWithdrawn | Self::EarlyLost | Self::LinkMerged | Self::ProxyHeader => FindingWeight::Note,
            Self::EarlyArrives | Self::PushArrives => FindingWeight::Good,
        }
    }
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingWeight {
    /// A hop breaks what passes through it.
    Broken,
    /// Assets reach the client later than they could.
    Loss,
    /// Worth knowing.
    Note,
    /// As it should be.
    Good,
}

impl Serialize for ChainFinding {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.label())
    }
}
