//! Receives HEADERS and CONTINUATION frames (RFC 9113 sections 6.2 and 6.10): requests and trailers.
//!
//! HPACK must decode every block, even of a request that is refused or ignored: otherwise its dynamic table would
//! differ from the client's.

use http::{HeaderMap, StatusCode};

use super::{
    COST_OTHER, COST_REFUSED, Failure, depends_on,
    request::{FieldLimits, FieldSection, NoRequest, RequestHead},
};
use crate::{
    h2::{
        core::{
            Core, Ending, Event, Fault, HEADER_BUDGET, HeadBudget, Key, Reason, Response, STREAM_WINDOW,
            STREAMS_PER_OPEN,
            stream::{State, StreamEntry},
        },
        wire::frame::{DEFAULT_FRAME, FrameHeader, flag},
    },
    hpack::{FieldSink, Name, Value},
    push::Priority,
};

/// A header block that CONTINUATION frames continue.
#[derive(Debug)]
pub(in crate::h2::core) struct Block {
    pub(super) stream: u32,
    is_end: bool,
    fragments: Vec<u8>,
    frames: usize,
}

/// Limit of CONTINUATION frames of one header block. A client that fills frames of 16 KB needs one or two of them;
/// clients with smaller frames need more, but not hundreds.
const MAX_CONTINUATIONS: usize = 64;

#[cfg(test)]
impl Block {
    pub(in crate::h2::core) const fn length(&self) -> usize {
        self.fragments.len()
    }
}

