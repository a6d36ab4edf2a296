//! Makes the text of addresses, and values of checked bytes. Pure.

use std::{io::Write, net::IpAddr};

use bytes::Bytes;
use http::HeaderValue;

/// An address as text, without an allocation of its own.
pub(super) struct AddressText {
    bytes: [u8; Self::LONGEST],
    length: usize,
}

impl AddressText {
    /// Bytes of the longest address: `0000:0000:0000:0000:0000:ffff:255.255.255.255`.
    const LONGEST: usize = 45;

    pub(super) fn of(address: IpAddr) -> Self {
        let mut bytes = [0; Self::LONGEST];
        let mut rest = bytes.as_mut_slice();
        let written = write!(rest, "{address}");
        debug_assert!(written.is_ok(), "every address has room");
        let length = Self::LONGEST - rest.len();
        Self { bytes, length }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// Returns a value of bytes that are known to be printable ASCII.
pub(super) fn printable(bytes: Vec<u8>) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(bytes)).expect("printable ASCII")
}

/// Most bytes of a received chain that are forwarded: 120 IPv4 addresses, or 49 IPv6 addresses of full length. No
/// honest chain is longer, and every origin would have to parse it.
pub(super) const MAX_CHAIN: usize = 2048;
