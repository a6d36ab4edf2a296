//! Receives the client's frames (RFC 9113 section 4): cuts them out of the bytes that come, and turns a fault into the
//! end of a stream or of the connection.
//!
//! Reading order: `content` (DATA), `fields` (HEADERS and CONTINUATION), `request` (the fields of a request),
//! `control` (all other frames), `settings` (the client's SETTINGS).
//!
//! A frame that costs us work and carries nothing must [`spend`](Core::spend) tokens.

mod content;
mod control;
mod fields;
mod request;
pub(super) mod settings;

use std::time::Instant;

use super::{Beginning, Core, Ending, Event, Fault, Key, Reason, StreamEnd, stream::State};
use crate::h2::wire::frame::{self, DEFAULT_FRAME, FrameHeader, HEADER_LEN, PREFACE, kind};

pub(super) use content::IncomingData;
pub(super) use fields::Block;

/// An error in a frame.
pub(super) enum Failure {
    /// A stream error (RFC 9113 section 5.4.2).
    Stream(u32, Fault),
    /// A connection error (RFC 9113 section 5.4.1).
    Connection(Fault),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Connection(fault)
    }
}

/// Costs of frames that carry nothing, in tokens of the connection's budget. SETTINGS and GOAWAY cost most, because
/// they walk through all streams.
const COST_SETTINGS: u32 = 20;
const COST_PING: u32 = 4;
const COST_GOAWAY: u32 = 20;
const COST_EMPTY_DATA: u32 = 4;
pub(super) const COST_TINY_WINDOW: u32 = 4;
const COST_REFUSED: u32 = 4;
const COST_OTHER: u32 = 1;

