//! Texts that values are made of.

use std::{io::Write, net::IpAddr};

use bytes::Bytes;
use http::HeaderValue;

/// An address as text, without an allocation of its own.
pub(super) struct AddressText {
    bytes: [u8; Self::LONGEST],
    length: usize,
}

impl AddressText {
    /// `0000:0000:0000:0000:0000:ffff:255.255.255.255`: no text of an address is longer.
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

/// A value of bytes that were looked at.
pub(super) fn printable(bytes: Vec<u8>) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(bytes)).expect("printable ASCII")
}

/// Bytes of what is kept of a received chain: 60 addresses and more. Who sends a longer one is
/// making mischief, and every origin behind us would have to read it.
pub(super) const MAX_CHAIN: usize = 2048;
