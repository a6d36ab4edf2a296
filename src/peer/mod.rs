//! Describes a client connection: the peer's address and scheme, and state that `h2` and `proxy` share. Pure.
//!
//! `listen` makes one [`ClientConnection`] per connection. The connection's `ProxyDigest` carries it to `h2`, which
//! adds the [`push::PushState`], and to `proxy`, which makes the fields for origins from it ([`crate::forwarded`]).
//!
//! Reading order: this file, `trusted` (which peers are believed), [`target`] (target and authority of a request).

pub mod target;
mod trusted;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::{HeaderName, HeaderValue, Version, request::Parts};

pub use trusted::{ProxyProtocol, Trusted, canonical};

use crate::push;

/// The first bytes of a client's HTTP/2 connection, before its frames (RFC 9113 section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The scheme that a client used; `https` also where TLS was terminated in front of this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Cleartext.
    Http,
    /// TLS, terminated here or in front of this server.
    Https,
}

impl Scheme {
    /// The field that carries the scheme of an HTTP/2 request to the request that Pingora derives from it to renew a
    /// stored response, which has no `:scheme`. Elsewhere the field may come from a client and is not believed.
    pub const FIELD: HeaderName = HeaderName::from_static("x-linkpush-scheme");

    /// Returns the scheme of a request: that of its connection if known, else the `:scheme` of HTTP/2. The scheme in an
    /// HTTP/1.x target in absolute-form is ignored: without TLS, HTTP/1.x is `http`.
    #[must_use]
    pub fn of(of_connection: Option<Self>, request: &Parts) -> Self {
        let claimed = || match request.uri.scheme_str() {
            Some("https") if request.version == Version::HTTP_2 => Self::Https,
            _ => Self::Http,
        };
        of_connection.unwrap_or_else(claimed)
    }

    /// Returns the scheme's name in URLs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// The sender of the requests on one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The peer's address: that of the PROXY header where one was read, else the socket's.
    pub address: SocketAddr,
    /// The scheme, where the connection tells: by the listener's setting, TLS terminated here, or the PROXY header.
    /// `None` leaves the scheme to each request.
    pub scheme: Option<Scheme>,
    /// Whether the peer's X-Forwarded-* fields are believed and forwarded.
    pub is_trusted: bool,
    /// All trusted networks: the client of a trusted peer is its nearest address outside of these.
    pub trusted: Trusted,
}

/// One client connection.
#[derive(Debug)]
pub struct ClientConnection {
    /// The client, or the proxy in front.
    pub peer: Peer,
    /// The state of pushes on HTTP/2; `None` for HTTP/1.x.
    pub http2: Option<Arc<push::PushState>>,
    /// The `Date` of the HTTP/1.x response that is written next.
    pub date: ResponseDate,
    /// TLS of the connection, where it ends here.
    pub tls: Option<TlsSession>,
}

/// The facts of a TLS connection that are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsSession {
    /// `1.2` or `1.3`.
    pub version: &'static str,
    /// The protocol that was agreed on (RFC 7301).
    pub alpn: Option<&'static str>,
}

/// Carries the `Date` of an origin's response past Pingora to the HTTP/1.x connection: Pingora overwrites `Date` in
/// every response with the current time.
#[derive(Debug, Default)]
pub struct ResponseDate(Mutex<Option<HeaderValue>>);

impl ResponseDate {
    /// Sets the date of the next response that is written; `None` keeps Pingora's.
    pub fn set(&self, date: Option<HeaderValue>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
    }

    /// Takes the date for the response that is being written.
    pub fn take(&self) -> Option<HeaderValue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The time within which an origin's final response must begin. It is in the extensions of the client's request:
/// Pingora waits for the client and the origin in one place, where only the client's session is linkpush's code.
#[derive(Debug, Clone, Copy)]
pub struct ResponseLimit {
    /// The time at which the request was sent to the origin, as far as it had arrived.
    pub since: Instant,
    /// Most time from `since`, or from the request's last byte if that came later.
    pub limit: Duration,
}

impl ResponseLimit {
    /// The name of Pingora's custom error for a limit that has passed.
    pub const PASSED: &str = "AnswerLimitPassed";
}
