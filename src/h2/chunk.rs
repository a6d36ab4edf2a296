//! Content that leaves without being copied: what the h2 crate is given, and what is gathered of what it writes.
//!
//! The h2 crate writes slices of memory. To hold one until the end of a turn it would have to be copied, which was a tenth
//! of what a long response costs. But right before a write the crate asks its buffer for the slices; a
//! [`Chunk`] notes then whose they are, and a [`Rope`] that is to hold one of them holds the shared bytes instead.

use std::{cell::Cell, collections::VecDeque, io::IoSlice};

use bytes::{Buf, Bytes, BytesMut};

/// Less than this is cheaper to copy than to share.
const LEAST_SHARED: usize = 4 * 1024;

/// Bytes that are set aside for copies at first: a few small responses.
const FIRST_RESERVE: usize = 8 * 1024;

/// Bytes that are set aside for copies when there are more.
const RESERVE: usize = 64 * 1024;

thread_local! {
    /// The bytes that the next write of this thread is about.
    static SHOWN: Cell<Option<Bytes>> = const { Cell::new(None) };
}

/// Content for the h2 crate.
#[derive(Debug)]
pub(super) struct Chunk(Bytes);

impl From<Bytes> for Chunk {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl Buf for Chunk {
    fn remaining(&self) -> usize {
        self.0.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.0
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let Some(first) = slices.first_mut().filter(|_| !self.0.is_empty()) else {
            return 0;
        };
        // Of a longer one the window may still take less.
        if self.0.len() >= LEAST_SHARED {
            SHOWN.set(Some(self.0.clone()));
        }
        *first = IoSlice::new(&self.0);
        1
    }

    fn advance(&mut self, count: usize) {
        self.0.advance(count);
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        self.0.copy_to_bytes(length)
    }
}

/// What the chunks of a write have shown.
#[derive(Debug)]
pub(super) struct Shown(Option<Bytes>);

impl Shown {
    /// Of the write that is under way; to be asked for at its beginning, whatever becomes of it.
    pub(super) fn take() -> Self {
        Self(SHOWN.take())
    }
}

/// Bytes in the order in which they were written: copies of what is short, and shares in what is long.
#[derive(Debug, Default)]
pub(super) struct Rope {
    whole: VecDeque<Bytes>,
    /// Copies, after all of `whole`.
    tail: BytesMut,
    length: usize,
}

impl Rope {
    pub(super) const fn len(&self) -> usize {
        self.length
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Appends what is being written; of what was shown for it, a share.
    pub(super) fn append<'s>(&mut self, shown: &Shown, slices: impl IntoIterator<Item = &'s [u8]>) {
        for slice in slices {
            let long = Some(slice).filter(|slice| slice.len() >= LEAST_SHARED);
            match long.and_then(|long| part(shown.0.as_ref()?, long)) {
                Some(share) => self.share(share),
                None => self.copy(slice),
            }
            self.length += slice.len();
        }
    }

    fn share(&mut self, bytes: Bytes) {
        if !self.tail.is_empty() {
            self.whole.push_back(self.tail.split().freeze());
        }
        self.whole.push_back(bytes);
    }

    fn copy(&mut self, bytes: &[u8]) {
        if self.tail.capacity() - self.tail.len() < bytes.len() {
            let is_first = self.tail.capacity() == 0 && bytes.len() <= FIRST_RESERVE;
            self.tail.reserve(if is_first {
                FIRST_RESERVE
            } else {
                RESERVE.max(bytes.len())
            });
        }
        self.tail.extend_from_slice(bytes);
    }

    /// Bytes that are set aside for copies.
    #[cfg(test)]
    pub(super) fn reserved(&self) -> usize {
        self.tail.capacity()
    }

    /// Fills in slices of what is first; how many.
    pub(super) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let tail = Some(&self.tail[..]).filter(|tail| !tail.is_empty());
        let all = self.whole.iter().map(|bytes| &bytes[..]).chain(tail);
        slices
            .iter_mut()
            .zip(all)
            .map(|(slice, bytes)| *slice = IoSlice::new(bytes))
            .count()
    }

    /// Lets go of this many bytes, which have left.
    pub(super) fn advance(&mut self, mut count: usize) {
        self.length -= count;
        while let Some(first) = self.whole.front_mut() {
            if first.len() > count {
                first.advance(count);
                return;
            }
            count -= first.len();
            self.whole.pop_front();
        }
        self.tail.advance(count);
    }
}

