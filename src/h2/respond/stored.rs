//! Responses that need no application: the driver of the connection sends them itself, and waits for nobody.

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

/// Gives a whole response to the machine, which sends it as the client takes it. Its content is shared with the
/// store, so that it takes no memory of its own.
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
    let mut give = || -> Result<(), SendError> {
        core.respond(key, response)?;
        if !body.is_empty() {
            let mut pieces = body.pieces().iter().peekable();
            while let Some(piece) = pieces.next() {
                core.send(key, piece.clone(), pieces.peek().is_none(), || now)?;
            }
        }
        Ok(())
    };
    if let Err(e) = give() {
        debug!("stream {}: a stored response is not sent: {e}", key.id());
    }
    core.detach(key, Reason::CANCEL);
}
