//! Ends streams and the connection: shutdown, faults, time limits (RFC 9113 sections 5.4 and 6.8).
//!
//! Every stream ends in [`Core::close`], which keeps all counters right; every failure of a connection in `end`.

use std::time::{Duration, Instant};

use super::{
    Core, EndedBy, Ending, Event, Fault, Key, MAX_REMEMBERED, Reason, SHUTDOWN_PING, SHUTDOWN_ROUND_TRIP, StreamEnd,
    stream::{HeadProgress, State},
    window_number,
};
use crate::h2::wire::{
    frame::{self, MAX_WINDOW, kind},
    rope::Rope,
};

impl<T: Default> Core<T> {
    /// Returns whether the transport is to be closed once all bytes are written.
    pub(in crate::h2) fn is_done(&self) -> bool {
        match self.ending {
            Ending::Failed => true,
            Ending::Draining => self.streams.is_empty(),
            Ending::None | Ending::Announced { .. } => self.is_client_going && self.streams.is_empty(),
        }
    }

    /// Begins a graceful shutdown (RFC 9113 section 6.8): requests are still taken until the client has acknowledged a
    /// PING, or [`SHUTDOWN_ROUND_TRIP`] has passed.
    pub(in crate::h2) fn shut_down(&mut self, now: Instant) {
        if self.ending == Ending::None {
            let out = self.out.tail();
            frame::put_goaway(out, window_number(MAX_WINDOW), Reason::NO_ERROR.0);
            frame::put(out, kind::PING, 0, 0, &SHUTDOWN_PING);
            self.ending = Ending::Announced {
                until: now + SHUTDOWN_ROUND_TRIP,
            };
        }
    }

    /// Sends GOAWAY with the last request that is served; the connection ends with its last stream.
    pub(in crate::h2) fn go_away(&mut self) {
        if matches!(self.ending, Ending::None | Ending::Announced { .. }) {
            frame::put_goaway(self.out.tail(), self.last_request, Reason::NO_ERROR.0);
            self.ending = Ending::Draining;
        }
    }

    /// Ends the connection without further bytes, because the client is gone.
    pub(in crate::h2) fn disconnect(&mut self) {
        self.out = Rope::default();
        self.end(Reason::CANCEL);
    }

    fn end(&mut self, reason: Reason) {
        self.ending = Ending::Failed;
        for key in self.streams.keys() {
            self.close(key, StreamEnd::ResetByUs(reason));
        }
        self.partial = Vec::new();
        self.content = None;
        self.block = None;
    }

    /// Fails the connection (RFC 9113 section 5.4.1).
    pub(super) fn fail(&mut self, fault: Fault) {
        if self.ending != Ending::Failed {
            frame::put_goaway(self.out.tail(), self.last_request, fault.reason().0);
            self.events.push_back(Event::Fault { fault, stream: None });
            self.end(fault.reason());
        }
    }

    /// Counts a malformed request, and fails the connection at `max_malformed`.
    pub(super) fn count_malformed(&mut self) {
        self.stream_faults += 1;
        if self.stream_faults >= self.config.max_malformed {
            self.fail(Fault::TooManyMalformed);
        }
    }

    /// Carries out what is due when nothing else happens, and returns the time of the next call, if there is one.
    pub(in crate::h2) fn tick(&mut self, now: Instant) -> Option<Instant> {
        match self.ending {
            Ending::Announced { until } if until <= now => {
                self.go_away();
                None
            }
            Ending::Announced { until } => Some(until),
            Ending::None | Ending::Draining | Ending::Failed => None,
        }
    }

    /// Resets streams whose client has taken none of the queued content for `limit`. Streams whose owner waits for the
    /// queue are left out: the owner has a time limit of its own.
    pub(in crate::h2) fn reset_stalled(&mut self, limit: Duration, now: Instant) {
        for key in self.streams.keys() {
            let Some(stream) = self.streams.get_mut(key).filter(|stream| stream.queued > 0) else {
                continue;
            };
            let since = *stream.progress.get_or_insert(now);
            if !stream.is_awaited && now.saturating_duration_since(since) >= limit {
                self.reset(key, Reason::CANCEL);
            }
        }
    }

    /// Closes a stream that has ended on the wire, and gives the owner its data back by [`Event::Closed`].
    pub(super) fn close(&mut self, key: Key, end: StreamEnd) {
        let Some(stream) = self.streams.get_mut(key).filter(|stream| stream.state != State::Closed) else {
            return;
        };
        let reason = match end {
            StreamEnd::Complete => None,
            StreamEnd::ResetByClient(reason) | StreamEnd::ResetByUs(reason) => Some(reason),
        };
        if let Some(rank) = stream.rank.take() {
            self.schedule.remove(rank);
        }
        let by = match end {
            StreamEnd::ResetByClient(_) => EndedBy::Client,
            StreamEnd::ResetByUs(_) if self.ending == Ending::Failed => EndedBy::Connection,
            StreamEnd::Complete | StreamEnd::ResetByUs(_) => EndedBy::Server,
        };
        let was_open = stream.is_promised() && stream.has_begun() && stream.state.sends();
        let was_held = matches!(
            std::mem::replace(&mut stream.head, HeadProgress::Sent),
            HeadProgress::Held(_)
        );
        stream.state = State::Closed;
        stream.reset = reason;
        stream.is_awaited = false;
        self.queued -= stream.queued;
        let (side, sent) = (std::mem::take(&mut stream.side), stream.sent);
        let (is_promised, is_attached) = (stream.is_promised(), stream.is_attached);
        let is_unread = reason.is_some() || !is_attached;
        let unread = if is_unread { stream.discard() } else { 0 };
        stream.is_request_complete &= unread == 0;
        let header_bytes = std::mem::take(&mut stream.header_bytes);
        self.header_bytes -= header_bytes;
        if let Some(shared) = self.config.shared_heads.filter(|_| header_bytes > 0) {
            shared.give_back(header_bytes);
        }
        self.give_back(unread);
        self.open_promises -= usize::from(was_open);
        self.open_requests -= usize::from(!is_promised);
        if was_held {
            self.held.retain(|held| *held != key);
        }
        self.remember(key.id(), end);
        if reason.is_none() {
            self.resets.earn(1);
            self.frames.earn(10);
        }
        self.events.push_back(Event::Closed {
            key,
            side,
            sent,
            reason,
            by,
        });
        if !is_attached {
            self.streams.remove(key);
        }
        if is_promised {
            self.open_held();
        }
    }

    /// Remembers how a stream ended, for late frames.
    pub(super) fn remember(&mut self, id: u32, end: StreamEnd) {
        if self.remembered.len() >= MAX_REMEMBERED {
            self.remembered.pop_front();
            self.has_forgotten = true;
        }
        self.remembered.push_back((id, end));
    }
}
