//! One client's HTTP/2 connection as a pure state machine: bytes in, events out; commands in, bytes out; time is
//! an argument. It knows no socket, no clock and no runtime (RFC 9113, RFC 9218; HPACK in `crate::hpack`).
//!
//! Reading order: [`Core`] here (what a connection is, its beginning and its end), `stream` and `streams`
//! (states, windows and queues), `receive` (frames of the client), `send` (commands of the owner), `transmit` (which
//! frame is next), `end` (of streams and of the connection), `budget` and `heads` (what a client may cost), `reason` (error codes
//! and faults).
//!
//! Invariants:
//!
//! - A header block leaves in the order in which HPACK encoded it: commands that send fields put them into `out`
//!   at once. So promised streams leave in the order of their identifiers, too (RFC 9113 section 5.1.1).
//! - Content waits in its stream, and is chosen only when the socket takes more ([`Core::transmit`]).
//! - A stream is known from its first frame, or its promise, until it is closed **and** its owner has let go.

mod budget;
mod end;
mod heads;
mod reason;
mod receive;
mod send;
mod stream;
mod streams;
#[cfg(test)]
mod tests;
mod transmit;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use http::{HeaderMap, StatusCode, request::Parts, uri::Authority};

use crate::{
    h2::{
        priority::schedule::Schedule,
        wire::{
            frame::{self, kind, setting},
            rope::Rope,
        },
    },
    hpack::{Decoder, Encoder},
    push::{Priority, Urgency},
};
use budget::Budget;
use receive::{Block, COST_TINY_WINDOW, IncomingData, settings::ClientSettings};
use stream::State;
use streams::Streams;

pub(in crate::h2) use heads::HeadBudget;
pub(crate) use reason::Fault;
pub(in crate::h2) use reason::Reason;
pub(in crate::h2) use send::{NotPromised, SendError};
pub(in crate::h2) use streams::Key;

/// Content that a client may send ahead on one stream, and on the connection, before anybody reads it.
const STREAM_WINDOW: i64 = 256 * 1024;
const CONNECTION_WINDOW: i64 = 1024 * 1024;

/// The window that every stream and connection begins with (RFC 9113 section 6.9.2).
const DEFAULT_WINDOW: i64 = 65_535;

/// Promised streams that may be open or reserved at a time, whatever the client allows.
const MAX_PROMISES: usize = 256;

/// Streams that are known, for each that may be open: a client may reset what it has asked for, and go on, while
/// the owner is still busy with it.
const STREAMS_PER_OPEN: usize = 4;

/// Request headers of all streams together may hold so many times what one may.
const HEADER_BUDGET: usize = 16;

/// Ended streams that are remembered, so that frames which were under way are known to be late.
const MAX_REMEMBERED: usize = 64;

/// PRIORITY_UPDATE frames that are remembered before their request comes (RFC 9218 section 7.1).
const MAX_EARLY_PRIORITIES: usize = 64;

/// How long the final GOAWAY of a shutdown waits for the PING that follows the first one.
const SHUTDOWN_ROUND_TRIP: Duration = Duration::from_secs(1);

/// The opaque data of that PING.
const SHUTDOWN_PING: [u8; 8] = *b"shutdown";

/// The limits of a connection.
#[derive(Debug, Clone, Copy)]
pub(in crate::h2) struct Config {
    /// SETTINGS_MAX_CONCURRENT_STREAMS.
    pub(in crate::h2) max_streams: u32,
    /// SETTINGS_MAX_HEADER_LIST_SIZE, bytes.
    pub(in crate::h2) max_header_bytes: u32,
    /// Fields of a request.
    pub(in crate::h2) max_header_fields: usize,
    /// Stream errors of the client's making after which the connection is closed.
    pub(in crate::h2) max_malformed: u32,
    /// The limit of request heads that all connections of the process share; `None` in tests of one connection.
    pub(in crate::h2) shared_heads: Option<&'static HeadBudget>,
}

/// The head of a response. Fields that belong to a connection are left out when it is sent.
#[derive(Debug, Clone, Copy)]
pub(in crate::h2) struct Response<'r> {
    pub(in crate::h2) status: StatusCode,
    pub(in crate::h2) headers: &'r HeaderMap,
    /// There is no content.
    pub(in crate::h2) is_end: bool,
}

/// An event for the owner of a connection.
#[derive(Debug)]
pub(in crate::h2) enum Event<T> {
    /// A request, whose fields are complete; `is_end`: it has no content.
    Request { key: Key, head: Box<Parts>, is_end: bool },
    /// Content or the end of a request has come.
    Readable(Key),
    /// A queue that was waited for is short again.
    Writable(Key),
    /// A stream has come to its end after `sent` bytes of content; `reason` tells of a reset. Its side is given back.
    Closed {
        key: Key,
        side: T,
        sent: usize,
        reason: Option<Reason>,
    },
    /// The client's SETTINGS, as far as they are about pushes.
    Settings { enable_push: bool, max_streams: u32 },
    /// The client reset a promised stream.
    PromiseRefused,
    /// The client takes no new promise.
    GoingAway,
    /// A stream, or with `None` the connection, failed by the client's doing.
    Fault { fault: Fault, stream: Option<u32> },
}

