//! Frames of the client (RFC 9113 sections 4 to 6, RFC 9218 section 7).

use std::time::Instant;

use http::{HeaderMap, StatusCode};

use super::{
    Beginning, Core, Ending, Event, Fault, HEADER_BUDGET, Key, MAX_EARLY_PRIORITIES, MAX_FIELDS, Reason, Response,
    SHUTDOWN_PING, STREAM_WINDOW, STREAMS_PER_OPEN, StreamEnd,
    request::{FieldLimits, FieldSection, NoRequest, RequestHead},
    stream::{State, Stream},
};
use crate::{
    h2::{
        hpack::FieldSink,
        wire::frame::{self, DEFAULT_FRAME, FrameHeader, HEADER_LEN, MAX_WINDOW, PREFACE, flag, kind},
    },
    push::Priority,
};

/// Why a frame does not go on.
pub(super) enum Failure {
    /// Ends a stream (RFC 9113 section 5.4.2).
    Stream(u32, Fault),
    /// Ends the connection.
    Connection(Fault),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Connection(fault)
    }
}

/// A DATA frame whose payload is on its way; it is passed on as it comes.
#[derive(Debug)]
pub(super) struct Content {
    stream: u32,
    /// The stream takes it; otherwise it is dropped.
    key: Option<Key>,
    /// Bytes of the payload that are still to come, padding and its length among them.
    left: usize,
    /// Of them padding; `None` until its length has come.
    padding: Option<usize>,
    is_end: bool,
}

/// A header block that CONTINUATION frames go on with.
#[derive(Debug)]
pub(super) struct Block {
    stream: u32,
    is_end: bool,
    fragments: Vec<u8>,
    frames: usize,
}

/// CONTINUATION frames of one header block. A client that may send 16 KB in a frame needs few; some send small
/// ones, but not hundreds.
const MAX_CONTINUATIONS: usize = 64;

/// Costs of frames that carry nothing, in tokens of the connection's budget.
const COST_SETTINGS: u32 = 20;
const COST_PING: u32 = 4;
const COST_EMPTY_DATA: u32 = 4;
const COST_TINY_WINDOW: u32 = 4;
const COST_REFUSED: u32 = 4;
const COST_OTHER: u32 = 1;

/// A window update below this is tiny.
const TINY_WINDOW: u32 = 64;

impl<T: Default> Core<T> {
    /// Takes bytes of the client, cut wherever they are.
    pub(in crate::h2) fn receive(&mut self, mut bytes: &[u8], now: Instant) {
        while !bytes.is_empty() && self.ending != Ending::Failed {
            let result = match self.beginning {
                Beginning::Preface(have) => self.receive_preface(have, &mut bytes),
                Beginning::Settings | Beginning::Done if self.content.is_some() => self.receive_content(&mut bytes),
                Beginning::Settings | Beginning::Done => self.receive_frame(&mut bytes, now),
            };
            match result {
                Ok(()) => {}
                Err(Failure::Connection(fault)) => self.fail(fault),
                Err(Failure::Stream(stream, fault)) => self.fail_stream(stream, fault, now),
            }
        }
    }

    fn receive_preface(&mut self, have: usize, bytes: &mut &[u8]) -> Result<(), Failure> {
        let awaited = PREFACE.get(have..).unwrap_or_default();
        let (come, rest) = bytes.split_at(awaited.len().min(bytes.len()));
        if !awaited.starts_with(come) {
            return Err(Fault::Preface.into());
        }
        *bytes = rest;
        self.beginning = match have + come.len() {
            all if all == PREFACE.len() => Beginning::Settings,
            have => Beginning::Preface(have),
        };
        Ok(())
    }

    fn receive_frame(&mut self, bytes: &mut &[u8], now: Instant) -> Result<(), Failure> {
        if self.partial.is_empty()
            && let Some((&head, rest)) = bytes.split_first_chunk::<HEADER_LEN>()
        {
            let header = FrameHeader::parse(head);
            self.check(header)?;
            if header.kind == kind::DATA {
                *bytes = rest;
                return self.begin_content(header, now);
            }
            if let Some((payload, rest)) = rest.split_at_checked(header.length) {
                *bytes = rest;
                return self.frame(header, payload, now);
            }
        }
        self.receive_partial(bytes, now)
    }

