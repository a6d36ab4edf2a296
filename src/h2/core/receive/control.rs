//! Receives frames without content or fields (RFC 9113 section 6, RFC 9218 section 7): PRIORITY, RST_STREAM, SETTINGS,
//! PING, GOAWAY, WINDOW_UPDATE and PRIORITY_UPDATE.

use super::{
    COST_GOAWAY, COST_OTHER, COST_PING, COST_SETTINGS, COST_TINY_WINDOW, Failure, depends_on, number,
    settings::ClientSettings,
};
use crate::{
    h2::{
        core::{
            Beginning, Core, Ending, Event, Fault, Key, MAX_EARLY_PRIORITIES, Reason, SHUTDOWN_PING, StreamEnd,
            stream::State,
        },
        wire::frame::{self, FrameHeader, MAX_WINDOW, flag, kind},
    },
    push::Priority,
};

/// Bytes below which a WINDOW_UPDATE is tiny.
const TINY_WINDOW: u32 = 64;

/// Bytes of a Priority Field Value that cost one more token: long values are parsed, though no priority needs them.
const LONG_PRIORITY: usize = 64;

impl<T: Default> Core<T> {
    pub(super) fn priority(&mut self, header: FrameHeader, payload: &[u8]) -> Result<(), Failure> {
        if header.stream == 0 {
            return Err(Fault::UnexpectedFrame.into());
        }
        self.spend(COST_OTHER)?;
        let Ok(priority) = <[u8; 5]>::try_from(payload) else {
            return Err(self.stream_or_connection(header.stream, Fault::FrameSize));
        };
        if depends_on(priority) == header.stream {
            return Err(self.stream_or_connection(header.stream, Fault::SelfDependency));
        }
        Ok(())
    }

    /// Returns a stream error, or a connection error if the stream is idle: RST_STREAM is not allowed then (RFC 9113
    /// section 6.4).
    fn stream_or_connection(&self, stream: u32, fault: Fault) -> Failure {
        if self.is_idle(stream) {
            Failure::Connection(fault)
        } else {
            Failure::Stream(stream, fault)
        }
    }

    pub(super) fn rst_stream(&mut self, header: FrameHeader, payload: &[u8]) -> Result<(), Failure> {
        let code = number(payload).ok_or(Fault::FrameSize)?;
        if header.stream == 0 || self.is_idle(header.stream) {
            return Err(Fault::UnexpectedFrame.into());
        }
        let is_promised = header.stream.is_multiple_of(2);
        let is_refused =
            |(id, end): &(u32, StreamEnd)| *id == header.stream && matches!(end, StreamEnd::ResetByClient(_));
        if is_promised && !self.remembered.iter().any(is_refused) {
            // A push that was sent completely may be refused, too.
            self.events.push_back(Event::PromiseRefused);
        }
        let key = self.streams.find(header.stream);
        let is_known = |key: &Key| {
            self.streams
                .get(*key)
                .is_some_and(|stream| stream.state != State::Closed)
        };
        let Some(key) = key.filter(is_known) else {
            if is_promised {
                self.remember(header.stream, StreamEnd::ResetByClient(Reason(code)));
            }
            return self.spend(COST_OTHER);
        };
        if !is_promised && !self.resets.spend(1, self.now) {
            return Err(Fault::TooManyResets.into());
        }
        self.close(key, StreamEnd::ResetByClient(Reason(code)));
        Ok(())
    }

    pub(super) fn settings(&mut self, header: FrameHeader, payload: &[u8]) -> Result<(), Failure> {
        if header.stream != 0 {
            return Err(Fault::UnexpectedFrame.into());
        }
        if header.has(flag::ACK) {
            self.beginning = Beginning::Done;
            return if payload.is_empty() {
                self.spend(COST_OTHER)
            } else {
                Err(Fault::FrameSize.into())
            };
        }
        if self.beginning == Beginning::Done {
            self.spend(COST_SETTINGS)?;
        }
        self.apply_settings(payload)?;
        self.beginning = Beginning::Done;
        frame::put(self.out.tail(), kind::SETTINGS, flag::ACK, 0, &[]);
        // After the acknowledgement: until the client has read it, its old limit of streams holds.
        self.open_held();
        Ok(())
    }