/// A share in the part of `bytes` that is this slice, if it is one.
fn part(bytes: &Bytes, slice: &[u8]) -> Option<Bytes> {
    let start = slice.as_ptr().addr().checked_sub(bytes.as_ptr().addr())?;
    let end = start.checked_add(slice.len())?;
    (end <= bytes.len()).then(|| bytes.slice(start..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks a chunk for its slices, and appends them after some bytes, as the h2 crate and the cork do.
    fn append(rope: &mut Rope, head: &[u8], chunk: &Chunk) {
        let mut slices = [IoSlice::new(&[]); 4];
        let number = chunk.chunks_vectored(&mut slices);
        rope.append(
            &Shown::take(),
            std::iter::once(head).chain(slices.iter().take(number).map(|slice| &**slice)),
        );
    }

    fn slices(rope: &Rope) -> Vec<Vec<u8>> {
        let mut slices = [IoSlice::new(&[]); 16];
        let number = rope.slices(&mut slices);
        slices.iter().take(number).map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn what_is_long_is_shared_and_what_is_short_is_copied() {
        let long = Bytes::from(vec![7; LEAST_SHARED]);
        let mut rope = Rope::default();
        append(&mut rope, b"head", &Chunk::from(long.clone()));
        append(&mut rope, b"next", &Chunk::from(Bytes::from_static(b"short")));
        assert_eq!(slices(&rope), [b"head".to_vec(), long.to_vec(), b"nextshort".to_vec()]);
        assert!(!long.is_unique(), "the rope has a share");
        assert_eq!(rope.len(), 4 + LEAST_SHARED + 9);
        drop(rope);
        assert!(long.is_unique());
    }

    #[test]
    fn a_part_of_a_chunk_is_shared() {
        let chunk = Chunk::from(Bytes::from(
            (0..=255).cycle().take(2 * LEAST_SHARED).collect::<Vec<u8>>(),
        ));
        let mut all = [IoSlice::new(&[]); 1];
        assert_eq!(chunk.chunks_vectored(&mut all), 1);
        let part = all.first().and_then(|slice| slice.get(100..5000)).expect("a part");
        let short = part.get(..LEAST_SHARED - 1).expect("a part");
        let mut rope = Rope::default();
        rope.append(&Shown::take(), [part]);
        assert_eq!(slices(&rope), [part.to_vec()]);
        assert!(rope.tail.is_empty(), "nothing was copied");
        chunk.chunks_vectored(&mut [IoSlice::new(&[])]);
        rope.append(&Shown::take(), [short]);
        assert_eq!(rope.tail.len(), short.len(), "a share in so little costs more");
    }

    #[test]
    fn bytes_that_were_not_shown_are_copied() {
        let shown = Chunk::from(Bytes::from(vec![7; LEAST_SHARED]));
        let other = vec![8; LEAST_SHARED];
        let mut all = [IoSlice::new(&[]); 1];
        shown.chunks_vectored(&mut all);
        let mut rope = Rope::default();
        rope.append(&Shown::take(), [&other[..]]);
        rope.append(&Shown::take(), all.iter().map(|slice| &**slice));
        assert!(rope.whole.is_empty(), "what was shown is meant for the next write only");
        assert_eq!(slices(&rope).concat(), [other, vec![7; LEAST_SHARED]].concat());
    }

    #[test]
    fn bytes_leave_in_order_wherever_they_are_cut() {
        let long = Bytes::from(vec![7; LEAST_SHARED]);
        let whole = [b"head", &long[..], b"next", &long[..], b"end"].concat();
        for cut in [1, 3, 4, 5, 1000, LEAST_SHARED + 4, LEAST_SHARED + 6, whole.len() - 1] {
            let mut rope = Rope::default();
            append(&mut rope, b"head", &Chunk::from(long.clone()));
            append(&mut rope, b"next", &Chunk::from(long.clone()));
            rope.append(&Shown::take(), [&b"end"[..]]);
            rope.advance(cut);
            assert_eq!(slices(&rope).concat(), whole.get(cut..).expect("a rest"));
            rope.append(&Shown::take(), [&b"more"[..]]);
            rope.advance(whole.len() - cut);
            assert_eq!(slices(&rope), [b"more"]);
            rope.advance(4);
            assert!(rope.is_empty() && slices(&rope).is_empty());
        }
    }
}
