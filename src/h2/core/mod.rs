//! Implements one client's HTTP/2 connection as a pure state machine (RFC 9113, RFC 9218): bytes in, events out;
//! commands in, bytes out; time is an argument. The machine knows no socket, no clock and no runtime.
//!
//! Reading order: [`Core`] here (the state and the beginning of a connection), `stream` and `streams` (states,
//! windows and queues), `receive` (the client's frames), `send` (the owner's commands), `transmit` (which DATA frame
//! is next), `end` (how streams and the connection end), `budget` and `heads` (limits on a client's cost), `reason`
//! (error codes and faults). HPACK is in `crate::hpack`. The *owner* is the driver with the tasks of its streams.
//!
//! Invariants that a change must keep:
//!
//! - Header blocks leave in the order in which HPACK encoded them: a command that sends fields appends them to `out`
//!   at once. Thus promises also leave in the order of their stream identifiers (RFC 9113 section 5.1.1).
//! - Content waits in its stream until [`Core::transmit`] chooses it, when the socket takes more.
//! - `streams` holds a stream from its first frame or its promise until it is closed **and** detached from its owner.

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

/// Bytes of content that a client may send on one stream, and on the connection, before they are read.
const STREAM_WINDOW: i64 = 256 * 1024;
const CONNECTION_WINDOW: i64 = 1024 * 1024;

/// The window that every stream and connection begins with, in bytes (RFC 9113 section 6.9.2).
const DEFAULT_WINDOW: i64 = 65_535;

/// Limit of promised streams that are open or reserved at a time; the client's own limit counts open ones only.
const MAX_PROMISES: usize = 256;

/// Factor from `max_streams` to the number of requested streams in memory: after a reset the client may open another
/// stream while the owner still works on the one that was reset.
const STREAMS_PER_OPEN: usize = 4;

/// Factor from `max_header_bytes` to the bytes that the request fields of all streams may hold together.
const HEADER_BUDGET: usize = 16;

/// Number of ended streams that are remembered, so that late frames for them are recognised.
const MAX_REMEMBERED: usize = 64;

/// Number of PRIORITY_UPDATE frames that are stored until their request comes (RFC 9218 section 7.1).
const MAX_EARLY_PRIORITIES: usize = 64;

/// The longest time between the two GOAWAY frames of a shutdown; an acknowledged PING ends the wait earlier.
const SHUTDOWN_ROUND_TRIP: Duration = Duration::from_secs(1);

/// The opaque data of the PING between these GOAWAY frames.
const SHUTDOWN_PING: [u8; 8] = *b"shutdown";

/// The limits of a connection.
#[derive(Debug, Clone, Copy)]
pub(in crate::h2) struct Config {
    /// SETTINGS_MAX_CONCURRENT_STREAMS.
    pub(in crate::h2) max_streams: u32,
    /// SETTINGS_MAX_HEADER_LIST_SIZE, bytes.
    pub(in crate::h2) max_header_bytes: u32,
    /// Number of fields in a request, without Cookie fields.
    pub(in crate::h2) max_header_fields: usize,
    /// Number of stream errors by the client's fault at which the connection is closed.
    pub(in crate::h2) max_malformed: u32,
    /// The limit of request heads that all connections of the process share; `None` in tests of one connection.
    pub(in crate::h2) shared_heads: Option<&'static HeadBudget>,
}

/// The head of a response. Connection-specific fields in `headers` are not sent (RFC 9113 section 8.2.2).
#[derive(Debug, Clone, Copy)]
pub(in crate::h2) struct Response<'r> {
    pub(in crate::h2) status: StatusCode,
    pub(in crate::h2) headers: &'r HeaderMap,
    /// The response has no content.
    pub(in crate::h2) is_end: bool,
}

