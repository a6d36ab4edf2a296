//! The content of a kept answer: shared bytes, never copied for a client.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;

use super::arena::{Arena, Moves};

/// A whole content in pieces, none of which is empty.
#[derive(Debug, Clone, Default)]
pub struct Body(Option<Arc<Content>>);

#[derive(Debug)]
struct Content {
    pieces: Box<[Piece]>,
    length: usize,
    arena: Arc<Arena>,
}

/// A part of a content.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    /// Where it lies.
    pub(super) segment: u64,
}

impl Body {
    /// What an arena has taken.
    pub(super) fn stored(pieces: Vec<Piece>, arena: Arc<Arena>) -> Self {
        let length = pieces.iter().map(|piece| piece.bytes.len()).sum();
        Self((length > 0).then(|| {
            Arc::new(Content {
                pieces: pieces.into(),
                length,
                arena,
            })
        }))
    }

    /// Its bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |content| content.length)
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Its pieces, none of them empty.
    pub fn pieces(&self) -> impl ExactSizeIterator<Item = &Bytes> {
        let pieces = self.0.as_ref().map_or(&[][..], |content| &content.pieces);
        pieces.iter().map(|piece| &piece.bytes)
    }

    /// Whether it is to be moved.
    pub(super) fn is_reached(&self, moves: &Moves) -> bool {
        let content = self.0.as_ref();
        content.is_some_and(|content| content.pieces.iter().any(|piece| moves.reach(piece.segment)))
    }

    /// The rest of the piece that has this byte, up to `end`.
    pub(super) fn piece(&self, range: &Range<usize>) -> Option<Bytes> {
        let mut start = 0;
        for piece in self.pieces() {
            let end = start + piece.len();
            if range.start < end && range.start < range.end {
                return Some(piece.slice(range.start - start..piece.len().min(range.end - start)));
            }
            start = end;
        }
        None
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        for piece in &self.pieces {
            self.arena.give_back(piece.segment, piece.bytes.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(body: &Body, mut range: Range<usize>) -> Vec<u8> {
        let mut read = Vec::new();
        while let Some(piece) = body.piece(&range) {
            assert!(!piece.is_empty());
            range.start += piece.len();
            read.extend_from_slice(&piece);
        }
        read
    }

    proptest! {
        #[test]
        fn any_range_of_any_content_is_read(
            length in 0_usize..40_000,
            from in any::<prop::sample::Index>(),
            to in any::<prop::sample::Index>(),
        ) {
            let whole: Vec<u8> = (0..=250).cycle().take(length).collect();
            let body = Arc::new(Arena::new(0)).put(&[Bytes::from(whole.clone())]);
            prop_assert_eq!(read(&body, 0..body.len()), &whole[..]);
            let (from, to) = (from.index(whole.len() + 1), to.index(whole.len() + 1));
            let range = from.min(to)..from.max(to);
            prop_assert_eq!(Some(&*read(&body, range.clone())), whole.get(range));
        }
    }
}
