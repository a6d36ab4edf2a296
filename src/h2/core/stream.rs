//! One stream: its state, its two windows, and the content that waits in either direction.

use std::{collections::VecDeque, time::Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};

use super::Reason;
use crate::{h2::priority::schedule::Rank, push::Priority};

/// The states of a stream (RFC 9113 section 5.1), as a server has them:
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
/// RST_STREAM from either side leads from every state to `Closed`. An idle stream is no object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::h2) enum State {
    /// Promised; its response has not begun.
    ReservedLocal,
    Open,
    /// The response is complete, the request is not.
    HalfClosedLocal,
    /// The request is complete, the response is not.
    HalfClosedRemote,
    Closed,
}

impl State {
    /// Whether the client may still send content or trailers.
    pub(super) const fn receives(self) -> bool {
        matches!(self, Self::Open | Self::HalfClosedLocal)
    }

    /// Whether response frames may still be sent.
    pub(super) const fn sends(self) -> bool {
        matches!(self, Self::ReservedLocal | Self::Open | Self::HalfClosedRemote)
    }

    /// The state once the client has ended its half.
    pub(super) const fn remote_ended(self) -> Self {
        match self {
            Self::Open => Self::HalfClosedRemote,
            Self::HalfClosedLocal => Self::Closed,
            other => other,
        }
    }

    /// The state once the response is complete.
    pub(super) const fn local_ended(self) -> Self {
        match self {
            Self::Open => Self::HalfClosedLocal,
            Self::ReservedLocal | Self::HalfClosedRemote => Self::Closed,
            other => other,
        }
    }
}

/// How a response ends.
#[derive(Debug)]
pub(super) enum Ending {
    /// Not yet: more content may come.
    Open,
    /// After the queued content.
    End,
    /// After the queued content, with these fields.
    Trailers(Box<HeaderMap>),
}

/// How far the response head has come.
#[derive(Debug)]
pub(super) enum HeadProgress {
    /// Not given yet.
    Awaited,
    /// The head of a promised response, which waits for the client's stream limit.
    Held(Box<(StatusCode, HeaderMap)>),
    /// Written, or in the queue of what is written.
    Sent,
}

/// A stream with what its owner keeps beside it.
#[derive(Debug)]
pub(super) struct StreamEntry<T> {
    pub(super) id: u32,
    pub(super) state: State,
    /// The side of the owner, which goes back to it when the stream is closed.
    pub(super) side: T,
    /// A task holds the key of this stream.
    pub(super) is_attached: bool,
    /// The client, or we, have reset it.
    pub(super) reset: Option<Reason>,

    /// The client has ended its request.
    pub(super) is_request_complete: bool,
    /// Content that came and was not read.
    pub(super) received: BytesMut,
    /// Bytes that the client may still send.
    pub(super) receive_window: i64,
    /// Bytes that were read and not yet given back to the client's window.
    pub(super) unreported: u32,
    /// Content bytes that are still to come, where content-length told.
    pub(super) remaining: Option<u64>,
    /// Bytes of request fields that were allocated for it.
    pub(super) header_bytes: usize,

    pub(super) head: HeadProgress,
    /// Content that waits to be sent.
    pub(super) queue: VecDeque<Bytes>,
    pub(super) queued: usize,
    /// Content bytes that were put out.
    pub(super) sent: usize,
    pub(super) ending: Ending,
    /// Bytes that the client takes; negative after SETTINGS made it smaller (RFC 9113 section 6.9.2).
    pub(super) send_window: i64,
    /// The owner waits until the queue is shorter.
    pub(super) is_awaited: bool,
    /// The owner was told that it may go on, and has not yet.
    pub(super) is_refilling: bool,
    /// When it last sent, or could not: write time limits count from here.
    pub(super) progress: Option<Instant>,

    /// For a promised stream, the urgency of its plan.
    pub(super) planned: Priority,
    /// Asked by the client, in the request or by PRIORITY_UPDATE.
    pub(super) requested: Priority,
    /// Asked by the origin, in the response.
    pub(super) origin: Priority,
    /// Its place among those that can send, while it is one of them.
    pub(super) rank: Option<Rank>,
    /// Turns that an incremental stream has had (see [`crate::h2::priority::schedule`]).
    pub(super) cycle: u32,
    /// The interval in which it was ready, or had its turn, last.
    pub(super) waits_since: u32,
    /// It waited so long that it shares with the most urgent.
    pub(super) is_promoted: bool,
    /// The document of a promised stream.
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

    /// Whether the server promised it.
    pub(super) const fn is_promised(&self) -> bool {
        self.id.is_multiple_of(2)
    }

    /// Whether the head is on its way, so that content may follow.
    pub(super) const fn has_begun(&self) -> bool {
        matches!(self.head, HeadProgress::Sent)
    }

    /// What asks most lately and most closely counts: the origin's word before the client's (RFC 9218
    /// section 8), the plan's last.
    pub(super) fn priority(&self) -> Priority {
        self.origin.or(self.requested).or(self.planned)
    }

    /// Drops all content that waits in either direction; returns how many received bytes were dropped.
    pub(super) fn discard(&mut self) -> usize {
        let dropped = self.received.len();
        self.received = BytesMut::new();
        self.queue = VecDeque::new();
        self.queued = 0;
        self.ending = Ending::Open;
        dropped
    }
}
