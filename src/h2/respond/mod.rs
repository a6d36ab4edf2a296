//! Answers to requests and promises: Pingora's application through a session of our own (`session`, the doc-hidden
//! seam), a stored response (`stored`), the promises of a plan (`push`).

mod early;
mod failure;
mod push;
pub(super) mod session;
pub(super) mod stored;

use std::sync::Arc;

use pingora::{protocols::Digest, server::ShutdownWatch};

use super::{Limits, stream::mux::Mux};
use crate::{exchange::ResponseSource, peer, push::PushState};

/// The shared part of all that answers on a connection.
pub(super) struct Http2Connection<A> {
    pub(super) app: Arc<A>,
    /// Asked before the application.
    pub(super) stored: Arc<dyn ResponseSource>,
    pub(super) client: Arc<PushState>,
    /// Facts about the client, if its connection told.
    pub(super) facts: Option<Arc<peer::ClientConnection>>,
    pub(super) limits: Limits,
    pub(super) digest: Arc<Digest>,
    pub(super) shutdown: ShutdownWatch,
    pub(super) mux: Arc<Mux>,
}
