//! Makes the fields that tell an origin about its request's client, and finds the client's address. Pure.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue, header};

use super::{
    chain, element,
    facts::{ForwardedFacts, is_authority},
    names::{X_FORWARDED_FOR, X_FORWARDED_PORT},
    text::AddressText,
};
use crate::peer::{Peer, Scheme};

/// Whether the origins of a route get `Forwarded` (RFC 7239) beside X-Forwarded-*.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ForwardedField {
    /// X-Forwarded-* only. A trusted peer's `Forwarded` is forwarded unchanged.
    #[default]
    Off,
    /// Both.
    On,
}

/// The fields for an origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// X-Forwarded-For.
    pub chain: HeaderValue,
    /// X-Forwarded-Proto: `http` or `https`.
    pub scheme: HeaderValue,
    /// X-Forwarded-Host; `None` if the request has no valid host.
    pub host: Option<HeaderValue>,
    /// X-Forwarded-Port.
    pub port: HeaderValue,
    /// `Forwarded`, if the route asks for it.
    pub forwarded: Option<HeaderValue>,
}

/// Returns the fields that the origin of a request gets.
#[must_use]
pub fn tell(facts: &ForwardedFacts<'_>, forwarded: ForwardedField) -> Told {
    // A listener on [::] sees IPv4 clients as ::ffff:192.0.2.1, which an origin's list of IPv4 networks would not
    // match.
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

/// Returns the client's address for logs and balancing: by X-Forwarded-For if the peer is trusted, else the peer's.
/// Origins get the whole chain.
#[must_use]
pub fn client(peer: &Peer, fields: &HeaderMap) -> IpAddr {
    let address = peer.address.ip().to_canonical();
    if !peer.is_trusted {
        return address;
    }
    chain::client(&fields.get_all(X_FORWARDED_FOR), &peer.trusted, address)
}

/// Returns the request's own authority as a value; shares the bytes of Host where both are equal.
fn own_host(facts: &ForwardedFacts<'_>) -> Option<HeaderValue> {
    if !is_authority(facts.authority.as_bytes()) {
        return None;
    }
    match facts.fields.get(header::HOST) {
        Some(host) if host.as_bytes() == facts.authority.as_bytes() => Some(host.clone()),
        _ => HeaderValue::from_str(facts.authority).ok(),
    }
}

/// Returns the port at the end of an authority.
fn port_of(authority: &[u8]) -> Option<u16> {
    let colon = authority.iter().rposition(|&b| b == b':')?;
    // A colon within an IPv6 address is no match: the text behind ends with a bracket, which is no digit.
    port_number(authority.get(colon + 1..)?)
}

/// Parses a port; 0 is none.
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
