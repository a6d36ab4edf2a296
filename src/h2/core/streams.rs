//! Holds the streams of a connection, to be found by key (in one step) or by stream identifier (in a binary search).

use std::collections::VecDeque;

use super::stream::StreamEntry;

/// The name of a stream for its owner. The key of a removed stream finds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::h2) struct Key {
    index: u32,
    id: u32,
}

impl Key {
    /// The stream identifier.
    pub(in crate::h2) const fn id(self) -> u32 {
        self.id
    }
}

#[derive(Debug)]
pub(super) struct Streams<T> {
    slots: Vec<Option<Box<StreamEntry<T>>>>,
    free: Vec<u32>,
    /// Streams that the client opened. Identifiers grow, so this list and the next one are sorted.
    requested: VecDeque<Key>,
    promised: VecDeque<Key>,
}

impl<T> Default for Streams<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            requested: VecDeque::new(),
            promised: VecDeque::new(),
        }
    }
}

/// Capacity of `slots` above which the memory of all lists is freed when the last stream is removed.
const MAX_KEPT_SLOTS: usize = 32;

impl<T> Streams<T> {
    pub(super) fn len(&self) -> usize {
        self.requested.len() + self.promised.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of streams that the client opened.
    pub(super) fn requested(&self) -> usize {
        self.requested.len()
    }

    /// Returns the number of promised streams, reserved and open ones.
    pub(super) fn promised(&self) -> usize {
        self.promised.len()
    }

    /// Adds a stream, whose identifier must be the highest of all requested or of all promised streams so far.
    pub(super) fn insert(&mut self, stream: StreamEntry<T>) -> Key {
        let id = stream.id;
        let free = self.free.pop();
        let index = free.unwrap_or_else(|| u32::try_from(self.slots.len()).unwrap_or(u32::MAX));
        let stream = Some(Box::new(stream));
        match self.slots.get_mut(index as usize) {
            Some(slot) => *slot = stream,
            None => self.slots.push(stream),
        }
        let key = Key { index, id };
        self.list(id).push_back(key);
        key
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<Box<StreamEntry<T>>> {
        let slot = self.slots.get_mut(key.index as usize)?;
        slot.as_ref().filter(|stream| stream.id == key.id)?;
        let stream = slot.take();
        self.free.push(key.index);
        let list = self.list(key.id);
        // Most often the oldest stream ends first.
        if list.front() == Some(&key) {
            list.pop_front();
        } else if let Ok(at) = list.binary_search_by_key(&key.id, |key| key.id) {
            list.remove(at);
        }
        if self.is_empty() && self.slots.capacity() > MAX_KEPT_SLOTS {
            *self = Self::default();
        }
        stream
    }

    pub(super) fn get(&self, key: Key) -> Option<&StreamEntry<T>> {
        let stream = self.slots.get(key.index as usize)?.as_deref()?;
        Some(stream).filter(|stream| stream.id == key.id)
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut StreamEntry<T>> {
        let stream = self.slots.get_mut(key.index as usize)?.as_deref_mut()?;
        Some(stream).filter(|stream| stream.id == key.id)
    }

    /// Finds a stream by its identifier.
    pub(super) fn find(&self, id: u32) -> Option<Key> {
        let list = if id.is_multiple_of(2) {
            &self.promised
        } else {
            &self.requested
        };
        // Most often the newest stream is looked up.
        if let Some(last) = list.back().filter(|last| last.id == id) {
            return Some(*last);
        }
        let at = list.binary_search_by_key(&id, |key| key.id).ok()?;
        list.get(at).copied()
    }

    /// Returns the keys of all streams: first the requested ones, then the promised ones.
    pub(super) fn all(&self) -> impl Iterator<Item = Key> {
        self.requested.iter().chain(&self.promised).copied()
    }

    /// Returns a copy of the keys of all streams, for loops that change streams.
    pub(super) fn keys(&self) -> Vec<Key> {
        self.all().collect()
    }

    fn list(&mut self, id: u32) -> &mut VecDeque<Key> {
        if id.is_multiple_of(2) {
            &mut self.promised
        } else {
            &mut self.requested
        }
    }
}
