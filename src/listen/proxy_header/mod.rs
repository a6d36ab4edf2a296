//! Parses the PROXY header before a connection: versions 1 and 2 of HAProxy's PROXY protocol. Pure.
//!
//! The `ppp` crate parses whole headers. This file finds where a header ends, gives the crate exactly those bytes, and
//! checks what the crate accepts too loosely. `accept/handshake` reads the bytes and acts on the result.
//!
//! The CRC32C of a version 2 header is not checked: the `ppp` crate does not implement it, the specification lets a
//! receiver ignore it, and TCP has a checksum of its own.

use std::net::SocketAddr;

use ppp::{v1, v2};

use crate::peer::{Scheme, canonical};

/// The facts in a header. All are `None` for LOCAL, UNKNOWN and UNSPEC: then the sender of the header is the client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ProxyHeader {
    /// The client's address.
    pub(super) client: Option<SocketAddr>,
    /// The client's scheme, if a TLV tells.
    pub(super) scheme: Option<Scheme>,
    /// The ALPN protocol of the client's TLS connection to the terminator.
    pub(super) alpn: Option<Box<[u8]>>,
}

/// Why a header is missing or cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum HeaderError {
    /// The bytes begin like neither version.
    #[error("no PROXY header")]
    Missing,
    /// Version 1 without a line end within [`MAX_V1`] bytes.
    #[error("PROXY header longer than {MAX_V1} bytes")]
    TooLong,
    /// Version 1, otherwise malformed.
    #[error("malformed PROXY header: {0}")]
    V1(Box<str>),
    /// Version 2, with more than [`MAX_V2`] bytes behind its first 16.
    #[error("PROXY header of {0} bytes, more than {MAX_V2}")]
    TooLarge(usize),
    /// Version 2, otherwise malformed.
    #[error("malformed PROXY header: {0}")]
    V2(Box<str>),
    /// Version 2 for UDP, which no TCP connection carries.
    #[error("PROXY header of a datagram")]
    Datagram,
    /// The TLV about TLS is too short for its own fields.
    #[error("malformed TLS TLV in a PROXY header")]
    ShortSsl,
}

/// Most bytes of a version 1 header, with its line end; set by the specification.
pub(super) const MAX_V1: usize = 107;
/// Most bytes of a version 2 header behind its first 16. The longest addresses (Unix sockets) take 216; the rest is for
/// TLVs, of which a client's certificate is the longest that terminators send.
pub(super) const MAX_V2: usize = 8 * 1024;

const V1_START: &[u8] = b"PROXY ";
const V1_UNKNOWN: &[u8] = b"PROXY UNKNOWN ";
/// Bytes of a version 2 header before the addresses: signature 12, command 1, family 1, length 2.
const V2_FIXED: usize = 16;
/// Version 2, command LOCAL.
const V2_LOCAL: u8 = 0x20;
/// The bit of an SSL TLV for a client that came over TLS.
const CLIENT_SSL: u8 = 0x01;
/// Bytes of an SSL TLV before its sub-TLVs: flags 1, verification result 4.
const SSL_FIXED: usize = 5;

/// Parses the header at the beginning of a connection; returns it and its length, or `None` if more bytes are needed.
///
/// # Errors
///
/// The bytes begin with no header, or with a malformed one.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, HeaderError> {
    if begins(bytes, v2::PROTOCOL_PREFIX) {
        return parse_v2(bytes);
    }
    if begins(bytes, V1_START) {
        return parse_v1(bytes);
    }
    Err(HeaderError::Missing)
}

/// Returns whether the bytes begin with `with`, or may do so once more have arrived.
fn begins(bytes: &[u8], with: &[u8]) -> bool {
    bytes.starts_with(with) || with.starts_with(bytes)
}

