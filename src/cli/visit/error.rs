//! Says why a visit brought no page, and which cause is likely.

use std::io;
use std::time::Duration;

use super::itinerary::{Itinerary, ServerAddress};

/// Why a visit brought no page.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum VisitError {
    /// The name has no address.
    #[error("the name {host} does not resolve")]
    Name {
        /// The name.
        host: String,
        /// The resolver's error.
        source: io::Error,
    },
    /// TCP could not connect.
    #[error("connecting to {address}")]
    Tcp {
        /// Host and port.
        address: ServerAddress,
        /// The system's error.
        source: io::Error,
    },
    /// A step took longer than the time limit.
    #[error("{address}: {stage} took longer than {limit:?}")]
    Timeout {
        /// Host and port.
        address: ServerAddress,
        /// The step.
        stage: Stage,
        /// The time limit of the visit.
        limit: Duration,
    },
    /// The system has no root certificates.
    #[error("the system has no trusted root certificates ({0}); --insecure goes without")]
    NoRoots(String),
    /// The TLS client could not be set up.
    #[error("setting up TLS")]
    Setup(#[source] rustls::Error),
    /// The handshake failed.
    #[error("TLS with {address}")]
    Tls {
        /// Host and port.
        address: ServerAddress,
        /// The error of TLS.
        source: io::Error,
    },
    /// The certificate is not valid for the host, or no trusted root has signed it.
    #[error("the certificate of {host} is not trusted (--insecure accepts any)")]
    Certificate {
        /// The name that was asked for.
        host: String,
        /// The error of TLS.
        source: io::Error,
    },
    /// The server chose another protocol than HTTP/2.
    #[error("{address} selects {selected} by ALPN, not h2: it offers no HTTP/2 here (--http1 speaks HTTP/1.1)")]
    Alpn {
        /// Host and port.
        address: ServerAddress,
        /// The protocol, or words that say that it is none.
        selected: String,
    },
    /// The server selects h2 by ALPN, and speaks HTTP/1.1.
    #[error(
        "{address} selects h2 by ALPN, and does not speak it: the server behind what ends TLS must speak HTTP/2 without \
         TLS, or h2 must not be offered"
    )]
    AlpnWithoutHttp2 {
        /// Host and port.
        address: ServerAddress,
    },
    /// A cleartext server speaks HTTP/1.1 only.
    #[error("{address} speaks HTTP/1.1, and no HTTP/2 by prior knowledge: there is no HTTP/2 here (--http1 goes on)")]
    NoHttp2 {
        /// Host and port.
        address: ServerAddress,
    },
    /// The server answered HTTP/1.1 instead of changing to h2c.
    #[error("{address} does not answer Upgrade: h2c, it responds with HTTP/1.1 {status}")]
    NoUpgrade {
        /// Host and port.
        address: ServerAddress,
        /// The status of its response.
        status: u16,
    },
    /// The server takes connections only with a PROXY header.
    #[error("{address} requires a PROXY header: it answers with one, and not without (--proxy-protocol {version})")]
    ProxyHeaderRequired {
        /// Host and port.
        address: ServerAddress,
        /// The version that it answered.
        version: &'static str,
    },
    /// The server takes no PROXY header.
    #[error("{address} expects no PROXY header: it answers without one (leave out --proxy-protocol)")]
    ProxyHeaderUnexpected {
        /// Host and port.
        address: ServerAddress,
    },
    /// The server expects TLS on this port.
    #[error("{address} expects TLS: use https://")]
    TlsExpected {
        /// Host and port.
        address: ServerAddress,
    },
    /// The server expects cleartext on this port.
    #[error("{address} expects cleartext, not TLS: use http://")]
    CleartextExpected {
        /// Host and port.
        address: ServerAddress,
    },
    /// The connection ended before the first request.
    #[error("starting HTTP/2 with {address}")]
    Handshake {
        /// Host and port.
        address: ServerAddress,
        /// The cause.
        source: h2::Error,
    },
    /// The connection broke before there was a response.
    #[error("{address}: {reason}")]
    Broken {
        /// Host and port.
        address: ServerAddress,
        /// The cause.
        reason: String,
    },
}

/// A step of a visit that has a time limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Stage {
    /// The name is looked up.
    Resolve,
    /// TCP connects.
    Connect,
    /// TLS shakes hands.
    Tls,
    /// HTTP/2 begins.
    Handshake,
    /// `Upgrade: h2c` awaits its answer.
    Upgrade,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Resolve => "looking up the name",
            Self::Connect => "connecting",
            Self::Tls => "the TLS handshake",
            Self::Handshake => "the start of HTTP/2",
            Self::Upgrade => "the answer to Upgrade: h2c",
        })
    }
}

impl VisitError {
    /// Makes the error of a step that took too long.
    pub(super) fn late(itinerary: &Itinerary, stage: Stage) -> Self {
        Self::Timeout {
            address: itinerary.server.clone(),
            stage,
            limit: itinerary.limit,
        }
    }

    /// Returns whether another way of asking may find out more: the server took the connection, and then did not speak
    /// as expected.
    pub(super) fn is_unclear(&self) -> bool {
        match self {
            Self::Timeout { stage, .. } => !matches!(stage, Stage::Resolve | Stage::Connect),
            Self::Tls { .. } | Self::Handshake { .. } | Self::Broken { .. } => true,
            _ => false,
        }
    }
}
