//! Carries out the owner's commands: responses, promises, content, resets.
//!
//! Fields go to `out` at once, content to the queue of its stream. A command that is out of order for the state of its
//! stream (RFC 9113 section 5.1) is an error and changes nothing.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode};

use super::{
    Core, Ending, Event, Key, MAX_PROMISES, Reason, Response, StreamEnd,
    stream::{Ending as BodyEnd, HeadProgress, State, StreamEntry},
    transmit::TURN,
};
use crate::{
    fields::hop::is_hop_by_hop,
    h2::wire::frame::{self, DEFAULT_FRAME, FrameHeader, HEADER_LEN, MAX_WINDOW, flag, kind},
    hpack::{Encoder, PseudoName},
    push::{PRIORITY, Priority},
};

/// Why a stream takes nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::h2) enum SendError {
    /// The stream was reset, by either side.
    #[error("stream reset: {0}")]
    Reset(Reason),
    /// The response is complete, or the command is out of order: an error of the owner.
    #[error("nothing can be sent in this state")]
    State,
}

/// Why a promise is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::h2) enum NotPromised {
    /// The client has disabled push, or either side has sent GOAWAY.
    #[error("the client takes no promise")]
    Disabled,
    /// The document is complete or was reset, or is itself a promised stream (RFC 9113 section 8.4).
    #[error("the document's stream takes no promise")]
    Parent,
    /// [`MAX_PROMISES`] promised streams exist, or no stream identifier is left.
    #[error("too many promises")]
    TooMany,
}

/// Queued bytes of one stream up to which its owner may send more.
const RESUME_BELOW: usize = 16 * 1024;

/// Queued bytes of all streams above which an owner waits until its own queue is empty.
const MAX_QUEUED: usize = 256 * 1024;

impl<T: Default> Core<T> {
    /// Returns a stream that takes response frames.
    fn sending(&mut self, key: Key) -> Result<&mut StreamEntry<T>, SendError> {
        let stream = self.streams.get_mut(key).ok_or(SendError::Reset(Reason::CANCEL))?;
        match stream.reset {
            Some(reason) => Err(SendError::Reset(reason)),
            None if !stream.state.sends() => Err(SendError::State),
            None => Ok(stream),
        }
    }

    /// Sends the head of a final response. The head of a promised response waits while the client's limit of streams
    /// is reached.
    ///
    /// # Errors
    ///
    /// The stream was reset, or has a response. A client that has set its limit of streams to 0 takes no promised
    /// response: this call resets the stream then.
    pub(in crate::h2) fn respond(&mut self, key: Key, response: Response<'_>) -> Result<(), SendError> {
        let max_streams = self.client.max_streams as usize;
        let must_wait = self.open_promises >= max_streams || !self.held.is_empty();
        let stream = self.sending(key)?;
        if !matches!(stream.head, HeadProgress::Awaited) {
            return Err(SendError::State);
        }
        if !stream.is_promised() {
            self.send_head(key, response);
            return Ok(());
        }
        if max_streams == 0 {
            self.reset(key, Reason::CANCEL);
            return Err(SendError::Reset(Reason::CANCEL));
        }
        if must_wait {
            stream.head = HeadProgress::Held(Box::new((response.status, response.headers.clone())));
            if response.is_end {
                stream.ending = BodyEnd::End;
            }
            self.held.push_back(key);
        } else {
            self.send_head(key, response);
        }
        Ok(())
    }

    /// Appends the HEADERS frame of a final response to `out`.
    fn send_head(&mut self, key: Key, response: Response<'_>) {
        let Response {
            status,
            headers,
            is_end,
        } = response;
        let end = if is_end { flag::END_STREAM } else { 0 };
        let mut has_priority = false;
        self.put_block((kind::HEADERS, end), key.id(), None, |encoder, out| {
            has_priority = encode(encoder, out, status, headers);
        });
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        if has_priority {
            stream.origin = Priority::of(headers);
        }
        stream.head = HeadProgress::Sent;
        if stream.is_promised() {
            stream.state = State::HalfClosedRemote;
            self.open_promises += 1;
        }
        if is_end {
            stream.ending = BodyEnd::End;
            self.end_response(key);
        }
    }

