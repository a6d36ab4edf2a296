//! The tables of a decoder (RFC 7541 section 2.3).

use std::collections::VecDeque;

use super::INITIAL_TABLE;
use super::entry::TableEntry;
use super::static_table::STATIC_TABLE;

/// The dynamic table of a decoder, in front of which is the static one.
#[derive(Debug)]
pub(super) struct Table {
    /// The newest entry is the first.
    entries: VecDeque<TableEntry>,
    size: usize,
    max_size: usize,
}

impl Table {
    /// Creates an empty table of the size that both ends begin with.
    pub(super) fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            size: 0,
            max_size: INITIAL_TABLE,
        }
    }

    /// Returns the entry of an index, which counts from 1.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<&TableEntry> {
        let at = index.wrapping_sub(1);
        STATIC_TABLE
            .get(at)
            .or_else(|| self.entries.get(at.wrapping_sub(STATIC_TABLE.len())))
    }

    /// Tells whether an entry of this size fits.
    pub(super) fn fits(&self, size: usize) -> bool {
        size <= self.max_size
    }

    /// Makes room for an entry, which may leave no other.
    pub(super) fn make_room(&mut self, size: usize) {
        self.evict(self.max_size.saturating_sub(size));
    }

    /// Adds an entry, for which there is room.
    pub(super) fn push(&mut self, entry: TableEntry) {
        self.size += entry.size;
        self.entries.push_front(entry);
    }

    /// Resizes the table.
    pub(super) fn resize(&mut self, max_size: usize) {
        self.max_size = max_size;
        self.evict(max_size);
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
    }

    /// Returns the names and values in the dynamic table, and its size.
    #[cfg(test)]
    pub(super) fn contents(&self) -> (Vec<(String, Vec<u8>)>, usize) {
        use super::tests::{name_text, value_text};
        (
            self.entries
                .iter()
                .map(|entry| (name_text(&entry.name), value_text(&entry.value)))
                .collect(),
            self.size,
        )
    }

    /// Evicts the oldest entries until no more than that is left.
    fn evict(&mut self, left: usize) {
        while self.size > left {
            let Some(oldest) = self.entries.pop_back() else { return };
            self.size -= oldest.size;
        }
    }
}
