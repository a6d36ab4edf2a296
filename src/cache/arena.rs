//! Where kept contents lie: one behind the other in segments of one size.
//!
//! An allocator keeps sizes apart, so a store in which contents of all sizes come and go leaves it with pages that are
//! nearly empty and of no use for other sizes: 1.8 times the bound was resident after ten minutes. Here a segment takes what
//! comes, and is free again when nothing in it is left. Where many are sparse, what they still have is moved to the end of
//! the last one.
//!
//! Most contents that come leave soon: nobody asks for them again. So a content is loose at first, as it came, and put here
//! when it is among those that stayed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{Bytes, BytesMut};

use super::body::{Body, Piece};

/// Bytes of a segment in a store of this many bytes or more times [`LEAST_SEGMENTS`].
const SEGMENT: usize = 1 << 20;

/// Into how many a small store is divided.
const LEAST_SEGMENTS: usize = 32;

/// What may lie idle, as a share of what is used.
const IDLE_SHARE: usize = 10;

/// What is moved at a time, as a share of what is used: until it was moved it is there twice.
const MOVED_SHARE: usize = 32;

/// What may be loose, as a share of what is used.
const LOOSE_SHARE: usize = 16;

/// The shortest pieces, on an average, in which a content is left as it came.
const LOOSE_PIECE: usize = 16 * 1024;

/// The segment of pieces that are in none.
const NO_SEGMENT: u64 = 0;

/// What is to be moved.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Moves {
    /// What lies in these, in ascending order.
    sparse: Vec<u64>,
    /// What is loose.
    has_loose: bool,
}

impl Moves {
    /// Whether a content of which a piece lies there is to be moved.
    pub(super) fn reach(&self, segment: u64) -> bool {
        if segment == NO_SEGMENT {
            self.has_loose
        } else {
            self.sparse.binary_search(&segment).is_ok()
        }
    }
}

/// The segments of a store.
#[derive(Debug)]
pub(super) struct Arena {
    state: Mutex<State>,
    segment: usize,
}

#[derive(Debug, Default)]
struct State {
    /// What is left of the last segment.
    rest: BytesMut,
    last: u64,
    /// Bytes in use, by segment.
    used: HashMap<u64, usize>,
    /// Of all segments.
    all_used: usize,
    /// Bytes in none.
    loose: usize,
}

impl Arena {
    /// For contents of this many bytes together.
    pub(super) fn new(bytes: u64) -> Self {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        Self {
            state: Mutex::default(),
            segment: (bytes / LEAST_SEGMENTS).clamp(4096, SEGMENT),
        }
    }

    /// Takes a content as it came, unless it came in many small pieces.
    pub(super) fn take(self: &Arc<Self>, content: Vec<Bytes>) -> Body {
        let length: usize = content.iter().map(Bytes::len).sum();
        if content.len() > 1 && length / content.len() < LOOSE_PIECE {
            return self.put(&content);
        }
        self.state().loose += length;
        let content = content.into_iter().map(|bytes| Piece {
            bytes,
            segment: NO_SEGMENT,
        });
        Body::stored(content.collect(), Arc::clone(self))
    }

    /// Puts a content in.
    pub(super) fn put(self: &Arc<Self>, content: &[Bytes]) -> Body {
        let mut left: usize = content.iter().map(Bytes::len).sum();
        let mut pieces = Vec::new();
        let mut content = content.iter();
        let mut bytes: &[u8] = &[];
        while left > 0 {
            let (segment, mut place) = self.state().take(left, self.segment);
            let end = place.capacity();
            while place.len() < end {
                if bytes.is_empty() {
                    let Some(next) = content.next() else { break };
                    bytes = next;
                }
                let (fits, rest) = bytes.split_at(bytes.len().min(end - place.len()));
                place.extend_from_slice(fits);
                bytes = rest;
            }
            left -= end;
            pieces.push(Piece {
                bytes: place.freeze(),
                segment,
            });
        }
        Body::stored(pieces, Arc::clone(self))
    }

    /// These bytes of a segment are used no more.
    pub(super) fn give_back(&self, segment: u64, bytes: usize) {
        let mut state = self.state();
        if segment == NO_SEGMENT {
            state.loose -= bytes;
            return;
        }
        state.all_used -= bytes;
        let last = state.last;
        if let Some(used) = state.used.get_mut(&segment) {
            *used -= bytes;
            if *used == 0 && segment != last {
                state.used.remove(&segment);
            }
        }
    }

    /// Bytes of all segments, and of what is loose.
    pub(super) fn size(&self) -> usize {
        let state = self.state();
        state.used.len() * self.segment + state.loose
    }

