//! What a stream does in the task of the connection, where nothing may wait: answers that are in memory.

use bytes::Bytes;
use http::Response;

use super::{
    super::{bottleneck::Room, opening::Opening},
    PUSH_CHUNK, Respond, Stream, StreamError,
};

impl Stream {
    /// Sends the final HEADERS of a promised stream, and goes on with `then` in the task of the connection. There is
    /// no time limit: what makes it wait, other pushes of the connection, has one, and so has the connection
    /// when it is idle. `then` is dropped if the connection ends before.
    pub(in crate::h2) fn open_then(
        mut self,
        response: Response<()>,
        end: bool,
        then: impl FnOnce(Self, Result<(), StreamError>) + Send + 'static,
    ) {
        let Respond::Promised(respond, promised) = &mut self.respond else {
            return then(self, Err(StreamError::NoHeader));
        };
        let Some(respond) = respond.take() else {
            return then(self, Err(StreamError::NoHeader));
        };
        let openings = promised.openings.clone();
        let opening = Opening::then(respond, response, end, move |opened| {
            let opened = self.opened(opened, end);
            then(self, opened);
        });
        // Without a receiver the connection has ended.
        let _ = openings.send(opening);
    }

    /// Sends the final HEADERS of the answer to a request, for which nothing has to be waited for.
    pub(in crate::h2) fn begin(&mut self, response: Response<()>, end: bool) -> Result<(), StreamError> {
        let Respond::Requested(respond) = &mut self.respond else {
            return Err(StreamError::NoHeader);
        };
        self.sender = Some(respond.send_response(response, end)?);
        self.end_if(end);
        Ok(())
    }

    /// Sends a whole content if it is its turn and the client's windows take it now; `false` leaves all of it to
    /// `send_body`.
    pub(in crate::h2) fn send_at_once(&mut self, data: &Bytes) -> Result<bool, StreamError> {
        let sender = self.sender.as_mut().ok_or(StreamError::NoHeader)?;
        let Some(lane) = self.lane.as_mut().filter(|lane| lane.may_send()) else {
            return Ok(false);
        };
        let promised = match &self.respond {
            Respond::Requested(_) => None,
            Respond::Promised(_, promised) => Some(promised),
        };
        let has_room = promised.is_none_or(|promised| match promised.bottleneck.room() {
            Room::Bytes(room) => data.len() <= room.min(PUSH_CHUNK),
            Room::After(_) => false,
        });
        if !has_room {
            return Ok(false);
        }
        sender.reserve_capacity(data.len());
        if sender.capacity() < data.len() {
            return Ok(false);
        }
        if let Some(promised) = promised {
            promised.bottleneck.count(data.len());
            lane.queue(data.len());
        }
        let data = data.clone();
        self.end_with(|sender| sender.send_data(data.into(), true))
            .map(|()| true)
    }
}
