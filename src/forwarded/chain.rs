//! Extends and reads X-Forwarded-For: a list of addresses, the nearest last. Pure.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderValue, header::GetAll};

use super::text::{MAX_CHAIN, printable};
use crate::peer::Trusted;

/// Returns the received chain with one more address at its end.
///
/// Correct readers go from right to left and stop at the first address that they do not trust, so the left part may be
/// invented by a client. It stays, even where an element is no address: some proxies write `unknown` or ports. An
/// element with other bytes than printable ASCII is dropped with everything to its left, and so is everything beyond
/// [`MAX_CHAIN`].
pub(super) fn append(received: Option<&GetAll<'_, HeaderValue>>, address: &[u8]) -> HeaderValue {
    let (mut kept, mut length) = (0, 0);
    for element in elements(received).rev() {
        if !element.iter().all(u8::is_ascii_graphic) || length + element.len() + SEPARATOR.len() > MAX_CHAIN {
            break;
        }
        kept += 1;
        length += element.len() + SEPARATOR.len();
    }
    if kept == 0 {
        return HeaderValue::from_bytes(address).expect("an address is printable ASCII");
    }
    let dropped = elements(received).count() - kept;
    let mut chain = Vec::with_capacity(length + address.len());
    for element in elements(received).skip(dropped) {
        chain.extend_from_slice(element);
        chain.extend_from_slice(SEPARATOR);
    }
    chain.extend_from_slice(address);
    printable(chain)
}

/// Returns the client of a trusted peer: the right-most address of its chain that is not trusted itself.
///
/// If an element is no address, or all addresses are trusted, returns the last trusted address before; without any, the
/// peer's own.
pub(super) fn client(received: &GetAll<'_, HeaderValue>, trusted: &Trusted, peer: IpAddr) -> IpAddr {
    let mut nearest = peer;
    for element in elements(Some(received)).rev() {
        let Some(address) = address_of(element) else { break };
        nearest = address.to_canonical();
        if !trusted.contains(nearest) {
            break;
        }
    }
    nearest
}

/// Parses `192.0.2.1`, `2001:db8::1` or `[2001:db8::1]`, the first and last also with a port, as some proxies write
/// them.
fn address_of(element: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(element).ok()?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    bare.unwrap_or(text)
        .parse()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

const SEPARATOR: &[u8] = b", ";

/// Yields the elements of all field lines in order, without empty ones (RFC 9110 section 5.6.1).
fn elements<'h>(received: Option<&'h GetAll<'_, HeaderValue>>) -> impl DoubleEndedIterator<Item = &'h [u8]> {
    received
        .into_iter()
        .flat_map(GetAll::iter)
        .flat_map(|line| line.as_bytes().split(|&b| b == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}
