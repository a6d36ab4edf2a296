//! Names what a chain of hops shows: one word for text, JSON and documentation.

use serde::Serialize;

/// Defines the findings: word, weight, meaning.
macro_rules! findings {
    ($($(#[$doc:meta])* $variant:ident = $label:literal, $weight:ident;)+) => {
        /// A conclusion about one hop of a chain.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum ChainFinding {
            $($(#[$doc])* $variant,)+
        }

        impl ChainFinding {
            /// All findings.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word for it in text, JSON and documentation.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)+
                }
            }

            /// How much it matters.
            #[must_use]
            pub const fn weight(self) -> FindingWeight {
                match self {
                    $(Self::$variant => FindingWeight::$weight,)+
                }
            }
        }
    };
}

findings! {
    /// The hop gives no page.
    NoPage = "no_page", Broken;
    /// The hop behind sends a 103, and this hop gives no page because of it.
    EarlyBreaksPage = "early_breaks_page", Broken;
    /// `h2` is selected by ALPN, and not spoken.
    AlpnWithoutHttp2 = "alpn_without_http2", Broken;
    /// `Link` does not pass the hop.
    LinkLost = "link_lost", Broken;
    /// `Link` passes the hop up to a length.
    LinkCut = "link_cut", Broken;
    /// The hop changes `Link`.
    LinkChanged = "link_changed", Broken;
    /// The status is another one than at the hop behind.
    StatusDiffers = "status_differs", Broken;
    /// The last hop sends no `Link`, so nothing asks for a push.
    NoLink = "no_link", Loss;
    /// The outermost hop speaks no HTTP/2 to clients.
    NoHttp2 = "no_http2", Loss;
    /// The hop does not push, and the one behind it does, or none does.
    PushDies = "push_dies", Loss;
    /// The hop withdraws promises.
    PushWithdrawn = "push_withdrawn", Note;
    /// The hop behind sends a 103, and this hop does not pass it on.
    EarlyLost = "early_lost", Note;
    /// The hop puts `Link` into other field lines, which changes nothing.
    LinkMerged = "link_merged", Note;
    /// The hop takes connections only with a PROXY header.
    ProxyHeader = "proxy_header", Note;
    /// A 103 reaches the browser.
    EarlyArrives = "early_arrives", Good;
    /// Pushes reach the client.
    PushArrives = "push_arrives", Good;
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
