//! Decodes header blocks into fields (RFC 7541 sections 3 and 6).

use super::field::{FieldSink, Name, Value};
use super::{FIELD_OVERHEAD, huffman, integer};
use super::{entry::TableEntry, table::Table};

/// Octets on the stack for the Huffman strings of one field; longer strings are decoded on the heap.
const SCRATCH: usize = 256;

/// Why a block cannot be decoded: a COMPRESSION_ERROR of the connection, since the tables of both ends no longer agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// The block ends inside a field.
    #[error("the header block ends inside a field")]
    Truncated,
    /// An integer has more octets than any size of a table or a block needs.
    #[error("an integer in the header block is too large")]
    Integer,
    /// An index is 0, or past the end of the dynamic table.
    #[error("the header block refers to an entry that no table has")]
    Index,
    /// A Huffman string contains EOS, or ends in bad padding.
    #[error("a Huffman string in the header block is broken")]
    Huffman,
    /// A size update asks for a larger table than the server has announced.
    #[error("the header block resizes the dynamic table above its limit")]
    TableSize,
    /// A size update follows a field.
    #[error("the header block resizes the dynamic table after a field")]
    LateTableSize,
}

/// A decoder of one connection's blocks, in the order in which the client sent them.
#[derive(Debug)]
pub(crate) struct Decoder {
    table: Table,
    max_table_size: usize,
}

/// A string literal as the client sent it (RFC 7541 section 5.2).
#[derive(Clone, Copy)]
struct Text<'a> {
    octets: &'a [u8],
    huffman: bool,
}

/// The name of a literal: an entry of a table, or octets of the block.
enum LiteralName<'a> {
    Entry(&'a TableEntry),
    Octets(&'a [u8]),
}

impl Decoder {
    /// Creates a decoder whose client may set the dynamic table to `max_table_size` octets at most, the
    /// SETTINGS_HEADER_TABLE_SIZE that the server announces. The table has 4,096 octets until the client sets another
    /// size: the client need not know the setting yet. The first entry is the first allocation.
    pub(crate) fn new(max_table_size: usize) -> Self {
        Self {
            table: Table::new(),
            max_table_size,
        }
    }

    /// Decodes a complete block and hands its fields to a sink.
    pub(crate) fn decode(&mut self, block: &[u8], sink: &mut impl FieldSink) -> Result<(), DecodeError> {
        let mut rest = self.size_updates(block)?;
        while let Some((&first, after)) = rest.split_first() {
            rest = after;
            if first & 0x80 != 0 {
                let index = integer::decode(first, 0x7f, &mut rest)?;
                let entry = self.table.get(index).ok_or(DecodeError::Index)?;
                if sink.admit(entry.size) {
                    sink.field(entry.name.clone(), entry.value.clone());
                }
            } else {
                self.literal(first, &mut rest, sink)?;
            }
        }
        Ok(())
    }

    /// Returns the tables.
    #[cfg(test)]
    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// Applies the size updates at the beginning of a block, and returns the rest of the block.
    fn size_updates<'a>(&mut self, block: &'a [u8]) -> Result<&'a [u8], DecodeError> {
        let mut rest = block;
        while let Some((&first, mut after)) = rest.split_first()
            && first & 0xe0 == 0x20
        {
            let size = integer::decode(first, 0x1f, &mut after)?;
            if size > self.max_table_size {
                return Err(DecodeError::TableSize);
            }
            self.table.resize(size);
            rest = after;
        }
        Ok(rest)
    }

    /// Decodes a literal whose first octet has been read.
    fn literal(&mut self, first: u8, rest: &mut &[u8], sink: &mut impl FieldSink) -> Result<(), DecodeError> {
        let (indexed, mask) = match first {
            0x40.. => (true, 0x3f),
            0x20.. => return Err(DecodeError::LateTableSize),
            _ => (false, 0x0f),
        };
        let index = integer::decode(first, mask, rest)?;
        let name = if index == 0 {
            Text::take(rest)?
        } else {
            Text {
                octets: &[],
                huffman: false,
            }
        };
        let value = Text::take(rest)?;

        let room = name.room() + value.room();
        let mut on_stack = [0; SCRATCH];
        let mut on_heap;
        let scratch = if room <= SCRATCH {
            on_stack.as_mut_slice()
        } else {
            on_heap = vec![0; room];
            on_heap.as_mut_slice()
        };
        let (name_room, value_room) = scratch.split_at_mut_checked(name.room()).ok_or(DecodeError::Huffman)?;
        let value = value.decode(value_room)?;
        let (literal_name, name_len) = if index == 0 {
            let name = name.decode(name_room)?;
            (LiteralName::Octets(name), name.len())
        } else {
            let entry = self.table.get(index).ok_or(DecodeError::Index)?;
            (LiteralName::Entry(entry), entry.name_len)
        };

        let size = name_len + value.len() + FIELD_OVERHEAD;
        let wanted = sink.admit(size);
        let inserted = indexed && self.table.fits(size);
        if wanted || inserted {
            let name = match literal_name {
                LiteralName::Entry(entry) => entry.name.clone(),
                LiteralName::Octets(name) => Name::parse(name),
            };
            let mut parsed = Value::parse(&name, value, inserted);
            if inserted {
                self.table.make_room(size);
                if wanted {
                    sink.field(name.clone(), parsed.clone());
                }
                self.table.push(TableEntry::new(name, name_len, parsed, value.len()));
                return Ok(());
            }
            if first & 0x10 != 0 && !indexed {
                parsed.set_sensitive();
            }
            sink.field(name, parsed);
        }
        if indexed {
            self.table.make_room(size);
        }
        Ok(())
    }
}

impl<'a> Text<'a> {
    /// Reads a string literal from the beginning of `rest`.
    fn take(rest: &mut &'a [u8]) -> Result<Self, DecodeError> {
        let (&first, after) = rest.split_first().ok_or(DecodeError::Truncated)?;
        *rest = after;
        let length = integer::decode(first, 0x7f, rest)?;
        let (octets, after) = rest.split_at_checked(length).ok_or(DecodeError::Truncated)?;
        *rest = after;
        Ok(Self {
            octets,
            huffman: first & 0x80 != 0,
        })
    }

    /// Returns how many octets of scratch space [`Self::decode`] needs.
    fn room(self) -> usize {
        if self.huffman {
            huffman::room(self.octets.len())
        } else {
            0
        }
    }

    /// Returns the plain string: in `scratch` if it was Huffman-encoded, else in the block.
    fn decode(self, scratch: &'a mut [u8]) -> Result<&'a [u8], DecodeError> {
        if !self.huffman {
            return Ok(self.octets);
        }
        let length = huffman::decode(self.octets, scratch).ok_or(DecodeError::Huffman)?;
        scratch.get(..length).ok_or(DecodeError::Huffman)
    }
}
