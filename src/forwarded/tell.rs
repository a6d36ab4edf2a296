//! The fields that tell an origin of its request's client.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue, header};

use super::{
    chain, element,
    facts::{ForwardedFacts, is_authority},
    names::{X_FORWARDED_FOR, X_FORWARDED_PORT},
    text::AddressText,
};
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

/// What the origin of a request is told.
#[must_use]
pub fn tell(facts: &ForwardedFacts<'_>, forwarded: ForwardedField) -> Told {
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

/// The request's own authority; the Host field shares its bytes.
fn own_host(facts: &ForwardedFacts<'_>) -> Option<HeaderValue> {
    if !is_authority(facts.authority.as_bytes()) {
        return None;
    }
    match facts.fields.get(header::HOST) {
        Some(host) if host.as_bytes() == facts.authority.as_bytes() => Some(host.clone()),
        _ => HeaderValue::from_str(facts.authority).ok(),
    }
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