    /// Gathers a frame that comes in pieces.
    fn receive_partial(&mut self, bytes: &mut &[u8], now: Instant) -> Result<(), Failure> {
        if !self.gather(bytes, HEADER_LEN) {
            return Ok(());
        }
        let Some(&head) = self.partial.first_chunk::<HEADER_LEN>() else {
            return Ok(());
        };
        let header = FrameHeader::parse(head);
        self.check(header)?;
        if header.kind == kind::DATA {
            self.partial = Vec::new();
            return self.begin_content(header, now);
        }
        if !self.gather(bytes, HEADER_LEN + header.length) {
            return Ok(());
        }
        let partial = std::mem::take(&mut self.partial);
        self.frame(header, partial.get(HEADER_LEN..).unwrap_or_default(), now)
    }

    /// Fills the partial frame up to a length; `false` if more is to come.
    fn gather(&mut self, bytes: &mut &[u8], length: usize) -> bool {
        let wanted = length.saturating_sub(self.partial.len());
        let (come, rest) = bytes.split_at(wanted.min(bytes.len()));
        self.partial.extend_from_slice(come);
        *bytes = rest;
        self.partial.len() >= length
    }

    /// Checks the header of a frame, which may end the connection before the payload has come.
    fn check(&self, header: FrameHeader) -> Result<(), Failure> {
        if self.beginning == Beginning::Settings && (header.kind != kind::SETTINGS || header.has(flag::ACK)) {
            return Err(Fault::Preface.into());
        }
        if header.length > DEFAULT_FRAME {
            return Err(Fault::FrameSize.into());
        }
        let is_misplaced = match &self.block {
            Some(block) => header.kind != kind::CONTINUATION || header.stream != block.stream,
            None => header.kind == kind::CONTINUATION,
        };
        if is_misplaced {
            return Err(Fault::UnexpectedFrame.into());
        }
        Ok(())
    }

    fn frame(&mut self, header: FrameHeader, payload: &[u8], now: Instant) -> Result<(), Failure> {
        match header.kind {
            kind::HEADERS => self.headers(header, payload, now),
            kind::CONTINUATION => self.continuation(header, payload, now),
            kind::PRIORITY => self.priority(header, payload, now),
            kind::RST_STREAM => self.rst_stream(header, payload, now),
            kind::SETTINGS => self.settings(header, payload, now),
            kind::PUSH_PROMISE => Err(Fault::UnexpectedFrame.into()),
            kind::PING => self.ping(header, payload, now),
            kind::GOAWAY => self.goaway(header, payload),
            kind::WINDOW_UPDATE => self.window_update(header, payload, now),
            kind::PRIORITY_UPDATE => self.priority_update(header, payload, now),
            // RFC 9113 section 5.5.
            _ => self.spend(COST_OTHER, now),
        }
    }

    fn spend(&mut self, tokens: u32, now: Instant) -> Result<(), Failure> {
        if self.frames.spend(tokens, now) {
            Ok(())
        } else {
            Err(Fault::TooManyFrames.into())
        }
    }

    /// Whether a stream was never begun (RFC 9113 section 5.1).
    fn is_idle(&self, stream: u32) -> bool {
        if stream.is_multiple_of(2) {
            stream >= self.next_promise
        } else {
            stream > self.last_request
        }
    }

    /// Takes a frame for a stream that is closed: one that was under way when we reset the stream is dropped, any
    /// other is a fault (RFC 9113 section 5.1, closed).
    fn late(&self, stream: u32) -> Result<(), Failure> {
        if self.is_idle(stream) {
            return Err(Fault::UnexpectedFrame.into());
        }
        match self.remembered.iter().rev().find(|(id, _)| *id == stream) {
            Some((_, true)) => Ok(()),
            Some((_, false)) => Err(Failure::Stream(stream, Fault::StreamClosed)),
            None if self.has_forgotten => Ok(()),
            None => Err(Fault::StreamClosed.into()),
        }
    }

