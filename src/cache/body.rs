//! Holds the content of a stored response: shared bytes, never copied for a client.

use std::{ops::Range, sync::Arc};

use bytes::{Bytes, BytesMut};

/// Complete content, in pieces.
#[derive(Debug, Clone, Default)]
pub struct Body {
    pieces: Arc<[Bytes]>,
    length: usize,
}

/// Bytes up to which small pieces are joined: as many as the transport takes at a time.
const PIECE: usize = 64 * 1024;

impl Body {
    /// Joins small pieces up to `PIECE` bytes, so that no stored allocation holds only some bytes. Longer pieces are
    /// shared as they are.
    #[must_use]
    pub fn new(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        let mut joined = Vec::new();
        let mut run: Vec<Bytes> = Vec::new();
        let mut run_length = 0;
        let mut length = 0;
        for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
            length += piece.len();
            if run_length + piece.len() > PIECE {
                joined.extend(join(&mut run, run_length));
                run_length = 0;
            }
            run_length += piece.len();
            run.push(piece);
        }
        joined.extend(join(&mut run, run_length));
        Self {
            pieces: joined.into(),
            length,
        }
    }

    /// Returns the number of bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Returns whether the content has no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Returns the pieces, none of them empty.
    #[must_use]
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    /// Returns the bytes from `range.start` to the end of their piece, or to `range.end` if that is earlier.
    pub(super) fn piece(&self, range: &Range<usize>) -> Option<Bytes> {
        let mut start = 0;
        for piece in self.pieces.iter() {
            let end = start + piece.len();
            if range.start < end && range.start < range.end {
                return Some(piece.slice(range.start - start..piece.len().min(range.end - start)));
            }
            start = end;
        }
        None
    }
}

/// Joins the pieces of a run. A single piece is shared, not copied: its allocation holds no other bytes.
fn join(run: &mut Vec<Bytes>, length: usize) -> Option<Bytes> {
    if run.len() <= 1 {
        return run.pop();
    }
    let mut joined = BytesMut::with_capacity(length);
    for piece in run.drain(..) {
        joined.extend_from_slice(&piece);
    }
    Some(joined.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(body: &Body, mut range: Range<usize>) -> Vec<u8> {
        let mut read = Vec::new();
        while let Some(piece) = body.piece(&range) {
            assert!(!piece.is_empty());
            range.start += piece.len();
            read.extend_from_slice(&piece);
        }
        read
    }

    #[test]
    fn small_pieces_are_joined_and_long_ones_shared() {
        let long = Bytes::from(vec![1; PIECE]);
        let small = || Bytes::from_static(b"abc");
        let body = Body::new([small(), small(), long.clone(), small(), Bytes::new()]);
        let lengths: Vec<usize> = body.pieces().iter().map(Bytes::len).collect();
        assert_eq!(lengths, [6, PIECE, 3]);
        assert_eq!(body.pieces().get(1).map(|piece| piece.as_ptr()), Some(long.as_ptr()));
        assert_eq!(body.len(), PIECE + 9);
    }

    proptest! {
        #[test]
        fn any_range_of_any_pieces_is_read(
            lengths in proptest::collection::vec(0_usize..40_000, 0..12),
            from in any::<prop::sample::Index>(),
            to in any::<prop::sample::Index>(),
        ) {
            let whole: Vec<u8> = (0..=250).cycle().take(lengths.iter().sum()).collect();
            let mut rest = Bytes::from(whole.clone());
            let body = Body::new(lengths.iter().map(|&length| rest.split_to(length)));
            prop_assert_eq!(read(&body, 0..body.len()), &whole[..]);
            let (from, to) = (from.index(whole.len() + 1), to.index(whole.len() + 1));
            let range = from.min(to)..from.max(to);
            prop_assert_eq!(Some(&*read(&body, range.clone())), whole.get(range));
        }
    }
}
