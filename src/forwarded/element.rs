//! Extends and checks `Forwarded` (RFC 7239): a list of elements, each with the pairs `for=`, `host=`, `proto=` of one
//! proxy. Pure.

use std::{io::Write, net::IpAddr};

use http::{HeaderValue, header::GetAll};

use super::text::{AddressText, MAX_CHAIN, printable};
use crate::peer::Scheme;

/// Returns the received elements with one more at their end.
///
/// If a received line violates RFC 7239 section 4, or all lines together exceed [`MAX_CHAIN`], all received elements
/// are dropped. An unclosed quote would make every later element, the new one too, part of a quoted string, and such a
/// list cannot be read from its end.
pub(super) fn append(
    received: Option<&GetAll<'_, HeaderValue>>,
    address: IpAddr,
    host: Option<&HeaderValue>,
    scheme: Scheme,
) -> HeaderValue {
    let lines = || received.into_iter().flat_map(GetAll::iter).map(HeaderValue::as_bytes);
    let length = lines().fold(0, |sum: usize, line| sum.saturating_add(line.len() + SEPARATOR.len()));
    let is_kept = length <= MAX_CHAIN && lines().all(is_well_formed);
    let host = host.map(HeaderValue::as_bytes);
    let room = if is_kept { length } else { 0 } + ROOM + host.map_or(0, <[u8]>::len);
    let mut value = Vec::with_capacity(room);
    for line in lines().filter(|line| is_kept && !line.trim_ascii().is_empty()) {
        value.extend_from_slice(line);
        value.extend_from_slice(SEPARATOR);
    }
    value.extend_from_slice(b"for=");
    let text = AddressText::of(address);
    match address {
        IpAddr::V4(_) => value.extend_from_slice(text.as_bytes()),
        IpAddr::V6(_) => value.extend([b"\"[", text.as_bytes(), b"]\""].concat()),
    }
    if let Some(host) = host {
        let quote: &[u8] = if host.iter().all(is_token) { b"" } else { b"\"" };
        value.extend([b";host=", quote, host, quote].concat());
    }
    // Writing to a Vec never fails.
    let _ = write!(value, ";proto={}", scheme.name());
    printable(value)
}

const SEPARATOR: &[u8] = b", ";

/// Bytes of the new element without its host, at most:
/// `for="[0000:0000:0000:0000:0000:ffff:255.255.255.255]";host="";proto=https` has 73.
const ROOM: usize = 80;

/// Returns whether a line is a list of `forwarded-element` (RFC 7239 section 4) in printable ASCII. White space around
/// `;` is accepted: examples in the RFC have it.
pub(super) fn is_well_formed(line: &[u8]) -> bool {
    let mut rest = skip_space(line);
    loop {
        if rest.first().is_some_and(is_token) {
            let Some(after) = after_pair(rest) else { return false };
            rest = skip_space(after);
        }
        match rest.split_first() {
            None => return true,
            Some((b',' | b';', after)) => rest = skip_space(after),
            Some(_) => return false,
        }
    }
}

/// Returns the text behind `token "=" ( token / quoted-string )`; `None` if the text does not begin so.
fn after_pair(pair: &[u8]) -> Option<&[u8]> {
    let value = skip_token(pair).strip_prefix(b"=")?;
    if let Some(quoted) = value.strip_prefix(b"\"") {
        return after_quoted(quoted);
    }
    value.first().filter(|b| is_token(b))?;
    Some(skip_token(value))
}

/// Returns the text behind the closing quote; `None` without one.
fn after_quoted(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        rest = match rest {
            [b'"', after @ ..] => return Some(after),
            [b'\\', b' '..=b'~', after @ ..] | [b' '..=b'~' | b'\t', after @ ..] => after,
            _ => return None,
        };
    }
}

fn skip_token(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|b| !is_token(b)).unwrap_or(text.len());
    text.get(end..).unwrap_or_default()
}

fn skip_space(text: &[u8]) -> &[u8] {
    text.trim_ascii_start()
}

/// Returns whether a byte is a `tchar` (RFC 9110 section 5.6.2).
fn is_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lists_by_rfc_7239_are_well_formed() {
        for good in [
            "",
            "for=192.0.2.43",
            "For=\"[2001:db8:cafe::17]:4711\"",
            "for=192.0.2.60;proto=http;by=203.0.113.43",
            "for=192.0.2.60; proto=http ; by=203.0.113.43",
            "for=192.0.2.43, for=198.51.100.17",
            "for=192.0.2.43,,for=unknown,",
            ";;for=_hidden;",
            "for=\"_a, for=b\";host=\"a\\\"b\"",
        ] {
            assert!(is_well_formed(good.as_bytes()), "{good}");
        }
        for bad in [
            "for",
            "for=",
            "=a",
            "for=[2001:db8::1]",
            "for=192.0.2.43:80",
            "for=\"",
            "for=\"a",
            "for=\"a\\",
            "for=\"a\\\"",
            "for=a b=c",
            "for=a for=b",
            "for=\"a\"b",
            "for =a",
            "for= a",
            "for=\"\u{e9}\"",
            "\"for\"=a",
            "for=a, 192.0.2.1:80",
        ] {
            assert!(!is_well_formed(bad.as_bytes()), "{bad}");
        }
    }
}