    /// What is to be [put](Self::put) in once more: that of the sparsest segments, if more lies idle than may, and what is
    /// loose, if it is too much.
    pub(super) fn moves(&self) -> Option<Moves> {
        let state = self.state();
        let has_loose = state.loose > state.all_used / LOOSE_SHARE + 2 * self.segment;
        let idle = (state.used.len() * self.segment).saturating_sub(state.all_used);
        if idle <= state.all_used / IDLE_SHARE + 2 * self.segment {
            return has_loose.then_some(Moves {
                sparse: Vec::new(),
                has_loose,
            });
        }
        let last = state.last;
        let mut most = state.all_used / MOVED_SHARE;
        let mut segments: Vec<(usize, u64)> = state.used.iter().map(|(&segment, &used)| (used, segment)).collect();
        drop(state);
        segments.sort_unstable();
        let sparse = segments.into_iter().take_while(|(used, _)| {
            let fits = *used <= most;
            most = most.saturating_sub(*used);
            fits
        });
        let mut sparse: Vec<u64> = sparse
            .map(|(_, segment)| segment)
            .filter(|&segment| segment != last)
            .collect();
        sparse.sort_unstable();
        (has_loose || !sparse.is_empty()).then_some(Moves { sparse, has_loose })
    }

    /// A panic elsewhere leaves the state usable, so a poisoned lock is taken all the same.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A place for so many bytes, or for as many as the last segment has left.
    fn take(&mut self, bytes: usize, segment: usize) -> (u64, BytesMut) {
        if self.rest.capacity() == 0 {
            if self.used.get(&self.last) == Some(&0) {
                self.used.remove(&self.last);
            }
            self.last += 1;
            self.rest = BytesMut::with_capacity(segment);
            self.used.insert(self.last, 0);
        }
        let bytes = bytes.min(self.rest.capacity());
        let rest = self.rest.split_off(bytes);
        let place = std::mem::replace(&mut self.rest, rest);
        self.all_used += bytes;
        *self.used.entry(self.last).or_default() += bytes;
        (self.last, place)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(body: &Body) -> Vec<u8> {
        body.pieces().flat_map(|piece| piece.to_vec()).collect()
    }

    #[test]
    fn a_segment_is_free_when_nothing_in_it_is_left() {
        let arena = Arc::new(Arena::new(0));
        assert_eq!(arena.segment, 4096);
        let content = [Bytes::from(vec![1; 2000])];
        let bodies: Vec<Body> = (0..4).map(|_| arena.put(&content)).collect();
        assert_eq!(arena.size(), 2 * 4096);
        assert!(bodies.iter().all(|body| whole(body) == content[0]));
        drop(bodies);
        assert_eq!(arena.size(), 4096, "the last one goes on");
        drop(arena.put(&[Bytes::from(vec![1; 4 * 4096])]));
        assert_eq!(arena.size(), 4096);
    }

    #[test]
    fn what_is_left_in_sparse_segments_can_be_moved_together() {
        let arena = Arc::new(Arena::new(0));
        let content = [Bytes::from(vec![7; 1000])];
        let mut bodies: Vec<Body> = (0..400).map(|_| arena.put(&content)).collect();
        assert_eq!(arena.moves(), None, "they are full");
        let mut n = 0;
        bodies.retain(|_| {
            n += 1;
            n % 4 == 0
        });
        let mut moved = 0;
        while let Some(moves) = arena.moves() {
            for body in &mut bodies {
                if body.is_reached(&moves) {
                    *body = arena.put(&body.pieces().cloned().collect::<Vec<_>>());
                    moved += 1;
                }
            }
        }
        assert!(moved > 0 && bodies.iter().all(|body| whole(body) == content[0]));
        assert!(arena.size() <= 100_000 + 10_000 + 3 * 4096, "{}", arena.size());
    }

    #[test]
    fn what_came_in_long_pieces_is_loose_until_it_is_too_much() {
        let arena = Arc::new(Arena::new(0));
        let long = || vec![Bytes::from(vec![7; 3000])];
        let mut bodies = vec![arena.take(long()), arena.take(long())];
        assert_eq!(arena.size(), 6000);
        assert_eq!(arena.moves(), None);
        bodies.push(arena.take(long()));
        let moves = arena.moves().expect("much is loose");
        for body in &mut bodies {
            assert!(body.is_reached(&moves));
            *body = arena.put(&body.pieces().cloned().collect::<Vec<_>>());
        }
        assert_eq!(arena.size(), 3 * 4096);
        assert_eq!(arena.moves(), None);
        bodies.clear();
        let small = arena.take(vec![Bytes::from_static(b"small "), Bytes::from_static(b"pieces")]);
        assert_eq!(
            small.pieces().collect::<Vec<_>>(),
            ["small pieces"],
            "they are put in at once"
        );
    }

    proptest! {
        #[test]
        fn what_is_put_in_comes_out(
            contents in proptest::collection::vec(proptest::collection::vec(0_usize..9000, 0..4), 0..12),
            leaving in any::<u16>(),
        ) {
            let arena = Arc::new(Arena::new(0));
            let mut bodies = Vec::new();
            let mut expected = Vec::new();
            for (n, lengths) in contents.iter().enumerate() {
                let pieces: Vec<Bytes> = lengths
                    .iter()
                    .map(|&length| (0..=250).cycle().skip(n).take(length).collect::<Vec<u8>>().into())
                    .collect();
                bodies.push(arena.put(&pieces));
                expected.push(pieces.concat());
                if leaving >> n & 1 == 1 {
                    bodies.remove(0);
                    expected.remove(0);
                }
            }
            for (body, expected) in bodies.iter().zip(&expected) {
                prop_assert_eq!(body.len(), expected.len());
                prop_assert_eq!(&whole(body), expected);
            }
            bodies.clear();
            prop_assert!(arena.size() <= 4096);
        }
    }
}
