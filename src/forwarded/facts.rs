//! Holds the facts of a request that the fields for the origin are made from, and reads those of a trusted peer. Pure.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header::GetAll};

use super::names::{Trust, X_FORWARDED_HOST, X_FORWARDED_PROTO};
use crate::peer::Scheme;

/// The facts of one request.
#[derive(Debug, Clone, Copy)]
pub struct ForwardedFacts<'r> {
    /// The peer's address.
    pub address: IpAddr,
    /// Whether the peer's fields are believed.
    pub trust: Trust,
    /// The scheme of the connection or request.
    pub scheme: Scheme,
    /// The request's own authority.
    pub authority: &'r str,
    /// The request's fields.
    pub fields: &'r HeaderMap,
}

impl<'r> ForwardedFacts<'r> {
    /// Returns the scheme of the client's URL: a trusted peer's X-Forwarded-Proto, else that of the connection or
    /// request.
    #[must_use]
    pub fn url_scheme(&self) -> Scheme {
        self.said_once(X_FORWARDED_PROTO)
            .and_then(scheme_of)
            .unwrap_or(self.scheme)
    }

    /// Returns the host and port of the client's URL, if a trusted peer sent X-Forwarded-Host.
    #[must_use]
    pub fn url_host(&self) -> Option<&'r HeaderValue> {
        self.said_once(X_FORWARDED_HOST)
            .filter(|host| is_authority(host.as_bytes()))
    }

    /// Returns the lines of a field; `None` from an untrusted peer.
    pub(super) fn said(&self, name: HeaderName) -> Option<GetAll<'r, HeaderValue>> {
        match self.trust {
            Trust::Trusted => Some(self.fields.get_all(name)),
            Trust::Untrusted => None,
        }
    }

    /// Returns the only line of a trusted peer's field; `None` for several lines, of which readers would choose
    /// different ones.
    pub(super) fn said_once(&self, name: HeaderName) -> Option<&'r HeaderValue> {
        let lines = self.said(name)?;
        let mut lines = lines.into_iter();
        lines.next().filter(|_| lines.next().is_none())
    }
}

/// Parses `http` or `https`.
pub(super) fn scheme_of(value: &HeaderValue) -> Option<Scheme> {
    [Scheme::Http, Scheme::Https]
        .into_iter()
        .find(|scheme| value.as_bytes().eq_ignore_ascii_case(scheme.name().as_bytes()))
}

/// Returns whether a text can be sent as host and port: no byte of it ends a list element, a pair of `Forwarded` or the
/// host of a URL.
pub(super) fn is_authority(text: &[u8]) -> bool {
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+=:[]".contains(b);
    (1..=MAX_AUTHORITY).contains(&text.len()) && text.iter().all(allowed)
}

/// Most bytes of an authority: a name of 253 (RFC 1035), a colon, a port of 5 digits.
pub(super) const MAX_AUTHORITY: usize = 253 + 6;
