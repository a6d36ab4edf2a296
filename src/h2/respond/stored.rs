//! Answers from the store. The driver of the connection gives such a response to the core as a whole, without a task.

use http::request::Parts;
use log::debug;

use super::Http2Connection;
use crate::{
    exchange::StoredResponse,
    h2::{
        core::{Core, Key, Reason, Response, SendError},
        stream::mux::Side,
    },
    push::PushedBy,
};

impl<A> Http2Connection<A> {
    /// Returns the stored response to a request or promise, if there is one.
    pub(in crate::h2) fn find_stored(&self, request: &Parts, pushed_by: Option<PushedBy>) -> Option<StoredResponse> {
        self.stored.find(request, self.facts.as_deref()?, pushed_by)
    }
}

/// Gives a whole stored response to the core, which sends it as fast as the client takes it. The queued content is
/// shared with the store, not copied.
pub(in crate::h2) fn respond(core: &mut Core<Side>, key: Key, stored: StoredResponse, now: std::time::Instant) {
    let StoredResponse { head, body, on_sent } = stored;
    if let Some(side) = core.side(key) {
        side.on_sent = on_sent;
    }
    let (parts, ()) = head.into_parts();
    let response = Response {
        status: parts.status,
        headers: &parts.headers,
        is_end: body.is_empty(),
    };
    let mut queue_all = || -> Result<(), SendError> {
        core.respond(key, response)?;
        if !body.is_empty() {
            let mut pieces = body.pieces().iter().peekable();
            while let Some(piece) = pieces.next() {
                core.send(key, piece.clone(), pieces.peek().is_none(), || now)?;
            }
        }
        Ok(())
    };
    if let Err(e) = queue_all() {
        debug!("stream {}: a stored response is not sent: {e}", key.id());
    }
    core.detach(key, Reason::CANCEL);
}
