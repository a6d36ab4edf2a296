//! X-Forwarded-For: a list of addresses, the nearest last.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderValue, header::GetAll};

use super::text::{MAX_CHAIN, printable};
use crate::peer::Trusted;

/// A received chain with one more address at its end.
///
/// Readers go from right to left, as far as they trust, so what stands left may be anything that a
/// client made up; it is kept, since some read `unknown` or ports there. From an element that is not
/// printable ASCII, or beyond [`MAX_CHAIN`], everything to the left is dropped: no reader that is
/// right comes so far.
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

/// Whom a trusted peer speaks for: the right-most address of its chain that is not trusted itself.
///
/// The chain may break off, with an element that is no address or because all are trusted: then it
/// is the last address before, the peer's own at least.
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

/// `192.0.2.1`, `2001:db8::1`, and with ports as some proxies write them; `[2001:db8::1]`.
fn address_of(element: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(element).ok()?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    bare.unwrap_or(text)
        .parse()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

const SEPARATOR: &[u8] = b", ";

/// The elements of all field lines in order; empty ones are none (RFC 9110 section 5.6.1).
fn elements<'h>(received: Option<&'h GetAll<'_, HeaderValue>>) -> impl DoubleEndedIterator<Item = &'h [u8]> {
    received
        .into_iter()
        .flat_map(GetAll::iter)
        .flat_map(|line| line.as_bytes().split(|&b| b == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}