fn parse_v1(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, HeaderError> {
    let within = bytes.get(..MAX_V1).unwrap_or(bytes);
    let Some(end) = within.windows(2).position(|pair| pair == b"\r\n") else {
        let is_full = within.len() == MAX_V1;
        return if is_full { Err(HeaderError::TooLong) } else { Ok(None) };
    };
    let length = end + 2;
    let header = within.get(..length).unwrap_or_default();
    if header.starts_with(V1_UNKNOWN) {
        // The specification has the rest of the line ignored; the crate would parse it as addresses.
        return Ok(Some((ProxyHeader::default(), length)));
    }
    let malformed = |reason: String| HeaderError::V1(reason.into());
    // The crate parses ports with `str::parse`, which accepts a sign.
    if header.contains(&b'+') {
        return Err(malformed("a number with a sign".to_owned()));
    }
    let parsed = v1::Header::try_from(header).map_err(|e| malformed(e.to_string()))?;
    let client = match parsed.addresses {
        v1::Addresses::Tcp4(ends) => Some(SocketAddr::from((ends.source_address, ends.source_port))),
        v1::Addresses::Tcp6(ends) => Some(SocketAddr::from((ends.source_address, ends.source_port))),
        v1::Addresses::Unknown => None,
    };
    let facts = ProxyHeader {
        client: client.map(canonical),
        ..ProxyHeader::default()
    };
    Ok(Some((facts, length)))
}

fn parse_v2(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, HeaderError> {
    let Some(fixed) = bytes.first_chunk::<V2_FIXED>() else {
        return Ok(None);
    };
    let [.., command, _, high, low] = *fixed;
    let block = usize::from(u16::from_be_bytes([high, low]));
    if block > MAX_V2 {
        return Err(HeaderError::TooLarge(block));
    }
    let length = V2_FIXED + block;
    let Some(header) = bytes.get(..length) else {
        return Ok(None);
    };
    if command == V2_LOCAL {
        // The specification has the rest of a LOCAL header ignored.
        return Ok(Some((ProxyHeader::default(), length)));
    }
    let parsed = v2::Header::try_from(header).map_err(|e| HeaderError::V2(e.to_string().into()))?;
    let client = match (parsed.protocol, parsed.addresses) {
        (v2::Protocol::Datagram, _) => return Err(HeaderError::Datagram),
        (v2::Protocol::Unspecified, _) | (_, v2::Addresses::Unspecified) => {
            return Ok(Some((ProxyHeader::default(), length)));
        }
        (v2::Protocol::Stream, v2::Addresses::IPv4(ends)) => {
            Some(SocketAddr::from((ends.source_address, ends.source_port)))
        }
        (v2::Protocol::Stream, v2::Addresses::IPv6(ends)) => {
            Some(SocketAddr::from((ends.source_address, ends.source_port)))
        }
        // A client without an IP address; its TLVs count all the same.
        (v2::Protocol::Stream, v2::Addresses::Unix(_)) => None,
    };
    let (scheme, alpn) = tlvs(parsed.tlvs())?;
    let facts = ProxyHeader {
        client: client.map(canonical),
        scheme,
        alpn,
    };
    Ok(Some((facts, length)))
}

type HeaderTls = (Option<Scheme>, Option<Box<[u8]>>);

/// Returns the scheme and the ALPN protocol in the TLVs. Every TLV is parsed, so that a malformed one is an error.
fn tlvs(tlvs: v2::TypeLengthValues<'_>) -> Result<HeaderTls, HeaderError> {
    let (mut scheme, mut alpn) = (None, None);
    for tlv in tlvs {
        let tlv = tlv.map_err(|e| HeaderError::V2(e.to_string().into()))?;
        if tlv.kind == u8::from(v2::Type::SSL) {
            let fixed = tlv.value.get(..SSL_FIXED).and_then(|fixed| fixed.first());
            let flags = fixed.ok_or(HeaderError::ShortSsl)?;
            scheme = Some(match flags & CLIENT_SSL {
                0 => Scheme::Http,
                _ => Scheme::Https,
            });
        } else if tlv.kind == u8::from(v2::Type::ALPN) {
            alpn = Some(tlv.value.into_owned().into());
        }
    }
    Ok((scheme, alpn))
}

#[cfg(test)]
mod tests;