    /// Sends the heads of promised responses that waited, up to the client's limit of streams.
    pub(super) fn open_held(&mut self) {
        // A response that is complete with its head closes its stream, and `close` calls this function again.
        if std::mem::replace(&mut self.is_opening, true) {
            return;
        }
        self.open_all_held();
        self.is_opening = false;
    }

    fn open_all_held(&mut self) {
        let max_streams = self.client.max_streams as usize;
        while self.ending != Ending::Failed && (self.open_promises < max_streams || max_streams == 0) {
            let Some(key) = self.held.pop_front() else { return };
            let Some(stream) = self.streams.get_mut(key).filter(|stream| stream.state.sends()) else {
                continue;
            };
            let HeadProgress::Held(response) = std::mem::replace(&mut stream.head, HeadProgress::Awaited) else {
                continue;
            };
            if max_streams == 0 {
                self.reset(key, Reason::CANCEL);
                continue;
            }
            let is_end = stream.queued == 0 && matches!(stream.ending, BodyEnd::End);
            let (status, headers) = *response;
            let response = Response {
                status,
                headers: &headers,
                is_end,
            };
            self.send_head(key, response);
            self.finish_if_drained(key);
            self.update(key);
            if let Some(stream) = self.streams.get_mut(key) {
                // The caller may be a command without a time, so `now` may be old: `reset_stalled` counts from its
                // next call.
                stream.progress = None;
            }
        }
    }

    /// Sends a 1xx response.
    ///
    /// # Errors
    ///
    /// The stream was reset, has its final response, or is a promised one.
    pub(in crate::h2) fn inform(&mut self, key: Key, status: StatusCode, headers: &HeaderMap) -> Result<(), SendError> {
        let stream = self.sending(key)?;
        if !matches!(stream.head, HeadProgress::Awaited) || stream.is_promised() {
            return Err(SendError::State);
        }
        self.put_block((kind::HEADERS, 0), key.id(), None, |encoder, out| {
            encode(encoder, out, status, headers);
        });
        Ok(())
    }

    /// Sends a PUSH_PROMISE on the stream of a document, and returns the key of the promised stream.
    ///
    /// # Errors
    ///
    /// Returns the reason why nothing was promised.
    pub(in crate::h2) fn promise(
        &mut self,
        document: Key,
        request: &Request<()>,
        planned: Priority,
    ) -> Result<Key, NotPromised> {
        if !self.client.enable_push || self.is_client_going || self.ending != Ending::None {
            return Err(NotPromised::Disabled);
        }
        let parent = self.streams.get(document).ok_or(NotPromised::Parent)?;
        if parent.is_promised() || !parent.state.sends() {
            return Err(NotPromised::Parent);
        }
        let id = self.next_promise;
        if self.streams.promised() >= MAX_PROMISES || i64::from(id) > MAX_WINDOW {
            return Err(NotPromised::TooMany);
        }
        self.next_promise += 2;
        self.put_block((kind::PUSH_PROMISE, 0), document.id(), Some(id), |encoder, out| {
            let uri = request.uri();
            let authority = uri.authority().map_or("", |authority| authority.as_str());
            let path = uri.path_and_query().map_or("/", |path| path.as_str());
            encoder.pseudo(PseudoName::Method, request.method().as_str().as_bytes(), out);
            encoder.pseudo(PseudoName::Scheme, uri.scheme_str().unwrap_or("http").as_bytes(), out);
            encoder.pseudo(PseudoName::Authority, authority.as_bytes(), out);
            encoder.pseudo(PseudoName::Path, path.as_bytes(), out);
            for (name, value) in request.headers() {
                encoder.field(name, value, out);
            }
        });
        let window = self.client.initial_window;
        let mut stream = StreamEntry::new(id, State::ReservedLocal, T::default(), 0, window);
        stream.planned = planned;
        stream.parent = Some(document.id());
        Ok(self.streams.insert(stream))
    }

