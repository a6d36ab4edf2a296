//! Which DATA frame is next, chosen when the socket takes more bytes.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{
    COST_TINY_WINDOW, Core, Key,
    stream::{Ending as BodyEnd, StreamEntry},
};
use crate::h2::{
    priority::{Allowance, PushPath, schedule::Rank},
    wire::{
        frame::{DEFAULT_FRAME, FrameHeader, flag, kind},
        rope::Rope,
    },
};

/// Bytes that are put out at a time: four default frames, so that 64 KB leave in one write.
pub(super) const TURN: usize = 64 * 1024;

/// A push joins what is put out below this only: a document that comes waits for little more than a frame.
const PUSH_TURN: usize = DEFAULT_FRAME;

/// How long pushes wait for a document whose content is queued while its window is shut. A few long round trips: a
/// client that reads its pushes first must not wait for ever.
const STALLED_PATIENCE: Duration = Duration::from_millis(500);

/// How long pushes wait for an owner that was told to go on: longer than the gaps of a busy scheduler.
const REFILL_PATIENCE: Duration = Duration::from_millis(50);

/// How often streams that wait for more urgent ones are looked at.
const PROMOTION_INTERVAL: Duration = Duration::from_millis(250);

/// A stream that has content, and waited for more urgent ones in so many intervals in which they sent, shares with them
/// from then on: 2 s. A push waits for its own document longer.
const PATIENCE: u32 = 8;

impl<T: Default> Core<T> {
    /// Moves to `out` what is to be written next, which is nothing while `out` is long, and returns when to call again
    /// if nothing happens before.
    pub(in crate::h2) fn transmit(
        &mut self,
        out: &mut Rope,
        now: Instant,
        path: &mut impl PushPath,
    ) -> Option<Instant> {
        self.now = now;
        let mut again = self.promote();
        while self.out.len() + out.len() < TURN && self.send_window > 0 {
            let Some((rank, key)) = self.schedule.first() else {
                break;
            };
            let mut most = DEFAULT_FRAME;
            if rank.is_push() {
                if self.out.len() + out.len() >= PUSH_TURN {
                    break;
                }
                if let Some(until) = self.pushes_held_until(rank) {
                    again = earlier(again, until);
                    break;
                }
                match path.allowance() {
                    Allowance::Bytes(bytes) => most = most.min(bytes).max(1),
                    Allowance::After(time) => {
                        again = earlier(again, now + time);
                        break;
                    }
                }
            }
            let put = self.put_data(rank, key, most);
            if rank.is_push() {
                path.count(put);
            }
        }
        out.append(&mut self.out);
        again
    }

    /// Whether anything is to be written. While pushes are held back, by the path or for a document, they do not count.
    pub(in crate::h2) fn has_output(&self, are_pushes_held: bool) -> bool {
        let has_content = |(rank, _): (Rank, Key)| !(are_pushes_held && rank.is_push());
        !self.out.is_empty() || (self.send_window > 0 && self.schedule.first().is_some_and(has_content))
    }

    /// Puts out a frame of a stream that can send, and returns the length of its content.
    fn put_data(&mut self, rank: Rank, key: Key, most: usize) -> usize {
        let connection_window = usize::try_from(self.send_window).unwrap_or(0);
        let Some(stream) = self.streams.get_mut(key) else {
            self.schedule.remove(rank);
            return 0;
        };
        let window = usize::try_from(stream.send_window).unwrap_or(0);
        let length = stream.queued.min(window).min(connection_window).min(most);
        let is_last = length == stream.queued;
        let is_end = is_last && matches!(stream.ending, BodyEnd::End);
        let header = FrameHeader {
            length,
            kind: kind::DATA,
            flags: if is_end { flag::END_STREAM } else { 0 },
            stream: key.id(),
        };
        header.put(self.out.tail());
        let mut left = length;
        while left > 0
            && let Some(first) = stream.queue.front_mut()
        {
            let piece = first.split_to(left.min(first.len()));
            left -= piece.len();
            if first.is_empty() {
                stream.queue.pop_front();
            }
            self.out.push(piece);
        }
        stream.queued -= length;
        self.queued -= length;
        self.count_sent(key, length, is_last);
        let cycle = self.schedule.turn(rank);
        if let Some(stream) = self.streams.get_mut(key) {
            stream.cycle = cycle;
            if is_end {
                stream.rank = None;
            }
        }
        if is_end {
            self.schedule.remove(rank);
            self.end_response(key);
            return length;
        }
        if is_last {
            self.flow(key);
        }
        self.rerank(key);
        self.wake_writer(key);
        length
    }

    /// Puts out content that is shorter than a frame and that every window takes, while no stream has anything queued.
    pub(super) fn put_at_once(&mut self, key: Key, content: Bytes, is_end: bool) {
        let header = FrameHeader {
            length: content.len(),
            kind: kind::DATA,
            flags: if is_end { flag::END_STREAM } else { 0 },
            stream: key.id(),
        };
        header.put(self.out.tail());
        self.count_sent(key, content.len(), true);
        self.out.push(content);
        if is_end {
            self.end_response(key);
        }
    }

