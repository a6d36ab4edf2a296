//! Holds one entry of a static or dynamic table (RFC 7541 section 2.3).

use super::{FIELD_OVERHEAD, Name, Value};

/// A field in a table. Its name and value are already parsed, so that an indexed field costs two cloned handles.
#[derive(Debug)]
pub(super) struct TableEntry {
    pub(super) name: Name,
    pub(super) value: Value,
    /// Octets of the name as the client sent it: [`Name::Malformed`] does not hold them.
    pub(super) name_len: usize,
    /// The size by RFC 7541 section 4.1, octets.
    pub(super) size: usize,
}

impl TableEntry {
    /// Creates an entry from a name and a value, and their lengths in octets as sent.
    pub(super) const fn new(name: Name, name_len: usize, value: Value, value_len: usize) -> Self {
        Self {
            name,
            value,
            name_len,
            size: name_len + value_len + FIELD_OVERHEAD,
        }
    }
}