/// How far the beginning of a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beginning {
    /// So many bytes of the preface have come.
    Preface(usize),
    /// The preface has come, SETTINGS must be next.
    Settings,
    Done,
}

/// How far the end of a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// It serves.
    None,
    /// The first GOAWAY of a shutdown is sent; requests that were under way are still taken.
    Announced { until: Instant },
    /// The last GOAWAY is sent; requests up to it are finished.
    Draining,
    /// Nothing more is read or sent, but what is in `out`.
    Failed,
}

/// How a stream ends on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StreamEnd {
    /// Both halves are complete.
    Complete,
    ResetByClient(Reason),
    ResetByUs(Reason),
}

/// The state machine; `T` is what the owner keeps beside each stream.
#[derive(Debug)]
pub(in crate::h2) struct Core<T> {
    config: Config,
    /// The time that was told last.
    now: Instant,
    beginning: Beginning,
    ending: Ending,
    events: VecDeque<Event<T>>,
    streams: Streams<T>,

    // The receiving side.
    decoder: Decoder,
    /// A frame that has not come as a whole; never DATA.
    partial: Vec<u8>,
    content: Option<IncomingData>,
    block: Option<Block>,
    receive_window: i64,
    unreported: u32,
    last_request: u32,
    /// The last request that came after our GOAWAY, and is ignored.
    last_ignored: u32,
    open_requests: usize,
    header_bytes: usize,
    last_authority: Option<Authority>,
    stream_faults: u32,
    resets: Budget,
    frames: Budget,
    early_priorities: Vec<(u32, Priority)>,
    /// Streams that ended lately, and how; some older ones may be forgotten.
    remembered: VecDeque<(u32, StreamEnd)>,
    has_forgotten: bool,
    /// The client has said something about priorities: RFC 9218 holds for all that it asks for.
    knows_priorities: bool,

    // The sending side.
    encoder: Encoder,
    client: ClientSettings,
    is_client_going: bool,
    send_window: i64,
    out: Rope,
    schedule: Schedule<Key>,
    queued: usize,
    next_promise: u32,
    /// Promised streams whose response has begun: those that the client's limit counts.
    open_promises: usize,
    /// Promised streams whose head waits for that limit.
    held: VecDeque<Key>,
    is_opening: bool,
    promotion_due: Option<Instant>,
    /// Intervals of promotion in which content was sent, and whether some was in this one.
    busy_intervals: u32,
    has_sent: bool,
}

impl<T: Default> Core<T> {
    /// Returns a connection that awaits the client's preface. Ours is to be sent at once.
    pub(in crate::h2) fn new(config: Config, now: Instant) -> Self {
        let streams = config.max_streams;
        let mut core = Self {
            config,
            now,
            beginning: Beginning::Preface(0),
            ending: Ending::None,
            events: VecDeque::new(),
            streams: Streams::default(),
            decoder: Decoder::new(4096),
            partial: Vec::new(),
            content: None,
            block: None,
            receive_window: CONNECTION_WINDOW,
            unreported: 0,
            last_request: 0,
            last_ignored: 0,
            open_requests: 0,
            header_bytes: 0,
            last_authority: None,
            stream_faults: 0,
            // Resets: what a page full of images comes to when it is left; then as nghttp2 has it.
            resets: Budget::new(streams.saturating_mul(4).clamp(200, 1000), 33),
            frames: Budget::new(5_000, 200),
            early_priorities: Vec::new(),
            remembered: VecDeque::new(),
            has_forgotten: false,
            knows_priorities: false,
            encoder: Encoder::new(),
            client: ClientSettings::default(),
            is_client_going: false,
            send_window: DEFAULT_WINDOW,
            out: Rope::default(),
            schedule: Schedule::default(),
            queued: 0,
            next_promise: 2,
            open_promises: 0,
            held: VecDeque::new(),
            is_opening: false,
            promotion_due: None,
            busy_intervals: 0,
            has_sent: false,
        };
        let out = core.out.tail();
        frame::put_settings(
            out,
            &[
                (setting::MAX_CONCURRENT_STREAMS, config.max_streams),
                (setting::INITIAL_WINDOW_SIZE, window_number(STREAM_WINDOW)),
                (setting::MAX_HEADER_LIST_SIZE, config.max_header_bytes),
                (setting::NO_RFC7540_PRIORITIES, 1),
            ],
        );
        let more = window_number(CONNECTION_WINDOW - DEFAULT_WINDOW);
        frame::put_number(out, kind::WINDOW_UPDATE, 0, more);
        core
    }

    /// Begins with a request that came as HTTP/1.1 and asked for an upgrade, and with the payload of its
    /// HTTP2-Settings, which the 101 acknowledged (RFC 7540 section 3.2). The client's preface is still to come, and the
    /// request waits for it: Java's client, up to version 17 at least, now and then misreads what comes before it has
    /// sent it.
    ///
    /// # Errors
    ///
    /// The settings are none.
    pub(in crate::h2) fn begin_upgraded(&mut self, settings: &[u8], head: Box<Parts>) -> Result<(), Fault> {
        self.apply_settings(settings)?;
        self.last_request = 1;
        let key = self.insert_request(1, State::HalfClosedRemote, Priority::of(&head.headers));
        self.events.push_back(Event::Request {
            key,
            head,
            is_end: true,
        });
        Ok(())
    }

