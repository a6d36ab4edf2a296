//! What origins are told of the client: X-Forwarded-For, -Proto, -Host, -Port, `Forwarded` (RFC
//! 7239). Pure.
//!
//! Of a peer that is not trusted, nothing is believed: all it says of clients is replaced, or
//! removed ([`is_foreign`]). What a trusted peer says is kept as far as it can be read, and its own
//! address is appended. `proxy` calls this for each request to an origin; [`Received`] takes what a
//! document's request said to the requests of its promises.

//!
//! Reading order: [`tell`], `chain` (a list of addresses), `element` (RFC 7239), `names` (which fields say what),
//! [`Received`],
//! [`client()`] (whom a trusted peer speaks for).

mod chain;
mod element;
mod names;
mod received;

use std::{io::Write, net::IpAddr};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self, GetAll},
};

pub use names::{ask_for_another, is_foreign, told_of_url};
pub use received::Received;

use crate::peer::{Peer, Scheme};

/// Whether origins of a route are told in `Forwarded` (RFC 7239), too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ForwardedField {
    /// In X-Forwarded-* only. A trusted peer's `Forwarded` passes as it is.
    #[default]
    Off,
    /// In both.
    On,
}

/// Whether what a peer says of others is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// It is a proxy of the operator's.
    Trusted,
    /// It is a client.
    Untrusted,
}

/// Everything that is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// X-Forwarded-For.
    pub chain: HeaderValue,
    /// X-Forwarded-Proto: `http` or `https`.
    pub scheme: HeaderValue,
    /// X-Forwarded-Host; `None` where the request names no host that could be told.
    pub host: Option<HeaderValue>,
    /// X-Forwarded-Port.
    pub port: HeaderValue,
    /// Forwarded, if the route asks.
    pub forwarded: Option<HeaderValue>,
}

/// One request, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'r> {
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

/// What the origin of a request is told.
#[must_use]
pub fn tell(facts: &Facts<'_>, forwarded: ForwardedField) -> Told {
    // A listener on [::] sees IPv4 clients as ::ffff:192.0.2.1, which no list of networks has.
    let address = facts.address.to_canonical();
    let scheme = facts.url_scheme();
    let host = facts.url_host().cloned().or_else(|| own_host(facts));
    let port = facts
        .said_once(X_FORWARDED_PORT)
        .and_then(|port| port_number(port.as_bytes()))
        .or_else(|| port_of(host.as_ref()?.as_bytes()))
        .map_or_else(|| HeaderValue::from_static(default_port(scheme)), HeaderValue::from);
    let forwarded = (forwarded == ForwardedField::On)
        .then(|| element::append(facts.said(header::FORWARDED).as_ref(), address, host.as_ref(), scheme));
    Told {
        chain: chain::append(
            facts.said(X_FORWARDED_FOR).as_ref(),
            AddressText::of(address).as_bytes(),
        ),
        scheme: HeaderValue::from_static(scheme.name()),
        host,
        port,
        forwarded,
    }
}

/// On whose behalf a request came: whom its peer speaks for if that is trusted, else the peer itself.
/// For logs and balancing; origins are told the whole chain.
#[must_use]
pub fn client(peer: &Peer, fields: &HeaderMap) -> IpAddr {
    let address = peer.address.ip().to_canonical();
    if !peer.is_trusted {
        return address;
    }
    chain::client(&fields.get_all(X_FORWARDED_FOR), &peer.trusted, address)
}

impl<'r> Facts<'r> {
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
    fn said(&self, name: HeaderName) -> Option<GetAll<'r, HeaderValue>> {
        match self.trust {
            Trust::Trusted => Some(self.fields.get_all(name)),
            Trust::Untrusted => None,
        }
    }

    /// The only field line of a trusted peer. Of several, nobody can tell which is meant.
    fn said_once(&self, name: HeaderName) -> Option<&'r HeaderValue> {
        let lines = self.said(name)?;
        let mut lines = lines.into_iter();
        lines.next().filter(|_| lines.next().is_none())
    }
}

fn scheme_of(value: &HeaderValue) -> Option<Scheme> {
    [Scheme::Http, Scheme::Https]
        .into_iter()
        .find(|scheme| value.as_bytes().eq_ignore_ascii_case(scheme.name().as_bytes()))
}

/// The request's own authority; the Host field shares its bytes.
fn own_host(facts: &Facts<'_>) -> Option<HeaderValue> {
    if !is_authority(facts.authority.as_bytes()) {
        return None;
    }
    match facts.fields.get(header::HOST) {
        Some(host) if host.as_bytes() == facts.authority.as_bytes() => Some(host.clone()),
        _ => HeaderValue::from_str(facts.authority).ok(),
    }
}

/// Whether a text may be told as host and port: nothing that would end a list's element, a pair of
/// `Forwarded` or the host of a URL.
fn is_authority(text: &[u8]) -> bool {
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+=:[]".contains(b);
    (1..=MAX_AUTHORITY).contains(&text.len()) && text.iter().all(allowed)
}

/// The port at the end of an authority.
fn port_of(authority: &[u8]) -> Option<u16> {
    let colon = authority.iter().rposition(|&b| b == b':')?;
    // Else it is within an IPv6 address, whose last part has its bracket.
    port_number(authority.get(colon + 1..)?)
}

fn port_number(text: &[u8]) -> Option<u16> {
    let digits = std::str::from_utf8(text)
        .ok()
        .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
    digits.parse().ok().filter(|&port| port > 0)
}

const fn default_port(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Http => "80",
        Scheme::Https => "443",
    }
}

/// An address as text, without an allocation of its own.
struct AddressText {
    bytes: [u8; Self::LONGEST],
    length: usize,
}

impl AddressText {
    /// `0000:0000:0000:0000:0000:ffff:255.255.255.255`: no text of an address is longer.
    const LONGEST: usize = 45;

    fn of(address: IpAddr) -> Self {
        let mut bytes = [0; Self::LONGEST];
        let mut rest = bytes.as_mut_slice();
        let written = write!(rest, "{address}");
        debug_assert!(written.is_ok(), "every address has room");
        let length = Self::LONGEST - rest.len();
        Self { bytes, length }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// A value of bytes that were looked at.
fn printable(bytes: Vec<u8>) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(bytes)).expect("printable ASCII")
}

/// Bytes of what is kept of a received chain: 60 addresses and more. Who sends a longer one is
/// making mischief, and every origin behind us would have to read it.
const MAX_CHAIN: usize = 2048;

/// A name of 253 bytes (RFC 1035), a colon, a port.
const MAX_AUTHORITY: usize = 253 + 6;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

#[cfg(test)]
mod tests;
