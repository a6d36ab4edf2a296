//! Receives DATA frames (RFC 9113 section 6.1): passes their payload on as it comes, whole or in pieces.

use super::{COST_EMPTY_DATA, COST_OTHER, Failure};
use crate::h2::{
    core::{Core, Event, Fault, Key, StreamEnd, stream::State},
    wire::frame::{FrameHeader, flag},
};

/// A DATA frame whose header has come, and whose payload has not come as a whole.
#[derive(Debug)]
pub(in crate::h2::core) struct IncomingData {
    stream: u32,
    /// The stream that takes the payload; `None` if the payload is to be dropped.
    key: Option<Key>,
    /// Bytes of the payload that are still to come, with the padding and its length field.
    left: usize,
    /// Bytes of padding in `left`; `None` until the length field has come.
    padding: Option<usize>,
    is_end: bool,
}

#[cfg(test)]
impl IncomingData {
    pub(in crate::h2::core) const fn left(&self) -> usize {
        self.left
    }

    pub(in crate::h2::core) const fn key(&self) -> Option<Key> {
        self.key
    }
}

impl<T: Default> Core<T> {
    /// Takes the header of a DATA frame; all of its payload counts in the windows (RFC 9113 section 6.9.1).
    pub(super) fn begin_content(&mut self, header: FrameHeader) -> Result<(), Failure> {
        if header.stream == 0 || self.is_idle(header.stream) {
            return Err(Fault::UnexpectedFrame.into());
        }
        let length = i64::try_from(header.length).unwrap_or(i64::MAX);
        if length > self.receive_window {
            return Err(Fault::FlowControl.into());
        }
        self.receive_window -= length;
        self.content = Some(IncomingData {
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
            self.spend(COST_EMPTY_DATA)?;
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
                self.spend(COST_OTHER)?;
                self.check_late(header.stream)?;
            }
        }
        self.end_content_if_complete()
    }

    /// Takes bytes of the payload: the length of the padding, then content, then padding.
    pub(super) fn receive_content(&mut self, bytes: &mut &[u8]) -> Result<(), Failure> {
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
            if padding == content.left && !content.is_end {
                self.spend(COST_EMPTY_DATA)?;
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

    /// Stores content in its stream, or drops it if the stream does not take it any more.
    fn take_content(&mut self, id: u32, key: Option<Key>, come: &[u8]) -> Result<(), Failure> {
        let stream = key.and_then(|key| self.streams.get_mut(key));
        let Some(stream) = stream.filter(|stream| stream.state.receives()) else {
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
        if !stream.is_attached {
            self.give_back(come.len());
            return Ok(());
        }
        if stream.received.is_empty()
            && let Some(key) = key
        {
            self.events.push_back(Event::Readable(key));
        }
        stream.received.extend_from_slice(come);
        Ok(())
    }

    /// Gives padding back to the windows at once: the owner never reads it.
    fn give_back_of_content(&mut self, bytes: usize) {
        match self.content.as_ref().and_then(|content| content.key) {
            Some(key) => self.give_back_to(key, bytes),
            None => self.give_back(bytes),
        }
    }

    fn end_content_if_complete(&mut self) -> Result<(), Failure> {
        let Some(content) = self.content.take_if(|content| content.left == 0) else {
            return Ok(());
        };
        match content.key {
            Some(key) if content.is_end => self.end_request(key),
            _ => Ok(()),
        }
    }

    /// Ends the client's half of a stream after its END_STREAM.
    pub(super) fn end_request(&mut self, key: Key) -> Result<(), Failure> {
        let Some(stream) = self.streams.get_mut(key).filter(|stream| stream.state.receives()) else {
            return Ok(());
        };
        if stream.remaining.is_some_and(|remaining| remaining > 0) {
            return Err(Failure::Stream(key.id(), Fault::ContentLength));
        }
        stream.is_request_complete = true;
        let state = stream.state.remote_ended();
        self.events.push_back(Event::Readable(key));
        if state == State::Closed {
            self.close(key, StreamEnd::Complete);
        } else {
            stream.state = state;
        }
        Ok(())
    }
}
