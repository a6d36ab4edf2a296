//! Holds the tables of a decoder (RFC 7541 sections 2.3 and 4).

use std::collections::VecDeque;

use super::INITIAL_TABLE;
use super::entry::TableEntry;
use super::static_table::STATIC_TABLE;

/// The dynamic table of a decoder; its indices follow those of the static table.
#[derive(Debug)]
pub(super) struct Table {
    /// The newest entry is the first.
    entries: VecDeque<TableEntry>,
    size: usize,
    max_size: usize,
}

impl Table {
    /// Creates an empty table of the initial size, [`INITIAL_TABLE`].
    pub(super) fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            size: 0,
            max_size: INITIAL_TABLE,
        }
    }

    /// Returns the entry of an index of either table, from 1.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<&TableEntry> {
        let at = index.wrapping_sub(1);
        STATIC_TABLE
            .get(at)
            .or_else(|| self.entries.get(at.wrapping_sub(STATIC_TABLE.len())))
    }

    /// Returns whether an entry of this size fits into the empty table.
    pub(super) fn fits(&self, size: usize) -> bool {
        size <= self.max_size
    }

    /// Evicts entries until an entry of this size fits, or none is left.
    pub(super) fn make_room(&mut self, size: usize) {
        self.evict(self.max_size.saturating_sub(size));
    }

    /// Adds an entry for which [`Self::make_room`] was called.
    pub(super) fn push(&mut self, entry: TableEntry) {
        self.size += entry.size;
        self.entries.push_front(entry);
    }

    /// Changes the maximum size, and evicts entries beyond it.
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

    /// Evicts the oldest entries until the rest takes `limit` octets at most.
    fn evict(&mut self, limit: usize) {
        while self.size > limit {
            let Some(oldest) = self.entries.pop_back() else { return };
            self.size -= oldest.size;
        }
    }
}
