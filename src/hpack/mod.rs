//! Decodes and encodes header blocks (HPACK, RFC 7541) for a server: requests are decoded, responses and the requests
//! of promises are encoded.
//!
//! Reading order: `integer` and `huffman` (primitives), `field` (decoded names and values), `entry` and `static_table`
//! (shared by both directions), `table` and `decode`, `recent` and `encode`.

mod decode;
mod encode;
mod entry;
mod field;
mod huffman;
mod integer;
mod recent;
mod static_table;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use decode::{DecodeError, Decoder};
pub(crate) use encode::{Encoder, PseudoName};
pub(crate) use field::{FieldSink, Name, Value};

/// Octets that a field counts beyond its name and value (RFC 7541 section 4.1).
const FIELD_OVERHEAD: usize = 32;

/// Octets of a dynamic table before SETTINGS change its size (RFC 9113 section 6.5.2).
const INITIAL_TABLE: usize = 4096;