    /// Counts content that was put out; `is_last`: it is all that was queued.
    fn count_sent(&mut self, key: Key, length: usize, is_last: bool) {
        let sent = i64::try_from(length).unwrap_or(0);
        self.send_window -= sent;
        if let Some(stream) = self.streams.get_mut(key) {
            stream.sent += length;
            stream.send_window -= sent;
            stream.progress = Some(self.now);
            stream.waits_since = self.busy_intervals;
        }
        self.has_sent = true;
        // The client answers it by window updates, of its stream and of the connection, in pieces of a kilobyte or more.
        // Updates by less are paid for only where the content, not the client's window, makes frames so short.
        let earned = if is_last { 2 * COST_TINY_WINDOW } else { 2 };
        self.frames.earn(earned + u32::try_from(length / 512).unwrap_or(0));
    }

    /// A stream's queue, window or state has changed.
    pub(super) fn update(&mut self, key: Key) {
        let is_ready = self.streams.get(key).is_some_and(can_send);
        let is_ranked = self.streams.get(key).is_some_and(|stream| stream.rank.is_some());
        if is_ready != is_ranked {
            self.rerank(key);
        }
        self.wake_writer(key);
    }

    /// Gives a stream its place among those that can send.
    pub(super) fn rerank(&mut self, key: Key) {
        let is_silent = !self.knows_priorities;
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        let is_ready = can_send(stream);
        let mut priority = stream.priority();
        // A client that says nothing of priorities gets all that it asked for in turn, as before RFC 9218.
        if is_silent {
            priority = priority.or_incremental();
        }
        match stream.rank.take() {
            // Its turn goes on.
            Some(rank) if is_ready && self.schedule.keeps(rank, key.id(), priority, stream.is_promoted) => {
                stream.rank = Some(rank);
                return;
            }
            Some(rank) => self.schedule.remove(rank),
            None if is_ready => {
                stream.progress = Some(self.now);
                stream.waits_since = self.busy_intervals;
            }
            None => {}
        }
        if is_ready {
            let rank = self
                .schedule
                .insert(key.id(), priority, stream.cycle, stream.is_promoted, key);
            stream.rank = Some(rank);
        }
    }

    /// Until when a push of this rank waits: for a document that has content and no window, and for a document or a push
    /// before it whose owner is about to go on.
    fn pushes_held_until(&self, push: Rank) -> Option<Instant> {
        let held = |key: Key| {
            let stream = self.streams.get(key).filter(|stream| stream.state.sends())?;
            let is_before = !stream.is_promised() || Rank::of_push(stream.id, stream.priority()) < push;
            let patience = if stream.queued == 0 && stream.is_refilling && is_before {
                REFILL_PATIENCE
            } else if stream.queued > 0 && stream.send_window <= 0 && !stream.is_promised() {
                STALLED_PATIENCE
            } else {
                return None;
            };
            let until = stream.progress? + patience;
            (until > self.now).then_some(until)
        };
        self.streams.all().filter_map(held).max()
    }

    /// Lets streams that have waited too long share with the most urgent; returns when to look again.
    fn promote(&mut self) -> Option<Instant> {
        if self.schedule.len() < 2 {
            self.promotion_due = None;
            return None;
        }
        let due = *self.promotion_due.get_or_insert(self.now + PROMOTION_INTERVAL);
        if due > self.now {
            return Some(due);
        }
        let due = self.now + PROMOTION_INTERVAL;
        self.promotion_due = Some(due);
        if !std::mem::take(&mut self.has_sent) {
            return Some(due);
        }
        self.busy_intervals = self.busy_intervals.wrapping_add(1);
        let Some((first, _)) = self.schedule.first() else {
            return Some(due);
        };
        let waiting = self.schedule.all().filter(|(rank, _)| rank.is_less_urgent_than(first));
        let overdue: Vec<Key> = waiting
            .map(|(_, key)| key)
            .filter(|key| self.is_overdue(*key))
            .collect();
        for key in overdue {
            if let Some(stream) = self.streams.get_mut(key) {
                stream.is_promoted = true;
            }
            self.rerank(key);
        }
        Some(due)
    }

    fn is_overdue(&self, key: Key) -> bool {
        let Some(stream) = self.streams.get(key) else {
            return false;
        };
        let is_open = |parent: u32| {
            let parent = self.streams.find(parent).and_then(|key| self.streams.get(key));
            parent.is_some_and(|parent| parent.state.sends())
        };
        !stream.parent.is_some_and(is_open) && self.busy_intervals.wrapping_sub(stream.waits_since) >= PATIENCE
    }
}

/// Whether a stream could send at once if the connection's window allows.
fn can_send<T>(stream: &StreamEntry<T>) -> bool {
    stream.queued > 0 && stream.send_window > 0 && stream.has_begun() && stream.state.sends()
}

fn earlier(one: Option<Instant>, other: Instant) -> Option<Instant> {
    Some(one.map_or(other, |one| one.min(other)))
}
