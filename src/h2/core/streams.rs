//! The streams of a connection, found by key (in one step) or by identifier.

use std::collections::VecDeque;

use super::stream::StreamEntry;

/// Names a stream to its owner. A key whose stream is gone finds nothing.
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
    /// Identifiers grow, so both lists are sorted.
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

/// Lists that are longer than this are given back when the last stream is gone.
const KEPT: usize = 32;

impl<T> Streams<T> {
    pub(super) fn len(&self) -> usize {
        self.requested.len() + self.promised.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Streams that the client opened.
    pub(super) fn requested(&self) -> usize {
        self.requested.len()
    }

    /// Promised streams, reserved and open ones.
    pub(super) fn promised(&self) -> usize {
        self.promised.len()
    }

    /// Adds a stream, whose identifier is higher than those of its kind before.
    pub(super) fn insert(&mut self, stream: StreamEntry<T>) -> Key {
        let id = stream.id;
        let list = self.free.pop();
        let index = list.unwrap_or_else(|| u32::try_from(self.slots.len()).unwrap_or(u32::MAX));
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
        // Most often the oldest is the first to be done.
        if list.front() == Some(&key) {
            list.pop_front();
        } else if let Ok(at) = list.binary_search_by_key(&key.id, |key| key.id) {
            list.remove(at);
        }
        if self.is_empty() && self.slots.capacity() > KEPT {
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
        // The newest is asked for most often.
        if let Some(last) = list.back().filter(|last| last.id == id) {
            return Some(*last);
        }
        let at = list.binary_search_by_key(&id, |key| key.id).ok()?;
        list.get(at).copied()
    }

    /// The keys of all streams: those that the client opened, then those that were promised.
    pub(super) fn all(&self) -> impl Iterator<Item = Key> {
        self.requested.iter().chain(&self.promised).copied()
    }

    /// The keys of all streams at this moment.
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
