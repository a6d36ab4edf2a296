//! What origins are told of the client: X-Forwarded-For, -Proto, -Host, -Port, `Forwarded` (RFC
//! 7239). Pure.
//!
//! Of a peer that is not trusted, nothing is believed: all it says of clients is replaced, or
//! removed ([`is_foreign`]). What a trusted peer says is kept as far as it can be read, and its own
//! address is appended. `proxy` calls this for each request to an origin; [`Received`] takes what a
//! document's request said to the requests of its promises.

//!
//! Reading order: [`tell`], `chain` (a list of addresses), `element` (RFC 7239), [`is_foreign`],
//! [`Received`],
//! [`client()`] (whom a trusted peer speaks for).

mod chain;
mod element;
mod received;

use std::{io::Write, net::IpAddr};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self, GetAll},
};

pub use received::Received;

use super::{Peer, Scheme};

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

/// Whether a field must not reach origins from such a peer, because they would take it for ours.
///
/// From a client: X-Forwarded-*, Forwarded, and what other proxies say of clients in fields of
/// their own. From anybody: these names with underscores, which CGI, WSGI and PHP read as the same
/// (`X_Forwarded_For` and `X-Forwarded-For` are both `HTTP_X_FORWARDED_FOR`).
#[must_use]
pub fn is_foreign(name: &str, trust: Trust) -> bool {
    match trust {
        Trust::Untrusted => is_of_family(name),
        Trust::Trusted => name.contains('_') && is_of_family(name),
    }
}

/// Hands over what the fields of a trusted peer say of the URL that its client asked for, line by line: an
/// origin may answer by it, so it belongs to what an answer is kept under. `false` if they say it together
/// with who asks, in `Forwarded`.
#[must_use]
pub fn told_of_url(fields: &HeaderMap, tell: &mut dyn FnMut(&HeaderName, &HeaderValue)) -> bool {
    for (name, value) in fields {
        let text = name.as_str();
        let is_of_url = starts(text, "x-forwarded") && *name != X_FORWARDED_FOR
            || OF_THE_URL.contains(&text)
            || is_of_another_url(text);
        if is_of_url {
            tell(name, value);
        } else if *name == header::FORWARDED {
            let value = value.as_bytes().to_ascii_lowercase();
            if [&b"host"[..], b"proto"]
                .iter()
                .any(|word| value.windows(word.len()).any(|part| part == *word))
            {
                return false;
            }
        }
    }
    true
}

/// Whether the fields ask for another URL than the request does: an origin that heeds them answers for a URL that is not the one
/// which is matched, learned of and stored.
#[must_use]
pub fn tell_another_url(fields: &HeaderMap) -> bool {
    fields.keys().any(|name| is_of_another_url(name.as_str()))
}

/// Those of [`FAMILY`] that say nothing of the client.
const OF_THE_URL: [&str; 3] = ["x-url-scheme", "x-scheme", "front-end-https"];

/// Whether a field speaks of the client on whose behalf a request is made, or of the URL that it is for. `name` is in lower
/// case.
fn is_of_family(name: &str) -> bool {
    starts(name, "x-forwarded") || is_one_of(name, &FAMILY) || is_of_another_url(name)
}

fn is_of_another_url(name: &str) -> bool {
    is_one_of(name, &OF_ANOTHER_URL)
}

/// Underscores count as hyphens.
fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|of| name.len() == of.len() && starts(name, of))
}

fn starts(name: &str, with: &str) -> bool {
    name.len() >= with.len()
        && name
            .bytes()
            .zip(with.bytes())
            .all(|(byte, of)| byte == of || (byte == b'_' && of == b'-'))
}

/// Fields that proxies and applications take for the client's address, scheme or URL, apart from
/// X-Forwarded-*.
const FAMILY: [&str; 22] = [
    "forwarded",
    "forwarded-for",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "x-originating-ip",
    "x-remote-ip",
    "x-remote-addr",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
    "client-ip",
    "x-true-client-ip",
    "wl-proxy-client-ip",
    "proxy-client-ip",
    "x-azure-clientip",
    "x-envoy-external-address",
    // CGI makes HTTP_PROXY of it, which libraries take for the proxy that they are to use.
    "proxy",
    "x-url-scheme",
    "x-scheme",
    "front-end-https",
];

/// Fields by which applications and their servers are asked for another URL: Symfony, Zend and IIS (X-Original-URL,
/// X-Rewrite-URL), Django and ASP.NET behind rewriting servers, Envoy, Next.js (x-middleware-subrequest leaves out its middleware).
const OF_ANOTHER_URL: [&str; 12] = [
    "x-original-url",
    "x-rewrite-url",
    "x-original-uri",
    "x-rewrite-uri",
    "x-original-host",
    "x-host",
    "x-http-host-override",
    "x-host-override",
    "x-proxy-url",
    "x-envoy-original-path",
    "x-envoy-original-host",
    "x-middleware-subrequest",
];

#[cfg(test)]
mod tests;