    /// Returns the next event.
    pub(in crate::h2) fn poll_event(&mut self) -> Option<Event<T>> {
        if !self.has_events() {
            return None;
        }
        let event = self.events.pop_front();
        if self.events.is_empty() && self.events.capacity() > MAX_KEPT_EVENTS {
            self.events = VecDeque::new();
        }
        event
    }

    /// Whether there are events.
    pub(in crate::h2) fn has_events(&self) -> bool {
        // Before the preface there is nothing but the request of an upgraded connection.
        let awaits_preface = matches!(self.beginning, Beginning::Preface(_)) && self.ending != Ending::Failed;
        !awaits_preface && !self.events.is_empty()
    }

    /// Returns the owner's side of a stream that is not closed.
    pub(in crate::h2) fn side(&mut self, key: Key) -> Option<&mut T> {
        let stream = self.streams.get_mut(key)?;
        (stream.state != State::Closed).then_some(&mut stream.side)
    }

    /// Returns how urgent the response of a stream is.
    pub(in crate::h2) fn urgency(&self, key: Key) -> Urgency {
        let stream = self.streams.get(key);
        stream.map_or_else(Urgency::default, |stream| stream.priority().urgency())
    }

    /// Whether the client's preface and SETTINGS have come.
    pub(in crate::h2) fn has_begun(&self) -> bool {
        self.beginning == Beginning::Done
    }

    /// Streams that are not closed, or that somebody is still busy with.
    pub(in crate::h2) fn stream_count(&self) -> usize {
        self.streams.len()
    }

    /// Whether bytes of the client are still of use. A client that takes no answers is not listened to either.
    pub(in crate::h2) fn reads(&self) -> bool {
        self.ending != Ending::Failed && self.out.len() < MAX_UNWRITTEN
    }

    /// Content bytes are no longer held: the connection's window opens again, in steps of some size.
    fn give_back(&mut self, bytes: usize) {
        self.unreported = self.unreported.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        if i64::from(self.unreported) >= CONNECTION_WINDOW / 2 && self.ending != Ending::Failed {
            let more = std::mem::take(&mut self.unreported);
            frame::put_number(self.out.tail(), kind::WINDOW_UPDATE, 0, more);
            self.receive_window += i64::from(more);
        }
    }

    /// Returns all received content of a stream, and opens its windows; `None` where none is there.
    pub(in crate::h2) fn read(&mut self, key: Key) -> Option<BytesMut> {
        let stream = self.streams.get_mut(key).filter(|stream| !stream.received.is_empty())?;
        let content = stream.received.split();
        self.give_back_to(key, content.len());
        Some(content)
    }

    /// As [`Self::give_back`], for the windows of a stream and of the connection.
    fn give_back_to(&mut self, key: Key, bytes: usize) {
        if let Some(stream) = self.streams.get_mut(key) {
            let more = u32::try_from(bytes).unwrap_or(u32::MAX);
            stream.unreported = stream.unreported.saturating_add(more);
            if stream.state.receives() && i64::from(stream.unreported) >= STREAM_WINDOW / 2 {
                let more = std::mem::take(&mut stream.unreported);
                stream.receive_window += i64::from(more);
                frame::put_number(self.out.tail(), kind::WINDOW_UPDATE, key.id(), more);
            }
        }
        self.give_back(bytes);
    }

    /// Whether the request of a stream has come as a whole, and was read. That of a stream which was reset before has
    /// not: nobody may take it for complete.
    pub(in crate::h2) fn is_request_done(&self, key: Key) -> bool {
        let stream = self.streams.get(key);
        stream.is_some_and(|stream| stream.is_request_complete && stream.received.is_empty())
    }

    /// Whether the connection is over for all of its streams.
    pub(in crate::h2) fn has_failed(&self) -> bool {
        self.ending == Ending::Failed
    }

    /// Returns the reason for which a stream was reset, if it was.
    pub(in crate::h2) fn reset_reason(&self, key: Key) -> Option<Reason> {
        match self.streams.get(key) {
            None => Some(Reason::CANCEL),
            Some(stream) => stream.reset,
        }
    }
}

/// Events whose queue is longer are given back.
const MAX_KEPT_EVENTS: usize = 16;

/// Bytes that may wait to be written before nothing is read any more: some turns of frames, and the answers
/// to what was read before.
const MAX_UNWRITTEN: usize = 256 * 1024;

/// A window as the number of a frame.
fn window_number(window: i64) -> u32 {
    u32::try_from(window).unwrap_or(0)
}

/// Whether this is the payload of a SETTINGS frame.
pub(in crate::h2) fn settings_are_good(payload: &[u8]) -> bool {
    payload.len() <= frame::DEFAULT_FRAME && ClientSettings::default().after(payload).is_ok()
}