impl<T: Default> Core<T> {
    pub(super) fn headers(&mut self, header: FrameHeader, payload: &[u8]) -> Result<(), Failure> {
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
                // RFC 7540 makes it a stream error, but only a broken client does this, and the block would have to be
                // decoded.
                return Err(Fault::SelfDependency.into());
            }
        }
        let is_end = header.has(flag::END_STREAM);
        if header.has(flag::END_HEADERS) {
            return self.block(header.stream, is_end, fragment);
        }
        self.block = Some(Block {
            stream: header.stream,
            is_end,
            fragments: fragment.to_vec(),
            frames: 0,
        });
        Ok(())
    }

    pub(super) fn continuation(&mut self, header: FrameHeader, payload: &[u8]) -> Result<(), Failure> {
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
            Some(block) => self.block(block.stream, block.is_end, &block.fragments),
            None => Ok(()),
        }
    }

    /// Handles a complete header block: a new request, trailers, or fields for a closed stream.
    fn block(&mut self, id: u32, is_end: bool, block: &[u8]) -> Result<(), Failure> {
        if id > self.last_request {
            return self.new_request(id, is_end, block);
        }
        let state = self
            .streams
            .find(id)
            .and_then(|key| Some((key, self.streams.get(key)?)));
        let outcome = match state {
            Some((key, stream)) if stream.state.receives() => Ok(key),
            Some((_, stream)) if stream.state != State::Closed => Err(Some(Failure::Stream(id, Fault::StreamClosed))),
            _ => Err(self.check_late(id).err()),
        };
        match outcome {
            Ok(key) => {
                let mut section = self.section(block);
                self.decode(block, &mut section)?;
                let malformed = Failure::Stream(id, Fault::Malformed);
                if !is_end {
                    return Err(malformed);
                }
                // Trailers are checked and dropped: the origin gets only the end of the request.
                section.check_trailers().map_err(|_| malformed)?;
                self.end_request(key)
            }
            Err(failure) => {
                self.spend(COST_OTHER)?;
                self.decode(block, &mut Ignored)?;
                failure.map_or(Ok(()), Err)
            }
        }
    }

    fn section(&self, block: &[u8]) -> FieldSection {
        let limits = FieldLimits {
            bytes: self.config.max_header_bytes as usize,
            fields: self.config.max_header_fields,
        };
        FieldSection::new(limits, block.len())
    }

    fn decode(&mut self, block: &[u8], sink: &mut impl FieldSink) -> Result<(), Failure> {
        let decoded = self.decoder.decode(block, sink);
        decoded.map_err(|_| Fault::Compression.into())
    }

    /// Opens a stream for a request, or refuses it.
    fn new_request(&mut self, id: u32, is_end: bool, block: &[u8]) -> Result<(), Failure> {
        if self.ending == Ending::Draining {
            // The request is above the last one that GOAWAY named (RFC 9113 section 6.8): it and later frames of its
            // stream are ignored.
            self.last_ignored = self.last_ignored.max(id);
            self.spend(COST_REFUSED)?;
            return self.decode(block, &mut Ignored);
        }
        self.last_request = id;
        let limit = self.config.max_streams as usize;
        let is_full = self.open_requests >= limit || self.streams.requested() >= limit.saturating_mul(STREAMS_PER_OPEN);
        if is_full {
            self.decode(block, &mut Ignored)?;
            return Err(Failure::Stream(id, Fault::TooManyStreams));
        }
        let budget = HEADER_BUDGET.saturating_mul(self.config.max_header_bytes as usize);
        if self.header_bytes >= budget || self.config.shared_heads.is_some_and(HeadBudget::is_spent) {
            self.decode(block, &mut Ignored)?;
            return Err(Failure::Stream(id, Fault::HeaderBudget));
        }
        let mut section = self.section(block);
        self.decode(block, &mut section)?;
        let RequestHead {
            parts: head,
            content_length,
            priority,
            size,
        } = match section.into_request(&mut self.last_authority) {
            Ok(head) => head,
            Err(NoRequest::Malformed) => return Err(Failure::Stream(id, Fault::Malformed)),
            Err(NoRequest::TooLarge) => {
                return self.refuse(
                    id,
                    is_end,
                    Fault::HeaderTooLarge,
                    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                );
            }
            Err(NoRequest::BadTarget(why)) => {
                self.count_malformed();
                return self.refuse(id, is_end, Fault::BadTarget(why), why.status());
            }
        };
        if is_end && content_length.is_some_and(|length| length > 0) {
            return Err(Failure::Stream(id, Fault::ContentLength));
        }
        let state = if is_end { State::HalfClosedRemote } else { State::Open };
        let key = self.insert_request(id, state, priority);
        if let Some(stream) = self.streams.get_mut(key) {
            stream.remaining = content_length;
            stream.header_bytes = size;
            self.header_bytes += size;
            if let Some(shared) = self.config.shared_heads {
                shared.take(size);
            }
        }
        self.events.push_back(Event::Request { key, head, is_end });
        Ok(())
    }

    /// Answers a request with an error status, without the owner.
    fn refuse(&mut self, id: u32, is_end: bool, fault: Fault, status: StatusCode) -> Result<(), Failure> {
        self.events.push_back(Event::Fault {
            fault,
            stream: Some(id),
        });
        let state = if is_end { State::HalfClosedRemote } else { State::Open };
        let key = self.insert_request(id, state, Priority::default());
        let response = Response {
            status,
            headers: &HeaderMap::new(),
            is_end: true,
        };
        let _ = self.respond(key, response);
        self.detach(key, Reason::NO_ERROR);
        // `close` gives one of these tokens back.
        if self.resets.spend(2, self.now) {
            Ok(())
        } else {
            Err(Fault::TooManyResets.into())
        }
    }

    /// Adds a stream that the client opened. A PRIORITY_UPDATE that came earlier overrides the priority of the request.
    pub(in crate::h2::core) fn insert_request(&mut self, id: u32, state: State, requested: Priority) -> Key {
        let mut stream = StreamEntry::new(id, state, T::default(), STREAM_WINDOW, self.client.initial_window);
        stream.requested = requested;
        if let Some(at) = self.early_priorities.iter().position(|(early, _)| *early == id) {
            stream.requested = self.early_priorities.swap_remove(at).1;
        }
        self.knows_priorities |= !stream.requested.is_empty();
        self.open_requests += 1;
        self.streams.insert(stream)
    }
}

/// A sink that drops the fields of a block.
struct Ignored;

impl FieldSink for Ignored {
    fn admit(&mut self, _size: usize) -> bool {
        false
    }

    fn field(&mut self, _name: Name, _value: Value) {}
}