    /// Applies a SETTINGS payload: to the send windows of all streams, to the encoder and to the limit of pushes.
    pub(in crate::h2::core) fn apply_settings(&mut self, payload: &[u8]) -> Result<(), Fault> {
        let before = self.client;
        let client = before.after(payload)?;
        self.client = client;
        self.knows_priorities |= client.no_rfc7540_priorities;
        for size in ClientSettings::header_tables(payload) {
            self.encoder.set_max_table_size(size);
        }
        let more = client.initial_window - before.initial_window;
        if more != 0 {
            for key in self.streams.keys() {
                if let Some(stream) = self.streams.get_mut(key).filter(|stream| stream.state != State::Closed) {
                    stream.send_window += more;
                    if stream.send_window > MAX_WINDOW {
                        return Err(Fault::FlowControl);
                    }
                    self.update(key);
                }
            }
        }
        self.events.push_back(Event::Settings {
            enable_push: client.enable_push,
            max_streams: client.max_streams,
        });
        Ok(())
    }

    pub(super) fn ping(&mut self, header: FrameHeader, payload: &[u8]) -> Result<(), Failure> {
        if header.stream != 0 {
            return Err(Fault::UnexpectedFrame.into());
        }
        let opaque = <[u8; 8]>::try_from(payload).map_err(|_| Fault::FrameSize)?;
        if header.has(flag::ACK) {
            if opaque == SHUTDOWN_PING && matches!(self.ending, Ending::Announced { .. }) {
                self.go_away();
            }
            return self.spend(COST_OTHER);
        }
        self.spend(COST_PING)?;
        frame::put(self.out.tail(), kind::PING, flag::ACK, 0, &opaque);
        Ok(())
    }

    pub(super) fn goaway(&mut self, header: FrameHeader, payload: &[u8]) -> Result<(), Failure> {
        if header.stream != 0 {
            return Err(Fault::UnexpectedFrame.into());
        }
        let last = payload.split_first_chunk::<8>().ok_or(Fault::FrameSize)?.0;
        self.spend(COST_GOAWAY)?;
        let last = number(last.get(..4).unwrap_or_default()).unwrap_or(0) & 0x7fff_ffff;
        if !self.is_client_going {
            self.is_client_going = true;
            self.events.push_back(Event::GoingAway);
        }
        // The client ignores promises above `last`. The latest are closed first: `close` opens the head that has waited
        // longest, and this head must not be one of a stream that is closed next.
        for key in self.streams.keys().into_iter().rev() {
            if key.id().is_multiple_of(2) && key.id() > last {
                self.close(key, StreamEnd::ResetByUs(Reason::CANCEL));
            }
        }
        Ok(())
    }

    pub(super) fn window_update(&mut self, header: FrameHeader, payload: &[u8]) -> Result<(), Failure> {
        let more = number(payload).ok_or(Fault::FrameSize)? & 0x7fff_ffff;
        if header.stream != 0 && self.is_idle(header.stream) {
            return Err(Fault::UnexpectedFrame.into());
        }
        self.spend(if more < TINY_WINDOW {
            COST_TINY_WINDOW
        } else {
            COST_OTHER
        })?;
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
        self.update(key);
        Ok(())
    }

    /// Takes the priority of a request that has come or is still to come (RFC 9218 section 7.1).
    pub(super) fn priority_update(&mut self, header: FrameHeader, payload: &[u8]) -> Result<(), Failure> {
        if header.stream != 0 {
            return Err(Fault::PriorityUpdate.into());
        }
        let (id, field) = payload.split_first_chunk::<4>().ok_or(Fault::FrameSize)?;
        let id = u32::from_be_bytes(*id) & 0x7fff_ffff;
        if id == 0 || (id.is_multiple_of(2) && self.is_idle(id)) {
            return Err(Fault::PriorityUpdate.into());
        }
        let length = u32::try_from(field.len() / LONG_PRIORITY).unwrap_or(u32::MAX);
        self.spend(COST_OTHER.saturating_add(length))?;
        self.knows_priorities = true;
        let priority = Priority::parse(field);
        match self.streams.find(id) {
            Some(key) => {
                if let Some(stream) = self.streams.get_mut(key) {
                    stream.requested = priority;
                }
                self.rerank(key);
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
