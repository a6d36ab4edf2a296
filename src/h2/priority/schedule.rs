//! Which stream sends the next frame: urgency and incremental of RFC 9218, the document first.
//!
//! - A stream has a place here only while it could send at once: content is queued and its window is open.
//!   Nobody waits for a stream that has nothing to send.
//! - All requested streams come before all pushed ones (rule 12), within both the more urgent one first.
//! - Of one urgency, streams that are not incremental are sent one after another in the order of their
//!   identifiers, even if their content comes in pieces; then incremental ones take turns of one frame (RFC 9218
//!   section 10), each turn a cycle. A stream that begins joins the cycle that is under way, as in nghttp2.
//! - Pushes go one after another, in the order of their promises.

use std::collections::VecDeque;

use crate::push::{Priority, Urgency};

/// The place of a stream among those that can send; the lowest is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::h2) struct Rank {
    level: u8,
    cycle: u32,
    id: u32,
    is_promoted: bool,
}

/// Levels of pushes come after those of requests.
const FIRST_PUSH_LEVEL: u8 = 8;

impl Rank {
    /// The level of a requested stream's urgency, or of a promised stream's.
    fn level(urgency: Urgency, is_promised: bool) -> u8 {
        urgency.value() + if is_promised { FIRST_PUSH_LEVEL } else { 0 }
    }

    /// The rank of a push that is not promoted, whether or not it can send.
    pub(in crate::h2) fn of_push(id: u32, priority: Priority) -> Self {
        Self {
            level: Self::level(priority.urgency(), true),
            cycle: 0,
            id,
            is_promoted: false,
        }
    }

    /// Whether it is a push among pushes.
    pub(in crate::h2) const fn is_push(self) -> bool {
        self.level >= FIRST_PUSH_LEVEL
    }

    /// Whether another one's urgency goes before its own.
    pub(in crate::h2) const fn is_less_urgent_than(self, other: Self) -> bool {
        self.level > other.level
    }
}

/// Streams that can send, in their order.
#[derive(Debug)]
pub(in crate::h2) struct Schedule<K> {
    ready: VecDeque<(Rank, K)>,
    /// The cycle that is under way.
    cycle: u32,
    /// How many of them are promoted.
    promoted: usize,
}

impl<K> Default for Schedule<K> {
    fn default() -> Self {
        Self {
            ready: VecDeque::new(),
            cycle: 0,
            promoted: 0,
        }
    }
}

/// Room for more streams is given back when none is left.
const KEPT: usize = 8;

impl<K: Copy> Schedule<K> {
    /// Adds a stream that had turns up to `cycle`, and returns its rank. A promoted one shares with the most
    /// urgent.
    pub(in crate::h2) fn insert(&mut self, id: u32, priority: Priority, cycle: u32, is_promoted: bool, key: K) -> Rank {
        let level = self.level(id, priority, is_promoted);
        let cycle = if self.takes_turns(level, id, priority, is_promoted) {
            cycle.max(self.cycle)
        } else {
            0
        };
        let rank = Rank {
            level,
            cycle,
            id,
            is_promoted,
        };
        self.promoted += usize::from(is_promoted);
        let at = self.ready.partition_point(|(other, _)| *other < rank);
        self.ready.insert(at, (rank, key));
        rank
    }

    fn level(&self, id: u32, priority: Priority, is_promoted: bool) -> u8 {
        let level = Rank::level(priority.urgency(), id.is_multiple_of(2));
        match self.ready.front() {
            Some((first, _)) if is_promoted => level.min(first.level),
            _ => level,
        }
    }

    /// Whether a stream that has had its turn stays where it is: nothing else is asked for it, and it lets nobody else
    /// have a turn.
    pub(in crate::h2) fn keeps(&self, rank: Rank, id: u32, priority: Priority, is_promoted: bool) -> bool {
        let level = self.level(id, priority, is_promoted);
        level == rank.level && is_promoted == rank.is_promoted && !self.takes_turns(level, id, priority, is_promoted)
    }

    /// Whether a stream lets others have their turn. The most urgent ones do while one that is promoted shares with
    /// them.
    fn takes_turns(&self, level: u8, id: u32, priority: Priority, is_promoted: bool) -> bool {
        let shares = || self.promoted > 0 && self.ready.front().is_some_and(|(first, _)| first.level == level);
        is_promoted || (!id.is_multiple_of(2) && (priority.is_incremental() || shares()))
    }

