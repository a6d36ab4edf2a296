//! One entry of a table (RFC 7541 section 2.3).

use super::{FIELD_OVERHEAD, Name, Value};

/// A field in a table. Its name and its value are parsed already, so that an indexed field costs no more than two handles.
#[derive(Debug)]
pub(super) struct TableEntry {
    pub(super) name: Name,
    pub(super) value: Value,
    /// The length of the name as it was sent: a malformed one is not kept.
    pub(super) name_len: usize,
    /// The size as RFC 7541 section 4.1 has it.
    pub(super) size: usize,
}

impl TableEntry {
    /// Creates an entry from a name and a value that had that many octets when they were sent.
    pub(super) const fn new(name: Name, name_len: usize, value: Value, value_len: usize) -> Self {
        Self {
            name,
            value,
            name_len,
            size: name_len + value_len + FIELD_OVERHEAD,
        }
    }
}