    /// Queues content of a response; `is_end`: the response ends with it. Short content skips the queue while no other
    /// stream has anything to send, and `now` is not called then.
    ///
    /// # Errors
    ///
    /// The stream was reset, has no response head, or its response has ended.
    pub(in crate::h2) fn send(
        &mut self,
        key: Key,
        content: Bytes,
        is_end: bool,
        now: impl FnOnce() -> Instant,
    ) -> Result<(), SendError> {
        let window = self.send_window;
        let is_quiet = self.schedule.len() == 0 && self.out.len() < TURN;
        let stream = self.sending(key)?;
        if matches!(stream.head, HeadProgress::Awaited) || !matches!(stream.ending, BodyEnd::Open) {
            return Err(SendError::State);
        }
        if is_end {
            stream.ending = BodyEnd::End;
        }
        if content.is_empty() {
            self.finish_if_drained(key);
            return Ok(());
        }
        stream.is_refilling = false;
        let length = content.len();
        let is_alone = stream.queued == 0 && !stream.is_promised() && stream.has_begun() && length <= DEFAULT_FRAME;
        if is_alone && i64::try_from(length).is_ok_and(|length| length <= stream.send_window.min(window)) && is_quiet {
            self.put_at_once(key, content, is_end);
            return Ok(());
        }
        let now = now();
        if stream.queued == 0 {
            stream.progress = Some(now);
        }
        stream.queued += length;
        stream.queue.push_back(content);
        self.now = now;
        self.queued += length;
        self.update(key);
        Ok(())
    }

    /// Ends a response after its queued content, with trailers if there are some.
    ///
    /// # Errors
    ///
    /// The stream was reset, has no response head, or its response has ended.
    pub(in crate::h2) fn finish(&mut self, key: Key, trailers: Option<HeaderMap>) -> Result<(), SendError> {
        let stream = self.sending(key)?;
        if matches!(stream.head, HeadProgress::Awaited) || !matches!(stream.ending, BodyEnd::Open) {
            return Err(SendError::State);
        }
        stream.ending = match trailers {
            Some(trailers) => BodyEnd::Trailers(Box::new(trailers)),
            None => BodyEnd::End,
        };
        self.finish_if_drained(key);
        Ok(())
    }

