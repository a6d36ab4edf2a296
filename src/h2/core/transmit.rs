//! Chooses the next DATA frame, when the socket takes more bytes.
//!
//! Streams go in the order of [`crate::h2::priority::schedule`]. Pushes are held back while the path is full, while a
//! document waits for its window, and while an owner that comes before them refills its queue.

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

/// Bytes in `out` at which no more are chosen: four default frames, so that 64 KB leave in one write.
pub(super) const TURN: usize = 64 * 1024;

/// Bytes in `out` at which no push is chosen: a document that comes then waits for at most two frames of pushes.
const PUSH_TURN: usize = DEFAULT_FRAME;

/// How long pushes wait for a document whose content is queued while its window is shut: several slow round trips.
/// There is a limit because a client may read its pushes before its document.
const STALLED_PATIENCE: Duration = Duration::from_millis(500);

/// How long pushes wait for an owner that was woken to send more: longer than a busy runtime takes to run its task.
const REFILL_PATIENCE: Duration = Duration::from_millis(50);

/// The interval at which [`Core::promote`] looks for streams that have waited too long for more urgent ones.
const PROMOTION_INTERVAL: Duration = Duration::from_millis(250);

/// Number of intervals after which a ready stream is promoted: 8 * 250 ms = 2 s. Intervals in which nothing was sent
/// do not count. A push is not promoted while its document is open.
const PATIENCE: u32 = 8;

impl<T: Default> Core<T> {
    /// Appends the next frames to `out` until it holds [`TURN`] bytes, and returns when to call again if nothing
    /// happens before.
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

    /// Returns whether anything is to be written. Pushes that are held back, by the path or for a document, do not
    /// count.
    pub(in crate::h2) fn has_output(&self, are_pushes_held: bool) -> bool {
        let has_content = |(rank, _): (Rank, Key)| !(are_pushes_held && rank.is_push());
        !self.out.is_empty() || (self.send_window > 0 && self.schedule.first().is_some_and(has_content))
    }

    /// Appends a DATA frame of a stream that can send to `out`, and returns the length of its content.
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
            self.finish_if_drained(key);
        }
        self.rerank(key);
        self.wake_writer(key);
        length
    }

    /// Appends content to `out` without queueing it. The caller has checked that the content fits in one frame and in
    /// both windows, and that no stream can send.
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

    /// Counts content that was appended to `out`; `is_last`: the queue of the stream is empty now.
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
        // The client returns the content by WINDOW_UPDATE frames for the stream and the connection. Two tokens a
        // kilobyte pay for updates of 1 KiB or more; tiny ones are paid for only if the content was that short.
        let earned = if is_last { 2 * COST_TINY_WINDOW } else { 2 };
        self.frames.earn(earned + u32::try_from(length / 512).unwrap_or(0));
    }

    /// Updates the schedule after a change of a stream's queue, window or state, and wakes an owner that may go on.
    pub(super) fn update(&mut self, key: Key) {
        let is_ready = self.streams.get(key).is_some_and(can_send);
        let is_ranked = self.streams.get(key).is_some_and(|stream| stream.rank.is_some());
        if is_ready != is_ranked {
            self.rerank(key);
        }
        self.wake_writer(key);
    }

    /// Gives a stream its place in the schedule if it can send, and removes it otherwise.
    pub(super) fn rerank(&mut self, key: Key) {
        let knows_priorities = self.knows_priorities;
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        let is_ready = can_send(stream);
        let mut priority = stream.priority();
        // A client that sends no priorities gets its responses in turns, as before RFC 9218.
        if !knows_priorities {
            priority = priority.or_incremental();
        }
        match stream.rank.take() {
            // The stream's turn goes on.
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

    /// Returns until when a push of this rank waits: for a document that has content and no window, or for a document
    /// or an earlier push whose owner was woken to send more.
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

    /// Promotes streams that have waited too long for more urgent ones; returns when to look again.
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

    /// Returns whether a stream has waited for [`PATIENCE`] intervals; never for a push whose document is open.
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

/// Returns whether a stream could send at once if the connection's window allows.
fn can_send<T>(stream: &StreamEntry<T>) -> bool {
    stream.queued > 0 && stream.send_window > 0 && stream.has_begun() && stream.state.sends()
}

fn earlier(time: Option<Instant>, other: Instant) -> Option<Instant> {
    Some(time.map_or(other, |time| time.min(other)))
}