    /// Removes a stream.
    pub(in crate::h2) fn remove(&mut self, rank: Rank) {
        if let Ok(at) = self.ready.binary_search_by_key(&rank, |(rank, _)| *rank) {
            self.ready.remove(at);
            self.promoted -= usize::from(rank.is_promoted);
        }
        if self.ready.is_empty() && self.ready.capacity() > KEPT {
            self.ready = VecDeque::new();
        }
    }

    /// Returns the stream that is next.
    pub(in crate::h2) fn first(&self) -> Option<(Rank, K)> {
        self.ready.front().copied()
    }

    /// Returns all that can send, in order.
    pub(in crate::h2) fn all(&self) -> impl Iterator<Item = (Rank, K)> {
        self.ready.iter().copied()
    }

    /// How many can send.
    pub(in crate::h2) fn len(&self) -> usize {
        self.ready.len()
    }

    /// A stream of this rank has its turn; returns the cycle of its next one.
    pub(in crate::h2) fn turn(&mut self, rank: Rank) -> u32 {
        self.cycle = self.cycle.max(rank.cycle);
        rank.cycle.saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn priority(field: &str) -> Priority {
        Priority::parse(field.as_bytes())
    }

    /// Sends `frames` frames of streams that always have more, and returns whose they are.
    fn order(streams: &[(u32, &str)], frames: usize) -> Vec<u32> {
        let mut schedule = Schedule::default();
        for &(id, field) in streams {
            schedule.insert(id, priority(field), 0, false, id);
        }
        let fields: std::collections::HashMap<_, _> = streams.iter().copied().collect();
        (0..frames)
            .map(|_| {
                let (rank, id) = schedule.first().expect("somebody can send");
                let next = schedule.turn(rank);
                let priority = priority(fields.get(&id).expect("a stream"));
                if priority.is_incremental() {
                    schedule.remove(rank);
                    schedule.insert(id, priority, next, false, id);
                }
                id
            })
            .collect()
    }

    #[test]
    fn the_most_urgent_goes_first_and_requests_before_pushes() {
        assert_eq!(order(&[(1, "u=3"), (3, "u=1"), (2, "u=0")], 2), [3, 3]);
        assert_eq!(order(&[(1, "u=7"), (2, "u=0")], 1), [1]);
        assert_eq!(order(&[(4, "u=3"), (2, "u=5"), (6, "u=3")], 1), [4]);
    }

    #[test]
    fn equal_urgencies_go_by_identifier_and_incremental_ones_in_turn() {
        assert_eq!(order(&[(5, ""), (1, ""), (3, "")], 3), [1, 1, 1]);
        assert_eq!(order(&[(5, "i"), (1, "i"), (3, "i")], 7), [1, 3, 5, 1, 3, 5, 1]);
        assert_eq!(order(&[(1, "i"), (3, "u=1, i"), (5, "u=1, i")], 4), [3, 5, 3, 5]);
    }

    #[test]
    fn one_that_comes_later_joins_the_cycle_that_is_under_way() {
        let mut schedule = Schedule::default();
        for id in [1, 3] {
            schedule.insert(id, priority("i"), 0, false, id);
        }
        for _ in 0..10 {
            let (rank, id) = schedule.first().expect("two");
            let next = schedule.turn(rank);
            schedule.remove(rank);
            schedule.insert(id, priority("i"), next, false, id);
        }
        schedule.insert(5, priority("i"), 0, false, 5);
        let (rank, _) = schedule.first().expect("three");
        assert!(rank.cycle <= 5 && schedule.all().map(|(_, id)| id).collect::<Vec<_>>() == [5, 1, 3]);
    }

    #[test]
    fn a_promoted_stream_shares_with_the_most_urgent() {
        let mut schedule = Schedule::default();
        let first = schedule.insert(1, priority("u=1, i"), 0, false, 1);
        let late = schedule.insert(3, priority("u=6"), 0, true, 3);
        assert!(!late.is_less_urgent_than(first));
        assert!(!schedule.insert(2, priority("u=6"), 0, true, 2).is_push());
    }
}