    /// Sends the end of a response, or its trailers, if the owner has given the end and no content is queued.
    pub(super) fn finish_if_drained(&mut self, key: Key) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        if stream.queued > 0 || !stream.has_begun() || !stream.state.sends() {
            return;
        }
        match std::mem::replace(&mut stream.ending, BodyEnd::End) {
            BodyEnd::Open => {
                stream.ending = BodyEnd::Open;
                return;
            }
            BodyEnd::End => frame::put(self.out.tail(), kind::DATA, flag::END_STREAM, key.id(), &[]),
            BodyEnd::Trailers(trailers) => {
                self.put_block((kind::HEADERS, flag::END_STREAM), key.id(), None, |encoder, out| {
                    for (name, value) in trailers.iter().filter(|(name, _)| !is_hop_by_hop(name)) {
                        encoder.field(name, value, out);
                    }
                });
            }
        }
        self.end_response(key);
    }

    /// Changes the state of a stream after our END_STREAM was appended to `out`.
    pub(super) fn end_response(&mut self, key: Key) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        let state = stream.state.local_ended();
        let is_abandoned = !stream.is_attached;
        if state == State::Closed {
            self.close(key, StreamEnd::Complete);
            return;
        }
        stream.state = state;
        let was_awaited = std::mem::take(&mut stream.is_awaited);
        if was_awaited {
            self.events.push_back(Event::Writable(key));
        }
        if is_abandoned {
            // The owner does not read the rest of the request (RFC 9113 section 8.1).
            self.reset(key, Reason::NO_ERROR);
        }
    }

    /// Returns whether the owner of a stream may send more content. After `false` the owner gets [`Event::Writable`]
    /// once it may.
    ///
    /// # Errors
    ///
    /// The stream was reset.
    pub(in crate::h2) fn poll_writable(&mut self, key: Key) -> Result<bool, SendError> {
        let are_queues_full = self.queued > MAX_QUEUED;
        let stream = self.streams.get_mut(key).ok_or(SendError::Reset(Reason::CANCEL))?;
        if let Some(reason) = stream.reset {
            return Err(SendError::Reset(reason));
        }
        let may_go_on = may_go_on(stream, are_queues_full);
        stream.is_awaited = !may_go_on;
        Ok(may_go_on)
    }

    /// Returns the number of bytes in a stream's queue.
    pub(in crate::h2) fn queued(&self, key: Key) -> usize {
        self.streams.get(key).map_or(0, |stream| stream.queued)
    }

    /// Wakes an owner that waits for the queue, if it may send more now.
    pub(super) fn wake_writer(&mut self, key: Key) {
        let are_queues_full = self.queued > MAX_QUEUED;
        if let Some(stream) = self.streams.get_mut(key)
            && stream.is_awaited
            && may_go_on(stream, are_queues_full)
        {
            stream.is_awaited = false;
            stream.is_refilling = true;
            self.events.push_back(Event::Writable(key));
        }
    }

    /// Resets a stream that is not closed.
    pub(in crate::h2) fn reset(&mut self, key: Key, reason: Reason) {
        if self
            .streams
            .get(key)
            .is_some_and(|stream| stream.state != State::Closed)
        {
            self.put_reset(key.id(), reason);
            self.close(key, StreamEnd::ResetByUs(reason));
        }
    }

    /// Detaches a stream from its owner. A response whose end was not given is reset for `reason`; otherwise the queued
    /// content is still sent. The rest of the request is dropped.
    pub(in crate::h2) fn detach(&mut self, key: Key, reason: Reason) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        stream.is_attached = false;
        stream.is_awaited = false;
        match stream.state {
            State::Closed => {
                let unread = stream.received.len();
                self.give_back(unread);
                self.streams.remove(key);
            }
            State::HalfClosedLocal => self.reset(key, Reason::NO_ERROR),
            _ if matches!(stream.ending, BodyEnd::Open) => self.reset(key, reason),
            _ => {
                let unread = stream.received.split().len();
                self.give_back(unread);
            }
        }
    }

    /// Appends a header block to `out`; if it is longer than a frame, the rest goes into CONTINUATION frames.
    /// `promised` is the promised stream of a PUSH_PROMISE.
    fn put_block(
        &mut self,
        (frame_kind, flags): (u8, u8),
        stream: u32,
        promised: Option<u32>,
        encode: impl FnOnce(&mut Encoder, &mut BytesMut),
    ) {
        let out = self.out.tail();
        let start = out.len();
        let mut header = FrameHeader {
            length: 0,
            kind: frame_kind,
            flags: flags | flag::END_HEADERS,
            stream,
        };
        header.put(out);
        if let Some(promised) = promised {
            out.extend_from_slice(&promised.to_be_bytes());
        }
        encode(&mut self.encoder, out);
        let length = out.len() - start - HEADER_LEN;
        if length <= DEFAULT_FRAME {
            if let Some(field) = out.get_mut(start..start + 3) {
                field.copy_from_slice(&frame::length(length));
            }
            return;
        }
        let payload = out.split_off(start + HEADER_LEN);
        out.truncate(start);
        let mut parts = payload.chunks(DEFAULT_FRAME).peekable();
        while let Some(part) = parts.next() {
            header.length = part.len();
            header.flags =
                (header.flags & flag::END_STREAM) | if parts.peek().is_none() { flag::END_HEADERS } else { 0 };
            header.put(out);
            out.extend_from_slice(part);
            header.kind = kind::CONTINUATION;
            header.flags = 0;
        }
    }
}

/// Returns whether a stream's owner may send more: the queue is empty, or short and about to leave.
fn may_go_on<T>(stream: &StreamEntry<T>, are_queues_full: bool) -> bool {
    let limit = if are_queues_full { 0 } else { RESUME_BELOW };
    let queued = i64::try_from(stream.queued).unwrap_or(i64::MAX);
    stream.queued == 0 || (stream.queued <= limit && queued <= stream.send_window && stream.has_begun())
}

/// Encodes the status and fields of a response; returns whether Priority is one of the fields.
fn encode(encoder: &mut Encoder, out: &mut BytesMut, status: StatusCode, headers: &HeaderMap) -> bool {
    let mut has_priority = false;
    encoder.status(status, out);
    for (name, value) in headers {
        has_priority |= name == PRIORITY;
        if !is_hop_by_hop(name) {
            encoder.field(name, value, out);
        }
    }
    has_priority
}
