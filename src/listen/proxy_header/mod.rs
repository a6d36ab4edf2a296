//! The PROXY header before a connection: versions 1 and 2 of HAProxy's PROXY protocol. Pure.
//!
//! The `ppp` crate parses; here it is told where a header ends, so that it sees whole ones only and
//! nothing behind them, and what it lets pass is judged. `handshake` reads, and acts.
//!
//! Not checked: the CRC32C that a version 2 header may carry (the `ppp` crate does not know how to;
//! the specification lets a receiver ignore it, and TCP has a checksum of its own).

use std::net::SocketAddr;

use ppp::{v1, v2};

use crate::peer::{Scheme, canonical};

/// What a header tells. All `None` if it speaks for nobody (LOCAL, UNKNOWN, UNSPEC): then the
/// connection is its sender's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ProxyHeader {
    /// The client's address.
    pub(super) client: Option<SocketAddr>,
    /// What the client spoke, if a TLV says so.
    pub(super) scheme: Option<Scheme>,
    /// The protocol that TLS agreed on in front of us.
    pub(super) alpn: Option<Box<[u8]>>,
}

/// Why bytes are no header that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum HeaderError {
    /// They begin like neither version.
    #[error("no PROXY header")]
    Missing,
    /// Version 1 without its line end in time.
    #[error("PROXY header longer than {MAX_V1} bytes")]
    TooLong,
    /// Version 1, otherwise.
    #[error("malformed PROXY header: {0}")]
    V1(Box<str>),
    /// A version 2 header that is longer than any that is known.
    #[error("PROXY header of {0} bytes, more than {MAX_V2}")]
    TooLarge(usize),
    /// Version 2, otherwise.
    #[error("malformed PROXY header: {0}")]
    V2(Box<str>),
    /// Version 2 for UDP, which no TCP connection carries.
    #[error("PROXY header of a datagram")]
    Datagram,
    /// The TLV about TLS is too short for its own fields.
    #[error("malformed TLS TLV in a PROXY header")]
    ShortSsl,
}

/// The longest header of version 1, with its line end.
pub(super) const MAX_V1: usize = 107;
/// The most of version 2 behind its first 16 bytes: the longest address takes 216, and a client's
/// certificate is the longest TLV that terminators send.
pub(super) const MAX_V2: usize = 8 * 1024;

const V1_START: &[u8] = b"PROXY ";
const V1_UNKNOWN: &[u8] = b"PROXY UNKNOWN ";
const V2_FIXED: usize = 16;
/// Version 2, command LOCAL.
const V2_LOCAL: u8 = 0x20;
/// The bit of an SSL TLV that says that the client came over TLS, and the length of its fixed part.
const CLIENT_SSL: u8 = 0x01;
const SSL_FIXED: usize = 5;

/// What the bytes of a connection begin with: a whole header and its length, or `None` if more must
/// be read.
///
/// # Errors
///
/// They begin with no header, or with a malformed one.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, HeaderError> {
    if begins(bytes, v2::PROTOCOL_PREFIX) {
        return parse_v2(bytes);
    }
    if begins(bytes, V1_START) {
        return parse_v1(bytes);
    }
    Err(HeaderError::Missing)
}

/// Whether the bytes begin with these, as far as they go.
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
        // Whatever else the line says is to be ignored; the crate reads five words of it.
        return Ok(Some((ProxyHeader::default(), length)));
    }
    let malformed = |reason: String| HeaderError::V1(reason.into());
    // Numbers of Rust's may have a sign.
    if header.contains(&b'+') {
        return Err(malformed("a number with a sign".to_owned()));
    }
    let parsed = v1::Header::try_from(header).map_err(|e| malformed(e.to_string()))?;
    let client = match parsed.addresses {
        v1::Addresses::Tcp4(ends) => Some(SocketAddr::from((ends.source_address, ends.source_port))),
        v1::Addresses::Tcp6(ends) => Some(SocketAddr::from((ends.source_address, ends.source_port))),
        v1::Addresses::Unknown => None,
    };
    let told = ProxyHeader {
        client: client.map(canonical),
        ..ProxyHeader::default()
    };
    Ok(Some((told, length)))
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
        // The rest is to be skipped, whatever it is.
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
        // A client without an IP address; what it spoke is told all the same.
        (v2::Protocol::Stream, v2::Addresses::Unix(_)) => None,
    };
    let (scheme, alpn) = tlvs(parsed.tlvs())?;
    let told = ProxyHeader {
        client: client.map(canonical),
        scheme,
        alpn,
    };
    Ok(Some((told, length)))
}

type HeaderTls = (Option<Scheme>, Option<Box<[u8]>>);

/// What TLVs tell of the client's TLS. All are read, so that a broken one is not passed over.
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
