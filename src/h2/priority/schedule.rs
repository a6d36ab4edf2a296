//! Decides which stream sends the next frame: requested streams before pushed ones, by urgency and incremental (RFC
//! 9218).
//!
//! - A stream is in the schedule only while it could send at once: content is queued and its window is open. Thus no
//!   stream waits for one that has nothing to send.
//! - All requested streams come before all pushed ones; in each of the two groups the more urgent stream comes first.
//! - Streams of one urgency that are not incremental are sent one after another in the order of their identifiers,
//!   even if their content comes in pieces; then incremental ones take turns of one frame (RFC 9218 section 10). In a
//!   cycle each of them has one turn. A stream that begins joins the present cycle, as in nghttp2.
//! - Pushes of one urgency are sent one after another, in the order of their promises.

use std::collections::VecDeque;

use crate::push::{Priority, Urgency};

/// The place of a stream in the schedule; the stream with the lowest rank sends next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::h2) struct Rank {
    level: u8,
    cycle: u32,
    id: u32,
    is_promoted: bool,
}

/// The first level of pushes, after the eight urgencies of requests (RFC 9218 section 4.1).
const FIRST_PUSH_LEVEL: u8 = 8;

impl Rank {
    /// Returns the level of a requested or promised stream with this urgency.
    fn level(urgency: Urgency, is_promised: bool) -> u8 {
        urgency.value() + if is_promised { FIRST_PUSH_LEVEL } else { 0 }
    }

    /// Returns the rank that a push has, or would have if it could send, while it is not promoted.
    pub(in crate::h2) fn of_push(id: u32, priority: Priority) -> Self {
        Self {
            level: Self::level(priority.urgency(), true),
            cycle: 0,
            id,
            is_promoted: false,
        }
    }

    /// Returns whether a push has this rank. A push that was promoted to the level of a request is none here.
    pub(in crate::h2) const fn is_push(self) -> bool {
        self.level >= FIRST_PUSH_LEVEL
    }

    /// Returns whether this rank is on a later level than the other one.
    pub(in crate::h2) const fn is_less_urgent_than(self, other: Self) -> bool {
        self.level > other.level
    }
}

/// Streams that can send, in their order.
#[derive(Debug)]
pub(in crate::h2) struct Schedule<K> {
    ready: VecDeque<(Rank, K)>,
    /// The present cycle of turns.
    cycle: u32,
    /// Number of promoted streams in `ready`.
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

/// Capacity of `ready` above which its memory is freed when it is empty.
const MAX_KEPT_CAPACITY: usize = 8;

impl<K: Copy> Schedule<K> {
    /// Adds a stream whose next turn is in `cycle` or later, and returns its rank. A promoted stream takes turns with
    /// the most urgent streams.
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

    /// Returns the level that a stream has now: a promoted one has the level of the first stream.
    fn level(&self, id: u32, priority: Priority, is_promoted: bool) -> u8 {
        let level = Rank::level(priority.urgency(), id.is_multiple_of(2));
        match self.ready.front() {
            Some((first, _)) if is_promoted => level.min(first.level),
            _ => level,
        }
    }

    /// Returns whether a stream keeps its rank after its turn: its level is the same, and it does not take turns.
    pub(in crate::h2) fn keeps(&self, rank: Rank, id: u32, priority: Priority, is_promoted: bool) -> bool {
        let level = self.level(id, priority, is_promoted);
        level == rank.level && is_promoted == rank.is_promoted && !self.takes_turns(level, id, priority, is_promoted)
    }

    /// Returns whether a stream takes turns with others: an incremental or promoted stream, and any requested stream on
    /// the first level while a promoted one is ready.
    fn takes_turns(&self, level: u8, id: u32, priority: Priority, is_promoted: bool) -> bool {
        let shares_level = || self.promoted > 0 && self.ready.front().is_some_and(|(first, _)| first.level == level);
        is_promoted || (!id.is_multiple_of(2) && (priority.is_incremental() || shares_level()))
    }

    /// Removes a stream.
    pub(in crate::h2) fn remove(&mut self, rank: Rank) {
        if let Ok(at) = self.ready.binary_search_by_key(&rank, |(rank, _)| *rank) {
            self.ready.remove(at);
            self.promoted -= usize::from(rank.is_promoted);
        }
        if self.ready.is_empty() && self.ready.capacity() > MAX_KEPT_CAPACITY {
            self.ready = VecDeque::new();
        }
    }

    /// Returns the stream that sends next.
    pub(in crate::h2) fn first(&self) -> Option<(Rank, K)> {
        self.ready.front().copied()
    }

    /// Returns all streams that can send, in order.
    pub(in crate::h2) fn all(&self) -> impl Iterator<Item = (Rank, K)> {
        self.ready.iter().copied()
    }

    /// Returns the number of streams that can send.
    pub(in crate::h2) fn len(&self) -> usize {
        self.ready.len()
    }

    /// Notes a turn of the stream with this rank; returns the cycle of its next turn.
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

    /// Schedules streams that always have more to send, and returns the stream identifiers of the first frames.
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
    fn streams_of_one_urgency_go_by_identifier_and_incremental_ones_in_turns() {
        assert_eq!(order(&[(5, ""), (1, ""), (3, "")], 3), [1, 1, 1]);
        assert_eq!(order(&[(5, "i"), (1, "i"), (3, "i")], 7), [1, 3, 5, 1, 3, 5, 1]);
        assert_eq!(order(&[(1, "i"), (3, "u=1, i"), (5, "u=1, i")], 4), [3, 5, 3, 5]);
    }

    #[test]
    fn a_stream_that_begins_later_joins_the_present_cycle() {
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
    fn a_promoted_stream_has_the_level_of_the_most_urgent_one() {
        let mut schedule = Schedule::default();
        let first = schedule.insert(1, priority("u=1, i"), 0, false, 1);
        let late = schedule.insert(3, priority("u=6"), 0, true, 3);
        assert!(!late.is_less_urgent_than(first));
        assert!(!schedule.insert(2, priority("u=6"), 0, true, 2).is_push());
    }
}