    /// Ends a stream for a fault of the client, which may not have many.
    fn fail_stream(&mut self, stream: u32, fault: Fault, now: Instant) {
        self.events.push_back(Event::Fault {
            fault,
            stream: Some(stream),
        });
        match self.streams.find(stream) {
            Some(key) => self.reset(key, fault.reason()),
            None => self.put_reset(stream, fault.reason()),
        }
        if matches!(fault, Fault::TooManyStreams | Fault::HeaderBudget) {
            // A client cannot know the limit before our SETTINGS have come.
            if !self.frames.spend(COST_REFUSED, now) {
                self.fail(Fault::TooManyFrames);
            }
            return;
        }
        self.stream_faults += 1;
        if self.stream_faults >= self.config.max_malformed {
            self.fail(Fault::TooManyMalformed);
        } else if !self.resets.spend(1, now) {
            self.fail(Fault::TooManyResets);
        }
    }

    pub(super) fn put_reset(&mut self, stream: u32, reason: Reason) {
        frame::put_number(self.out.tail(), kind::RST_STREAM, stream, reason.0);
    }

    // DATA

    fn begin_content(&mut self, header: FrameHeader, now: Instant) -> Result<(), Failure> {
        if header.stream == 0 || self.is_idle(header.stream) {
            return Err(Fault::UnexpectedFrame.into());
        }
        let length = i64::try_from(header.length).unwrap_or(i64::MAX);
        if length > self.receive_window {
            return Err(Fault::FlowControl.into());
        }
        self.receive_window -= length;
        self.content = Some(Content {
            stream: header.stream,
            key: None,
            left: header.length,
            padding: (!header.has(flag::PADDED)).then_some(0),
            is_end: header.has(flag::END_STREAM),
        });
        if header.length == 0 && header.has(flag::PADDED) {
            return Err(Fault::FrameSize.into());
        }
        if header.length == 0 && !header.has(flag::END_STREAM) {
            self.spend(COST_EMPTY_DATA, now)?;
        }
        let key = self.streams.find(header.stream);
        let found = key.and_then(|key| Some((key, self.streams.get_mut(key)?)));
        match found.map(|(key, stream)| (key, stream.state, stream)) {
            Some((key, State::Open | State::HalfClosedLocal, stream)) => {
                if length > stream.receive_window {
                    return Err(Failure::Stream(header.stream, Fault::FlowControl));
                }
                stream.receive_window -= length;
                if let Some(content) = &mut self.content {
                    content.key = Some(key);
                }
            }
            Some((_, State::ReservedLocal, _)) => return Err(Fault::UnexpectedFrame.into()),
            Some((_, State::HalfClosedRemote, _)) => {
                return Err(Failure::Stream(header.stream, Fault::StreamClosed));
            }
            Some((_, State::Closed, _)) | None => {
                self.spend(COST_OTHER, now)?;
                self.late(header.stream)?;
            }
        }
        self.end_content_if_complete()
    }

    fn receive_content(&mut self, bytes: &mut &[u8]) -> Result<(), Failure> {
        let Some(content) = &mut self.content else {
            return Ok(());
        };
        let Some(padding) = content.padding else {
            let Some((&length, rest)) = bytes.split_first() else {
                return Ok(());
            };
            *bytes = rest;
            content.left -= 1;
            let padding = usize::from(length);
            content.padding = Some(padding);
            if padding > content.left {
                return Err(Fault::Padding.into());
            }
            self.give_back_of_content(1);
            return self.end_content_if_complete();
        };
        let is_padding = content.left <= padding;
        let wanted = if is_padding {
            content.left
        } else {
            content.left - padding
        };
        let (come, rest) = bytes.split_at(wanted.min(bytes.len()));
        *bytes = rest;
        content.left -= come.len();
        let (stream, key) = (content.stream, content.key);
        if is_padding {
            self.give_back_of_content(come.len());
        } else {
            self.take_content(stream, key, come)?;
        }
        self.end_content_if_complete()
    }

