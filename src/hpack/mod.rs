//! HPACK (RFC 7541), the compression of HTTP/2 fields, for a server: it decodes requests, and encodes responses and the
//! requests of promises.

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

/// How much a field counts beyond its name and its value (RFC 7541 section 4.1).
const FIELD_OVERHEAD: usize = 32;

/// How large a dynamic table is before anything else is agreed on (RFC 9113 section 6.5.2).
const INITIAL_TABLE: usize = 4096;
