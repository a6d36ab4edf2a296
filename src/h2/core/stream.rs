//! Holds one stream: its state (RFC 9113 section 5.1), its two windows, and the content that waits in either direction.

use std::{collections::VecDeque, time::Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};

use super::Reason;
use crate::{h2::priority::schedule::Rank, push::Priority};

/// The states of a stream (RFC 9113 section 5.1) on a server:
///
/// ```text
///       send PP                recv H
///   idle ------> ReservedLocal   idle ------> Open
///                    | send H          recv ES /  \ send ES
///                    v                        v    v
///             HalfClosedRemote <----  HalfClosedRemote  HalfClosedLocal
///                    | send ES             | send ES        | recv ES
///                    v                     v                v
///                  Closed               Closed            Closed
/// ```
///
/// RST_STREAM from either side leads from every state to `Closed`. An idle stream has no [`StreamEntry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::h2) enum State {
    /// The stream is promised; its response has not begun.
    ReservedLocal,
    Open,
    /// The response is complete, the request is not.
    HalfClosedLocal,
    /// The request is complete, the response is not.
    HalfClosedRemote,
    Closed,
}

impl State {
    /// Returns whether the client may still send content or trailers.
    pub(super) const fn receives(self) -> bool {
        matches!(self, Self::Open | Self::HalfClosedLocal)
    }

    /// Returns whether response frames may still be sent.
    pub(super) const fn sends(self) -> bool {
        matches!(self, Self::ReservedLocal | Self::Open | Self::HalfClosedRemote)
    }

    /// Returns the state after the client's END_STREAM.
    pub(super) const fn remote_ended(self) -> Self {
        match self {
            Self::Open => Self::HalfClosedRemote,
            Self::HalfClosedLocal => Self::Closed,
            other => other,
        }
    }

    /// Returns the state after our END_STREAM.
    pub(super) const fn local_ended(self) -> Self {
        match self {
            Self::Open => Self::HalfClosedLocal,
            Self::ReservedLocal | Self::HalfClosedRemote => Self::Closed,
            other => other,
        }
    }
}

/// The end of a response, as far as its owner has given it.
#[derive(Debug)]
pub(super) enum Ending {
    /// The owner may give more content.
    Open,
    /// The response ends with the queued content.
    End,
    /// The response ends after the queued content, with these trailers.
    Trailers(Box<HeaderMap>),
}

/// Progress of the response head.
#[derive(Debug)]
pub(super) enum HeadProgress {
    /// The owner has not given the head yet.
    Awaited,
    /// The head of a promised response waits for the client's stream limit.
    Held(Box<(StatusCode, HeaderMap)>),
    /// The head is in `out`, or was written.
    Sent,
}

/// A stream with its owner's data.
#[derive(Debug)]
pub(super) struct StreamEntry<T> {
    pub(super) id: u32,
    pub(super) state: State,
    /// The owner's data, which [`Event::Closed`](super::Event::Closed) gives back.
    pub(super) side: T,
    /// The owner has the key of this stream, and has not called [`detach`](super::Core::detach).
    pub(super) is_attached: bool,
    /// The error code of a reset by either side.
    pub(super) reset: Option<Reason>,

    /// The client has ended its request.
    pub(super) is_request_complete: bool,
    /// Content that has come and was not read.
    pub(super) received: BytesMut,
    /// Bytes that the client may still send.
    pub(super) receive_window: i64,
    /// Bytes that were read and not yet given back to the client by WINDOW_UPDATE.
    pub(super) unreported: u32,
    /// Bytes of content that are still to come, if the request has Content-Length.
    pub(super) remaining: Option<u64>,
    /// Size of the request fields, which counts in the budgets for request heads.
    pub(super) header_bytes: usize,

    pub(super) head: HeadProgress,
    /// Content that waits to be sent.
    pub(super) queue: VecDeque<Bytes>,
    /// Bytes of `queue`.
    pub(super) queued: usize,
    /// Bytes of content that were moved to `out`.
    pub(super) sent: usize,
    pub(super) ending: Ending,
    /// Bytes that the client takes; negative after SETTINGS made the window smaller (RFC 9113 section 6.9.2).
    pub(super) send_window: i64,
    /// The owner waits for [`Event::Writable`](super::Event::Writable).
    pub(super) is_awaited: bool,
    /// The owner was woken by `Event::Writable`, and has not sent content since.
    pub(super) is_refilling: bool,
    /// Time of the last DATA frame, or when content began to wait: write time limits count from here.
    pub(super) progress: Option<Instant>,

    /// Priority that the plan gives a promised stream.
    pub(super) planned: Priority,
    /// Priority that the client gives, in the request or by PRIORITY_UPDATE.
    pub(super) requested: Priority,
    /// Priority that the origin gives, in the response.
    pub(super) origin: Priority,
    /// The stream's place in the schedule, while it can send.
    pub(super) rank: Option<Rank>,
    /// Turns that an incremental stream has had (see [`crate::h2::priority::schedule`]).
    pub(super) cycle: u32,
    /// Value of `busy_intervals` when the stream last sent, or became ready to.
    pub(super) waits_since: u32,
    /// The stream waited so long that it takes turns with the most urgent streams.
    pub(super) is_promoted: bool,
    /// Identifier of the stream whose response is the document of this promised stream.
    pub(super) parent: Option<u32>,
}

impl<T> StreamEntry<T> {
    pub(super) fn new(id: u32, state: State, side: T, receive_window: i64, send_window: i64) -> Self {
        Self {
            id,
            state,
            side,
            is_attached: true,
            reset: None,
            is_request_complete: !matches!(state, State::Open),
            received: BytesMut::new(),
            receive_window,
            unreported: 0,
            remaining: None,
            header_bytes: 0,
            head: HeadProgress::Awaited,
            queue: VecDeque::new(),
            queued: 0,
            sent: 0,
            ending: Ending::Open,
            send_window,
            is_awaited: false,
            is_refilling: false,
            progress: None,
            planned: Priority::default(),
            requested: Priority::default(),
            origin: Priority::default(),
            rank: None,
            cycle: 0,
            waits_since: 0,
            is_promoted: false,
            parent: None,
        }
    }

    /// Returns whether the server promised this stream.
    pub(super) const fn is_promised(&self) -> bool {
        self.id.is_multiple_of(2)
    }

    /// Returns whether the response head was sent, so that content may follow.
    pub(super) const fn has_begun(&self) -> bool {
        matches!(self.head, HeadProgress::Sent)
    }

    /// Returns the priority that counts: each parameter of the origin overrides the client's (RFC 9218 section 8), and
    /// the client's overrides the plan's.
    pub(super) fn priority(&self) -> Priority {
        self.origin.or(self.requested).or(self.planned)
    }

    /// Drops all content that waits in either direction, and returns the number of received bytes among it.
    pub(super) fn discard(&mut self) -> usize {
        let dropped = self.received.len();
        self.received = BytesMut::new();
        self.queue = VecDeque::new();
        self.queued = 0;
        self.ending = Ending::Open;
        dropped
    }
}