    fn take_content(&mut self, id: u32, key: Option<Key>, come: &[u8]) -> Result<(), Failure> {
        let stream = key.and_then(|key| self.streams.get_mut(key));
        let Some(stream) = stream.filter(|stream| stream.is_attached && stream.state.receives()) else {
            self.give_back(come.len());
            return Ok(());
        };
        if let Some(remaining) = &mut stream.remaining {
            let length = u64::try_from(come.len()).unwrap_or(u64::MAX);
            match remaining.checked_sub(length) {
                Some(left) => *remaining = left,
                None => {
                    self.give_back(come.len());
                    return Err(Failure::Stream(id, Fault::ContentLength));
                }
            }
        }
        if stream.received.is_empty()
            && let Some(key) = key
        {
            self.events.push_back(Event::Readable(key));
        }
        stream.received.extend_from_slice(come);
        Ok(())
    }

    /// Padding and what nobody reads does not stay out of the windows.
    fn give_back_of_content(&mut self, bytes: usize) {
        let key = self.content.as_ref().and_then(|content| content.key);
        if let Some(stream) = key.and_then(|key| self.streams.get_mut(key)) {
            stream.unreported = stream
                .unreported
                .saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        }
        self.give_back(bytes);
    }

    fn end_content_if_complete(&mut self) -> Result<(), Failure> {
        let Some(content) = self.content.take_if(|content| content.left == 0) else {
            return Ok(());
        };
        match content.key {
            Some(key) if content.is_end => self.end_request(key, None),
            _ => Ok(()),
        }
    }

    /// The client has ended its half of a stream.
    fn end_request(&mut self, key: Key, trailers: Option<HeaderMap>) -> Result<(), Failure> {
        let Some(stream) = self.streams.get_mut(key).filter(|stream| stream.state.receives()) else {
            return Ok(());
        };
        if stream.remaining.is_some_and(|remaining| remaining > 0) {
            return Err(Failure::Stream(key.id(), Fault::ContentLength));
        }
        stream.trailers = trailers;
        let state = stream.state.remote_ended();
        self.events.push_back(Event::Readable(key));
        if state == State::Closed {
            self.close(key, StreamEnd::Complete);
        } else {
            stream.state = state;
        }
        Ok(())
    }

    // HEADERS and CONTINUATION

    fn headers(&mut self, header: FrameHeader, payload: &[u8], now: Instant) -> Result<(), Failure> {
        if header.stream.is_multiple_of(2) {
            return Err(Fault::UnexpectedFrame.into());
        }
        let mut fragment = payload;
        if header.has(flag::PADDED) {
            let (&padding, rest) = payload.split_first().ok_or(Fault::FrameSize)?;
            let length = rest.len().checked_sub(usize::from(padding)).ok_or(Fault::Padding)?;
            fragment = rest.get(..length).unwrap_or_default();
        }
        if header.has(flag::PRIORITY) {
            let (priority, rest) = fragment.split_first_chunk::<5>().ok_or(Fault::FrameSize)?;
            fragment = rest;
            if depends_on(*priority) == header.stream {
                // The block would have to be decoded all the same; a client that does this is broken.
                return Err(Fault::SelfDependency.into());
            }
        }
        let is_end = header.has(flag::END_STREAM);
        if header.has(flag::END_HEADERS) {
            return self.block(header.stream, is_end, fragment, now);
        }
        self.block = Some(Block {
            stream: header.stream,
            is_end,
            fragments: fragment.to_vec(),
            frames: 0,
        });
        Ok(())
    }

    fn continuation(&mut self, header: FrameHeader, payload: &[u8], now: Instant) -> Result<(), Failure> {
        let limit = self.config.max_header_bytes as usize + DEFAULT_FRAME;
        let block = self.block.as_mut().ok_or(Fault::UnexpectedFrame)?;
        block.frames += 1;
        let is_empty = payload.is_empty() && !header.has(flag::END_HEADERS);
        if block.frames > MAX_CONTINUATIONS || block.fragments.len() + payload.len() > limit || is_empty {
            return Err(Fault::ContinuationFlood.into());
        }
        block.fragments.extend_from_slice(payload);
        if !header.has(flag::END_HEADERS) {
            return Ok(());
        }
        match self.block.take() {
            Some(block) => self.block(block.stream, block.is_end, &block.fragments, now),
            None => Ok(()),
        }
    }

