//! Holds bytes in the order in which they are written: short content is copied, long content is shared.

use std::{collections::VecDeque, io::IoSlice};

use bytes::{Buf, Bytes, BytesMut};

/// Length from which sharing content is cheaper than copying it, in bytes.
const LEAST_SHARED: usize = 4 * 1024;

/// Capacity of a buffer for copies, in bytes.
const RESERVE: usize = 8 * 1024;

/// Capacity that `tail` offers at least, in bytes: with less, most header blocks would make the buffer grow, which
/// copies it.
const LEAST_ROOM: usize = 256;

/// Bytes that wait to be written.
#[derive(Debug, Default)]
pub(in crate::h2) struct Rope {
    /// Finished pieces, the first to be written at the front.
    whole: VecDeque<Bytes>,
    /// Sum of the lengths in `whole`.
    whole_length: usize,
    /// The buffer for copies, written after all of `whole`.
    tail: BytesMut,
}

impl Rope {
    /// Returns the number of bytes.
    pub(in crate::h2) fn len(&self) -> usize {
        self.whole_length + self.tail.len()
    }

    /// Returns whether there are no bytes.
    pub(in crate::h2) fn is_empty(&self) -> bool {
        self.whole_length == 0 && self.tail.is_empty()
    }

    /// Returns the buffer for copies. The caller appends a whole frame, or the header of a DATA frame and then its
    /// content by [`push`](Self::push).
    pub(in crate::h2) fn tail(&mut self) -> &mut BytesMut {
        self.tail_with(LEAST_ROOM)
    }

    /// Returns the buffer for copies with room for this number of bytes, or a new one if that is less than [`RESERVE`].
    fn tail_with(&mut self, room: usize) -> &mut BytesMut {
        if self.tail.capacity() - self.tail.len() < room {
            self.seal();
            self.tail = BytesMut::with_capacity(RESERVE);
        }
        &mut self.tail
    }

    /// Moves the copies to `whole`. The rest of the buffer is for the next copies.
    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.whole_length += self.tail.len();
            self.whole.push_back(self.tail.split().freeze());
        }
    }

    /// Appends content.
    pub(in crate::h2) fn push(&mut self, content: Bytes) {
        if content.len() < LEAST_SHARED {
            self.tail_with(content.len()).extend_from_slice(&content);
            return;
        }
        self.seal();
        self.whole_length += content.len();
        self.whole.push_back(content);
    }

    /// Moves all bytes of another rope to the end of this one.
    pub(in crate::h2) fn append(&mut self, other: &mut Self) {
        if self.is_empty() {
            std::mem::swap(self, other);
            return;
        }
        self.seal();
        self.whole_length += std::mem::take(&mut other.whole_length);
        self.whole.append(&mut other.whole);
        std::mem::swap(&mut self.tail, &mut other.tail);
    }

    /// Fills in slices of the first bytes, and returns the number of slices filled in.
    pub(in crate::h2) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let tail = Some(&self.tail[..]).filter(|tail| !tail.is_empty());
        let pieces = self.whole.iter().map(|bytes| &bytes[..]).chain(tail);
        slices
            .iter_mut()
            .zip(pieces)
            .map(|(slice, bytes)| *slice = IoSlice::new(bytes))
            .count()
    }

    /// Drops this number of bytes from the front, because they were written. An empty rope holds no buffer.
    pub(in crate::h2) fn advance(&mut self, mut count: usize) {
        while let Some(first) = self.whole.front_mut() {
            let taken = first.len().min(count);
            self.whole_length -= taken;
            count -= taken;
            if taken < first.len() {
                first.advance(taken);
                return;
            }
            self.whole.pop_front();
        }
        self.tail.advance(count.min(self.tail.len()));
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Takes all bytes out, for tests of frames.
    #[cfg(test)]
    pub(in crate::h2) fn take(&mut self) -> Vec<u8> {
        let mut all = self
            .whole
            .iter()
            .flat_map(|bytes| bytes.iter().copied())
            .collect::<Vec<_>>();
        all.extend_from_slice(&self.tail);
        *self = Self::default();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slices(rope: &Rope) -> Vec<Vec<u8>> {
        let mut slices = [IoSlice::new(&[]); 16];
        let number = rope.slices(&mut slices);
        slices.iter().take(number).map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn shares_long_content_and_copies_short_content() {
        let long = Bytes::from(vec![7; LEAST_SHARED]);
        let mut rope = Rope::default();
        rope.tail().extend_from_slice(b"head");
        rope.push(long.clone());
        rope.tail().extend_from_slice(b"next");
        rope.push(Bytes::from_static(b"short"));
        assert_eq!(slices(&rope), [b"head".to_vec(), long.to_vec(), b"nextshort".to_vec()]);
        assert!(!long.is_unique(), "the rope shares it");
        assert_eq!(rope.len(), 4 + LEAST_SHARED + 9);
        drop(rope);
        assert!(long.is_unique());
    }

    #[test]
    fn bytes_stay_in_order_wherever_a_write_ends() {
        let long = Bytes::from(vec![7; LEAST_SHARED]);
        let whole = [b"head", &long[..], b"next", &long[..], b"end"].concat();
        for cut in [0, 1, 3, 4, 5, 1000, LEAST_SHARED + 4, LEAST_SHARED + 6, whole.len() - 1] {
            let mut rope = Rope::default();
            rope.tail().extend_from_slice(b"head");
            rope.push(long.clone());
            let mut other = Rope::default();
            other.tail().extend_from_slice(b"next");
            other.push(long.clone());
            other.tail().extend_from_slice(b"end");
            rope.append(&mut other);
            assert!(other.is_empty());
            rope.advance(cut);
            assert_eq!(slices(&rope).concat(), whole.get(cut..).expect("a rest"));
            rope.tail().extend_from_slice(b"more");
            rope.advance(whole.len() - cut);
            assert_eq!(slices(&rope), [b"more"]);
            rope.advance(4);
            assert!(rope.is_empty() && rope.tail.capacity() == 0, "no buffer is left");
        }
    }
}
