//! Responds to requests and promises: from the store (`stored`), or by Pingora's application through a session of our
//! own (`session`), which also sends the promises of a plan (`push`). `failure` maps errors to Pingora's.

mod early;
mod failure;
mod push;
pub(super) mod session;
pub(super) mod stored;

use std::sync::Arc;

use pingora::{protocols::Digest, server::ShutdownWatch};

use super::{Limits, stream::mux::Mux};
use crate::{exchange::ResponseSource, peer, push::PushState};

/// The part of a connection that its driver and its sessions share.
pub(super) struct Http2Connection<A> {
    pub(super) app: Arc<A>,
    /// The store, which is asked before the application.
    pub(super) stored: Arc<dyn ResponseSource>,
    pub(super) client: Arc<PushState>,
    /// Facts about the client, if the listener passed them with the connection.
    pub(super) facts: Option<Arc<peer::ClientConnection>>,
    pub(super) limits: Limits,
    pub(super) digest: Arc<Digest>,
    pub(super) shutdown: ShutdownWatch,
    pub(super) mux: Arc<Mux>,
}