    /// A header block is complete.
    fn block(&mut self, id: u32, is_end: bool, block: &[u8], now: Instant) -> Result<(), Failure> {
        let mut section = FieldSection::new(FieldLimits {
            bytes: self.config.max_header_bytes as usize,
            fields: MAX_FIELDS,
        });
        if id > self.last_request {
            return self.new_request(id, is_end, block, section, now);
        }
        let state = self
            .streams
            .find(id)
            .and_then(|key| Some((key, self.streams.get(key)?)));
        let outcome = match state {
            Some((key, stream)) if stream.state.receives() => Ok(key),
            Some((_, stream)) if stream.state != State::Closed => Err(Some(Failure::Stream(id, Fault::StreamClosed))),
            _ => Err(self.late(id).err()),
        };
        match outcome {
            Ok(key) => {
                self.decode(block, &mut section)?;
                let malformed = Failure::Stream(id, Fault::Malformed);
                if !is_end {
                    return Err(malformed);
                }
                let trailers = section.into_trailers().map_err(|_| malformed)?;
                self.end_request(key, Some(trailers))
            }
            Err(failure) => {
                // The table must stay the client's, whatever becomes of the fields.
                self.decode(block, &mut Ignored)?;
                failure.map_or(Ok(()), Err)
            }
        }
    }

    fn decode(&mut self, block: &[u8], sink: &mut impl FieldSink) -> Result<(), Failure> {
        let decoded = self.decoder.decode(block, sink);
        decoded.map_err(|_| Fault::Compression.into())
    }

    fn new_request(
        &mut self,
        id: u32,
        is_end: bool,
        block: &[u8],
        mut section: FieldSection,
        now: Instant,
    ) -> Result<(), Failure> {
        if self.ending == Ending::Draining {
            // It comes after the last one that GOAWAY named (RFC 9113 section 6.8).
            return self.decode(block, &mut Ignored);
        }
        self.last_request = id;
        let limit = self.config.max_streams as usize;
        let is_full = self.open_requests >= limit || self.streams.len() >= limit.saturating_mul(STREAMS_PER_OPEN);
        if is_full {
            self.decode(block, &mut Ignored)?;
            return Err(Failure::Stream(id, Fault::TooManyStreams));
        }
        let budget = HEADER_BUDGET.saturating_mul(self.config.max_header_bytes as usize);
        if self.header_bytes >= budget {
            self.decode(block, &mut Ignored)?;
            return Err(Failure::Stream(id, Fault::HeaderBudget));
        }
        self.decode(block, &mut section)?;
        let RequestHead {
            parts: head,
            content_length,
            size,
        } = match section.into_request() {
            Ok(head) => head,
            Err(NoRequest::Malformed) => return Err(Failure::Stream(id, Fault::Malformed)),
            Err(NoRequest::TooLarge) => return self.refuse_large(id, is_end, now),
        };
        if is_end && content_length.is_some_and(|length| length > 0) {
            return Err(Failure::Stream(id, Fault::ContentLength));
        }
        let state = if is_end { State::HalfClosedRemote } else { State::Open };
        let key = self.insert_request(id, state, &head.headers);
        if let Some(stream) = self.streams.get_mut(key) {
            stream.remaining = content_length;
            stream.header_bytes = size;
            self.header_bytes += size;
        }
        self.events.push_back(Event::Request { key, head, is_end });
        Ok(())
    }

    /// Answers a request whose header section is too large (RFC 6585 section 5).
    fn refuse_large(&mut self, id: u32, is_end: bool, now: Instant) -> Result<(), Failure> {
        self.events.push_back(Event::Fault {
            fault: Fault::HeaderTooLarge,
            stream: Some(id),
        });
        let state = if is_end { State::HalfClosedRemote } else { State::Open };
        let key = self.insert_request(id, state, &HeaderMap::new());
        let response = Response {
            status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            headers: HeaderMap::new(),
            is_end: true,
        };
        let _ = self.respond(key, response);
        self.detach(key, Reason::NO_ERROR);
        if self.resets.spend(1, now) {
            Ok(())
        } else {
            Err(Fault::TooManyResets.into())
        }
    }

    pub(super) fn insert_request(&mut self, id: u32, state: State, fields: &HeaderMap) -> Key {
        let mut stream = Stream::new(id, state, T::default(), STREAM_WINDOW, self.client.initial_window);
        stream.asked = Priority::of(fields);
        if let Some(at) = self.early_priorities.iter().position(|(early, _)| *early == id) {
            stream.asked = self.early_priorities.swap_remove(at).1;
        }
        self.knows_priorities |= !stream.asked.is_empty();
        self.open_requests += 1;
        self.streams.insert(stream)
    }