impl<T: Default> Core<T> {
    /// Takes the client's bytes, in pieces of any length.
    pub(in crate::h2) fn receive(&mut self, mut bytes: &[u8], now: Instant) {
        self.now = now;
        while !bytes.is_empty() && self.ending != Ending::Failed {
            let result = match self.beginning {
                Beginning::Preface(have) => self.receive_preface(have, &mut bytes),
                Beginning::Settings | Beginning::Done if self.content.is_some() => self.receive_content(&mut bytes),
                Beginning::Settings | Beginning::Done => self.receive_frame(&mut bytes),
            };
            match result {
                Ok(()) => {}
                Err(Failure::Connection(fault)) => self.fail(fault),
                Err(Failure::Stream(stream, fault)) => self.fail_stream(stream, fault),
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

    /// Takes a frame that has come as a whole, or the first bytes of one that has not.
    fn receive_frame(&mut self, bytes: &mut &[u8]) -> Result<(), Failure> {
        if self.partial.is_empty()
            && let Some((&head, rest)) = bytes.split_first_chunk::<HEADER_LEN>()
        {
            let header = FrameHeader::parse(head);
            self.check(header)?;
            if header.kind == kind::DATA {
                *bytes = rest;
                return self.begin_content(header);
            }
            if let Some((payload, rest)) = rest.split_at_checked(header.length) {
                *bytes = rest;
                return self.frame(header, payload);
            }
        }
        self.receive_partial(bytes)
    }

    /// Gathers a frame that comes in pieces.
    /// [`Self::receive_content`] takes the payload of DATA, which is not gathered.
    fn receive_partial(&mut self, bytes: &mut &[u8]) -> Result<(), Failure> {
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
            return self.begin_content(header);
        }
        if !self.gather(bytes, HEADER_LEN + header.length) {
            return Ok(());
        }
        let partial = std::mem::take(&mut self.partial);
        self.frame(header, partial.get(HEADER_LEN..).unwrap_or_default())
    }

    /// Fills `partial` up to a length; returns `false` if bytes are missing.
    fn gather(&mut self, bytes: &mut &[u8], length: usize) -> bool {
        let wanted = length.saturating_sub(self.partial.len());
        let (come, rest) = bytes.split_at(wanted.min(bytes.len()));
        self.partial.extend_from_slice(come);
        *bytes = rest;
        self.partial.len() >= length
    }

    /// Checks the header of a frame, so that a fault ends the connection before the payload has come.
    fn check(&self, header: FrameHeader) -> Result<(), Failure> {
        if self.beginning == Beginning::Settings && header.kind != kind::SETTINGS {
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

    /// Handles a frame other than DATA.
    fn frame(&mut self, header: FrameHeader, payload: &[u8]) -> Result<(), Failure> {
        match header.kind {
            kind::HEADERS => self.headers(header, payload),
            kind::CONTINUATION => self.continuation(header, payload),
            kind::PRIORITY => self.priority(header, payload),
            kind::RST_STREAM => self.rst_stream(header, payload),
            kind::SETTINGS => self.settings(header, payload),
            kind::PUSH_PROMISE => Err(Fault::UnexpectedFrame.into()),
            kind::PING => self.ping(header, payload),
            kind::GOAWAY => self.goaway(header, payload),
            kind::WINDOW_UPDATE => self.window_update(header, payload),
            kind::PRIORITY_UPDATE => self.priority_update(header, payload),
            // Frames of unknown types are ignored (RFC 9113 section 5.5).
            _ => self.spend(COST_OTHER),
        }
    }

    /// Charges a frame to the connection's frame budget; fails the connection when that is spent.
    fn spend(&mut self, tokens: u32) -> Result<(), Failure> {
        if self.frames.spend(tokens, self.now) {
            Ok(())
        } else {
            Err(Fault::TooManyFrames.into())
        }
    }

    /// Returns whether a stream is idle: never opened or promised (RFC 9113 section 5.1).
    fn is_idle(&self, stream: u32) -> bool {
        if stream.is_multiple_of(2) {
            stream >= self.next_promise
        } else {
            stream > self.last_request.max(self.last_ignored)
        }
    }

    /// Checks a frame for a stream that is closed: a frame that the client sent before it saw our RST_STREAM is to be
    /// dropped, any other is a fault (RFC 9113 sections 5.1, "closed", and 5.1.1).
    fn check_late(&self, stream: u32) -> Result<(), Failure> {
        if self.is_idle(stream) {
            return Err(Fault::UnexpectedFrame.into());
        }
        if !stream.is_multiple_of(2) && stream > self.last_request {
            return Ok(());
        }
        match self.remembered.iter().rev().find(|(id, _)| *id == stream) {
            Some((_, StreamEnd::ResetByUs(_))) => Ok(()),
            Some((_, StreamEnd::ResetByClient(_))) => Err(Failure::Stream(stream, Fault::StreamClosed)),
            Some((_, StreamEnd::Complete)) => Err(Fault::StreamClosed.into()),
            None if self.has_forgotten => Ok(()),
            // The client has skipped this identifier: opening a later stream closed it.
            None => Err(Fault::UnexpectedFrame.into()),
        }
    }

    fn is_open(&self, key: Key) -> bool {
        self.streams
            .get(key)
            .is_some_and(|stream| stream.state != State::Closed)
    }

    /// Resets a stream for a fault of the client, and fails the connection after too many faults.
    fn fail_stream(&mut self, stream: u32, fault: Fault) {
        self.events.push_back(Event::Fault {
            fault,
            stream: Some(stream),
        });
        match self.streams.find(stream).filter(|key| self.is_open(*key)) {
            Some(key) => self.reset(key, fault.reason()),
            None => {
                // Remembered, so that late frames for this stream are dropped.
                self.put_reset(stream, fault.reason());
                self.remember(stream, StreamEnd::ResetByUs(fault.reason()));
            }
        }
        if matches!(fault, Fault::TooManyStreams | Fault::HeaderBudget) {
            // Not counted as malformed: a client cannot know the limit before it has our SETTINGS.
            if !self.frames.spend(COST_REFUSED, self.now) {
                self.fail(Fault::TooManyFrames);
            }
            return;
        }
        self.stream_faults += 1;
        if self.stream_faults >= self.config.max_malformed {
            self.fail(Fault::TooManyMalformed);
        } else if !self.resets.spend(1, self.now) {
            self.fail(Fault::TooManyResets);
        }
    }

    pub(super) fn put_reset(&mut self, stream: u32, reason: Reason) {
        frame::put_number(self.out.tail(), kind::RST_STREAM, stream, reason.0);
    }
}

/// Returns the stream that a stream depends on, from the payload of PRIORITY (RFC 9113 section 6.3).
fn depends_on([s3, s2, s1, s0, _]: [u8; 5]) -> u32 {
    u32::from_be_bytes([s3 & 0x7f, s2, s1, s0])
}

fn number(payload: &[u8]) -> Option<u32> {
    payload.try_into().ok().map(u32::from_be_bytes)
}