/// An event for the owner of a connection.
#[derive(Debug)]
pub(in crate::h2) enum Event<T> {
    /// A request has come, with all its fields; `is_end`: the request has no content.
    Request { key: Key, head: Box<Parts>, is_end: bool },
    /// Content or the end of a request has come.
    Readable(Key),
    /// The stream takes content again, after [`Core::poll_writable`] returned `false`.
    Writable(Key),
    /// A stream was closed after `sent` bytes of content; `reason` is that of a reset. `side` is the owner's data.
    Closed {
        key: Key,
        side: T,
        sent: usize,
        reason: Option<Reason>,
        by: EndedBy,
    },
    /// The client's SETTINGS that concern pushes.
    Settings { enable_push: bool, max_streams: u32 },
    /// The client reset a promised stream.
    PromiseRefused,
    /// The client sent GOAWAY: new promises are not sent any more.
    GoingAway,
    /// A stream, or with `None` the connection, failed by the client's fault.
    Fault { fault: Fault, stream: Option<u32> },
}

/// The party that ended a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::h2) enum EndedBy {
    /// The client reset the stream.
    Client,
    /// The connection failed, or its client is gone.
    Connection,
    /// The stream is complete, or was reset here.
    Server,
}

/// Progress of the beginning of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beginning {
    /// This number of bytes of the preface has come.
    Preface(usize),
    /// The preface has come, SETTINGS must be next.
    Settings,
    Done,
}

/// Progress of the end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The connection does not end yet.
    None,
    /// The first GOAWAY of a shutdown was sent; requests that the client sends before it sees GOAWAY are served.
    Announced { until: Instant },
    /// The last GOAWAY was sent; requests up to the one that it names are served.
    Draining,
    /// Nothing more is read, and only the bytes in `out` are still sent.
    Failed,
}

/// The way in which a stream ended on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StreamEnd {
    /// Both halves are complete.
    Complete,
    ResetByClient(Reason),
    ResetByUs(Reason),
}

/// The state machine; `T` is the owner's data of each stream.
#[derive(Debug)]
pub(in crate::h2) struct Core<T> {
    config: Config,
    /// The time that the last call passed.
    now: Instant,
    beginning: Beginning,
    ending: Ending,
    events: VecDeque<Event<T>>,
    streams: Streams<T>,

    // The receiving side.
    decoder: Decoder,
    /// The first bytes of a frame that has not come as a whole; DATA is only here until its header has come.
    partial: Vec<u8>,
    content: Option<IncomingData>,
    block: Option<Block>,
    receive_window: i64,
    /// Bytes that were read and not yet given back to the client by WINDOW_UPDATE.
    unreported: u32,
    last_request: u32,
    /// The stream identifier of the last request that came after our final GOAWAY and was ignored.
    last_ignored: u32,
    open_requests: usize,
    header_bytes: usize,
    last_authority: Option<Authority>,
    stream_faults: u32,
    resets: Budget,
    frames: Budget,
    early_priorities: Vec<(u32, Priority)>,
    /// The last [`MAX_REMEMBERED`] streams that ended, and how each ended.
    remembered: VecDeque<(u32, StreamEnd)>,
    /// Ended streams were dropped from `remembered`.
    has_forgotten: bool,
    /// The client has sent a priority or SETTINGS_NO_RFC7540_PRIORITIES: RFC 9218 applies to all its requests.
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
    /// Number of promised streams whose response has begun; the client's SETTINGS_MAX_CONCURRENT_STREAMS limits it.
    open_promises: usize,
    /// Promised streams whose response head waits because `open_promises` has reached the client's limit.
    held: VecDeque<Key>,
    /// [`Core::open_held`] is running.
    is_opening: bool,
    promotion_due: Option<Instant>,
    /// Number of promotion intervals in which content was sent.
    busy_intervals: u32,
    /// Content was sent in the present interval.
    has_sent: bool,
}

impl<T: Default> Core<T> {
    /// Returns a connection that awaits the client's preface. The server's own SETTINGS are ready to be sent.
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
            // The burst covers a client that leaves a page full of images; 33 a second is nghttp2's default.
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
    /// HTTP2-Settings field, which the 101 acknowledged (RFC 7540 section 3.2). The request waits for the client's
    /// preface: Java's client (17 and older) sometimes misreads frames that come before it has sent its preface.
    ///
    /// # Errors
    ///
    /// The payload is not one of a SETTINGS frame.
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