    // Other frames

    fn priority(&mut self, header: FrameHeader, payload: &[u8], now: Instant) -> Result<(), Failure> {
        if header.stream == 0 {
            return Err(Fault::UnexpectedFrame.into());
        }
        self.spend(COST_OTHER, now)?;
        let Ok(priority) = <[u8; 5]>::try_from(payload) else {
            return Err(self.stream_or_connection(header.stream, Fault::FrameSize));
        };
        if depends_on(priority) == header.stream {
            return Err(self.stream_or_connection(header.stream, Fault::SelfDependency));
        }
        Ok(())
    }

    /// A fault of a stream, which only a stream that was begun can have: an idle one knows no RST_STREAM.
    fn stream_or_connection(&self, stream: u32, fault: Fault) -> Failure {
        if self.is_idle(stream) {
            Failure::Connection(fault)
        } else {
            Failure::Stream(stream, fault)
        }
    }

    fn rst_stream(&mut self, header: FrameHeader, payload: &[u8], now: Instant) -> Result<(), Failure> {
        let code = number(payload).ok_or(Fault::FrameSize)?;
        if header.stream == 0 || self.is_idle(header.stream) {
            return Err(Fault::UnexpectedFrame.into());
        }
        if header.stream.is_multiple_of(2) {
            // Of a push that has all been sent the client says so, too.
            self.events.push_back(Event::PromiseRefused);
        }
        let key = self.streams.find(header.stream);
        let is_known = |key: &Key| {
            self.streams
                .get(*key)
                .is_some_and(|stream| stream.state != State::Closed)
        };
        let Some(key) = key.filter(is_known) else {
            return self.spend(COST_OTHER, now);
        };
        if !header.stream.is_multiple_of(2) && !self.resets.spend(1, now) {
            return Err(Fault::TooManyResets.into());
        }
        self.close(key, StreamEnd::ResetByClient(Reason(code)));
        Ok(())
    }

    fn settings(&mut self, header: FrameHeader, payload: &[u8], now: Instant) -> Result<(), Failure> {
        if header.stream != 0 {
            return Err(Fault::UnexpectedFrame.into());
        }
        if header.has(flag::ACK) {
            return if payload.is_empty() {
                Ok(())
            } else {
                Err(Fault::FrameSize.into())
            };
        }
        if self.beginning == Beginning::Done {
            self.spend(COST_SETTINGS, now)?;
        }
        self.apply_settings(payload, now)?;
        self.beginning = Beginning::Done;
        frame::put(self.out.tail(), kind::SETTINGS, flag::ACK, 0, &[]);
        Ok(())
    }

    pub(super) fn apply_settings(&mut self, payload: &[u8], now: Instant) -> Result<(), Fault> {
        let before = self.client;
        let client = before.after(payload)?;
        self.client = client;
        self.knows_priorities |= client.no_rfc7540_priorities;
        if client.header_table != before.header_table {
            self.encoder.set_max_table_size(client.header_table);
        }
        let more = client.initial_window - before.initial_window;
        if more != 0 {
            for key in self.streams.keys() {
                if let Some(stream) = self.streams.get_mut(key) {
                    stream.send_window += more;
                    if stream.send_window > MAX_WINDOW {
                        return Err(Fault::FlowControl);
                    }
                    self.update(key, now);
                }
            }
        }
        self.events.push_back(Event::Settings {
            enable_push: client.enable_push,
            max_streams: client.max_streams,
        });
        self.open_held();
        Ok(())
    }

    fn ping(&mut self, header: FrameHeader, payload: &[u8], now: Instant) -> Result<(), Failure> {
        if header.stream != 0 {
            return Err(Fault::UnexpectedFrame.into());
        }
        let opaque = <[u8; 8]>::try_from(payload).map_err(|_| Fault::FrameSize)?;
        if header.has(flag::ACK) {
            if opaque == SHUTDOWN_PING && matches!(self.ending, Ending::Announced { .. }) {
                self.go_away();
            }
            return self.spend(COST_OTHER, now);
        }
        self.spend(COST_PING, now)?;
        frame::put(self.out.tail(), kind::PING, flag::ACK, 0, &opaque);
        Ok(())
    }

