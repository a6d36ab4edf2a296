//! A request, as far as origins are told of it.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header::GetAll};

use super::names::{Trust, X_FORWARDED_HOST, X_FORWARDED_PROTO};
use crate::peer::Scheme;

/// One request, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub struct ForwardedFacts<'r> {
    /// Who sent it.
    pub address: IpAddr,
    /// Whether it is believed.
    pub trust: Trust,
    /// What it spoke.
    pub scheme: Scheme,
    /// The request's own authority.
    pub authority: &'r str,
    /// The request's fields.
    pub fields: &'r HeaderMap,
}

impl<'r> ForwardedFacts<'r> {
    /// The scheme of the URL that the client asked for, as far as is known.
    #[must_use]
    pub fn url_scheme(&self) -> Scheme {
        self.said_once(X_FORWARDED_PROTO)
            .and_then(scheme_of)
            .unwrap_or(self.scheme)
    }

    /// Host and port of that URL, if a trusted peer says that they are others than the request's.
    #[must_use]
    pub fn url_host(&self) -> Option<&'r HeaderValue> {
        self.said_once(X_FORWARDED_HOST)
            .filter(|host| is_authority(host.as_bytes()))
    }

    /// The field lines of a trusted peer.
    pub(super) fn said(&self, name: HeaderName) -> Option<GetAll<'r, HeaderValue>> {
        match self.trust {
            Trust::Trusted => Some(self.fields.get_all(name)),
            Trust::Untrusted => None,
        }
    }

    /// The only field line of a trusted peer. Of several, nobody can tell which is meant.
    pub(super) fn said_once(&self, name: HeaderName) -> Option<&'r HeaderValue> {
        let lines = self.said(name)?;
        let mut lines = lines.into_iter();
        lines.next().filter(|_| lines.next().is_none())
    }
}

pub(super) fn scheme_of(value: &HeaderValue) -> Option<Scheme> {
    [Scheme::Http, Scheme::Https]
        .into_iter()
        .find(|scheme| value.as_bytes().eq_ignore_ascii_case(scheme.name().as_bytes()))
}

/// Whether a text may be told as host and port: nothing that would end a list's element, a pair of
/// `Forwarded` or the host of a URL.
pub(super) fn is_authority(text: &[u8]) -> bool {
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+=:[]".contains(b);
    (1..=MAX_AUTHORITY).contains(&text.len()) && text.iter().all(allowed)
}

/// A name of 253 bytes (RFC 1035), a colon, a port.
pub(super) const MAX_AUTHORITY: usize = 253 + 6;
