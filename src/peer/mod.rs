//! Who the client is: its address and what it spoke, as its connection told. Pure.
//!
//! `listen` makes a [`ClientConnection`] once per connection; it rides in the connection's digest to
//! `h2`, which adds what it knows of pushes, and to `proxy`, which tells origins of it
//! ([`crate::forwarded`]). [`target`] reads what a request asks for, `trusted` says which clients are believed.

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

/// The first bytes of a client's HTTP/2 connection, which frames follow (RFC 9113 section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The scheme that a client used, which is not always that of the socket it arrives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Cleartext.
    Http,
    /// TLS, ended here or in front of us.
    Https,
}

impl Scheme {
    /// The field that tells it to ourselves, in a request that Pingora makes of an HTTP/2 client's: that has
    /// no `:scheme`. Any other is a client's invention.
    pub const FIELD: HeaderName = HeaderName::from_static("x-linkpush-scheme");

    /// That of a request: what its connection tells, else the `:scheme` of HTTP/2. What an HTTP/1.x request
    /// line says of it is not asked: nothing but TLS makes it https.
    #[must_use]
    pub fn of(told: Option<Self>, request: &Parts) -> Self {
        let claimed = || match request.uri.scheme_str() {
            Some("https") if request.version == Version::HTTP_2 => Self::Https,
            _ => Self::Http,
        };
        told.unwrap_or_else(claimed)
    }

    /// Its name in URLs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Whoever sends the requests of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its address: that of the PROXY header where one was read, else the socket's.
    pub address: SocketAddr,
    /// What it speaks, where the connection tells: by TLS here, by the PROXY header, or because the
    /// listener says so. `None` leaves it to the request.
    pub scheme: Option<Scheme>,
    /// It may speak for others: what it says of them in X-Forwarded-* is kept.
    pub is_trusted: bool,
    /// Who else may: when it is trusted, the client is sought beyond these.
    pub trusted: Trusted,
}

/// One client connection.
#[derive(Debug)]
pub struct ClientConnection {
    /// Who is at its other end.
    pub peer: Peer,
    /// What HTTP/2 knows of it; `None` for HTTP/1.x.
    pub http2: Option<Arc<push::PushState>>,
    /// When the response of HTTP/1.x was made that is about to be written.
    pub date: ResponseDate,
}

/// The `Date` of an origin's response, on its way round Pingora to an HTTP/1.x client: Pingora writes its own in the place
/// of whatever is there.
#[derive(Debug, Default)]
pub struct ResponseDate(Mutex<Option<HeaderValue>>);

impl ResponseDate {
    /// That of the next response that is written; `None` leaves it to Pingora.
    pub fn set(&self, date: Option<HeaderValue>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
    }

    /// That of the response that is being written.
    pub fn take(&self) -> Option<HeaderValue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// How long the origin's final answer may take to begin. It rides in the extensions of the client's
/// request: Pingora waits for the client and the origin at once, and only the client's side of that
/// is ours.
#[derive(Debug, Clone, Copy)]
pub struct ResponseLimit {
    /// When the request was sent, as far as it was there.
    pub since: Instant,
    /// From then, or from its last byte if that came later.
    pub limit: Duration,
}

impl ResponseLimit {
    /// The name of the error that says that it has passed.
    pub const PASSED: &str = "AnswerLimitPassed";
}