    /// Returns whether there are events.
    pub(in crate::h2) fn has_events(&self) -> bool {
        // Before the preface the only events are those of an upgraded connection's request, which waits for it.
        let awaits_preface = matches!(self.beginning, Beginning::Preface(_)) && self.ending != Ending::Failed;
        !awaits_preface && !self.events.is_empty()
    }

    /// Returns the owner's data of a stream that is not closed.
    pub(in crate::h2) fn side(&mut self, key: Key) -> Option<&mut T> {
        let stream = self.streams.get_mut(key)?;
        (stream.state != State::Closed).then_some(&mut stream.side)
    }

    /// Returns the urgency of a stream's response (RFC 9218 section 4.1).
    pub(in crate::h2) fn urgency(&self, key: Key) -> Urgency {
        let stream = self.streams.get(key);
        stream.map_or_else(Urgency::default, |stream| stream.priority().urgency())
    }

    /// Returns whether the client's preface and SETTINGS have come.
    pub(in crate::h2) fn has_begun(&self) -> bool {
        self.beginning == Beginning::Done
    }

    /// Returns the number of streams that are not closed, or not yet detached from their owner.
    pub(in crate::h2) fn stream_count(&self) -> usize {
        self.streams.len()
    }

    /// Returns whether the client's bytes are to be read: not while [`MAX_UNWRITTEN`] bytes wait for it to read them.
    pub(in crate::h2) fn reads(&self) -> bool {
        self.ending != Ending::Failed && self.out.len() < MAX_UNWRITTEN
    }

    /// Gives bytes of content back to the connection's window, by a WINDOW_UPDATE for each half window.
    fn give_back(&mut self, bytes: usize) {
        self.unreported = self.unreported.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        if i64::from(self.unreported) >= CONNECTION_WINDOW / 2 && self.ending != Ending::Failed {
            let more = std::mem::take(&mut self.unreported);
            frame::put_number(self.out.tail(), kind::WINDOW_UPDATE, 0, more);
            self.receive_window += i64::from(more);
        }
    }

    /// Returns all received content of a stream and gives it back to the windows; `None` if there is none.
    pub(in crate::h2) fn read(&mut self, key: Key) -> Option<BytesMut> {
        let stream = self.streams.get_mut(key).filter(|stream| !stream.received.is_empty())?;
        let content = stream.received.split();
        self.give_back_to(key, content.len());
        Some(content)
    }

    /// Gives bytes of content back to the windows of a stream and of the connection, as [`Self::give_back`].
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

    /// Returns whether the request of a stream has come as a whole, and was read. A request whose unread content was
    /// dropped by a reset is not done: its owner must not take it for complete.
    pub(in crate::h2) fn is_request_done(&self, key: Key) -> bool {
        let stream = self.streams.get(key);
        stream.is_some_and(|stream| stream.is_request_complete && stream.received.is_empty())
    }

    /// Returns whether the connection is over for all of its streams.
    pub(in crate::h2) fn has_failed(&self) -> bool {
        self.ending == Ending::Failed
    }

    /// Returns the reason for which a stream was reset, if either side did.
    pub(in crate::h2) fn reset_reason(&self, key: Key) -> Option<Reason> {
        match self.streams.get(key) {
            None => Some(Reason::CANCEL),
            Some(stream) => stream.reset,
        }
    }
}

/// Capacity of the event queue above which its memory is freed when it is empty.
const MAX_KEPT_EVENTS: usize = 16;

/// Bytes that may wait to be written before reading stops: four turns of DATA frames, or responses to control frames.
const MAX_UNWRITTEN: usize = 256 * 1024;

/// Returns a window as a number in a frame.
fn window_number(window: i64) -> u32 {
    u32::try_from(window).unwrap_or(0)
}

/// Returns whether this is the payload of a SETTINGS frame.
pub(in crate::h2) fn settings_are_good(payload: &[u8]) -> bool {
    payload.len() <= frame::DEFAULT_FRAME && ClientSettings::default().after(payload).is_ok()
}