    fn goaway(&mut self, header: FrameHeader, payload: &[u8]) -> Result<(), Failure> {
        if header.stream != 0 {
            return Err(Fault::UnexpectedFrame.into());
        }
        let last = payload.split_first_chunk::<8>().ok_or(Fault::FrameSize)?.0;
        let last = number(last.get(..4).unwrap_or_default()).unwrap_or(0) & 0x7fff_ffff;
        if !self.is_client_going {
            self.is_client_going = true;
            self.events.push_back(Event::GoingAway);
        }
        // It has not seen, and will not look at, what was promised later.
        for key in self.streams.keys() {
            if key.id().is_multiple_of(2) && key.id() > last {
                self.close(key, StreamEnd::ResetByUs(Reason::CANCEL));
            }
        }
        Ok(())
    }

    fn window_update(&mut self, header: FrameHeader, payload: &[u8], now: Instant) -> Result<(), Failure> {
        let more = number(payload).ok_or(Fault::FrameSize)? & 0x7fff_ffff;
        if header.stream != 0 && self.is_idle(header.stream) {
            return Err(Fault::UnexpectedFrame.into());
        }
        self.spend(
            if more < TINY_WINDOW {
                COST_TINY_WINDOW
            } else {
                COST_OTHER
            },
            now,
        )?;
        if header.stream == 0 {
            if more == 0 {
                return Err(Fault::ZeroWindowUpdate.into());
            }
            self.send_window += i64::from(more);
            return if self.send_window > MAX_WINDOW {
                Err(Fault::FlowControl.into())
            } else {
                Ok(())
            };
        }
        let Some(key) = self.streams.find(header.stream) else {
            return Ok(());
        };
        let Some(stream) = self.streams.get_mut(key).filter(|stream| stream.state != State::Closed) else {
            return Ok(());
        };
        if more == 0 {
            return Err(Failure::Stream(header.stream, Fault::ZeroWindowUpdate));
        }
        stream.send_window += i64::from(more);
        if stream.send_window > MAX_WINDOW {
            return Err(Failure::Stream(header.stream, Fault::FlowControl));
        }
        self.update(key, now);
        Ok(())
    }

    /// RFC 9218 section 7.1.
    fn priority_update(&mut self, header: FrameHeader, payload: &[u8], now: Instant) -> Result<(), Failure> {
        if header.stream != 0 {
            return Err(Fault::PriorityUpdate.into());
        }
        let (id, field) = payload.split_first_chunk::<4>().ok_or(Fault::FrameSize)?;
        let id = u32::from_be_bytes(*id) & 0x7fff_ffff;
        if id == 0 || (id.is_multiple_of(2) && self.is_idle(id)) {
            return Err(Fault::PriorityUpdate.into());
        }
        self.spend(COST_OTHER, now)?;
        self.knows_priorities = true;
        let priority = Priority::parse(field);
        match self.streams.find(id) {
            Some(key) => {
                if let Some(stream) = self.streams.get_mut(key) {
                    stream.asked = priority;
                }
                self.rerank(key, now);
            }
            None if self.is_idle(id) => {
                self.early_priorities.retain(|(early, _)| *early != id);
                if self.early_priorities.len() >= MAX_EARLY_PRIORITIES {
                    self.early_priorities.remove(0);
                }
                self.early_priorities.push((id, priority));
            }
            None => {}
        }
        Ok(())
    }
}

/// Fields of a block that nobody wants.
struct Ignored;

impl FieldSink for Ignored {
    fn admit(&mut self, _size: usize) -> bool {
        false
    }

    fn field(&mut self, _name: crate::h2::hpack::Name, _value: crate::h2::hpack::Value) {}
}

/// The stream that a stream depends on (RFC 9113 section 6.3).
fn depends_on([s3, s2, s1, s0, _]: [u8; 5]) -> u32 {
    u32::from_be_bytes([s3 & 0x7f, s2, s1, s0])
}

fn number(payload: &[u8]) -> Option<u32> {
    payload.try_into().ok().map(u32::from_be_bytes)
}
