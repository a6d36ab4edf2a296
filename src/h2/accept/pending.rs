//! Requests and promises that have not started: each is answered from the store, started, or waits.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use http::{Method, request::Parts};
use pingora::apps::HttpServerApp;

use super::{
    scheduler::{BATCH, RequestScheduler, RunPermit},
    start::start,
};
use crate::{
    client::Scheme,
    h2::{core::Key, respond::Connection, stream::Stream},
    push::Urgency,
};

/// Requests of a connection that wait: the most urgent first, and of these the one that has waited longest.
#[derive(Debug, Default)]
pub(super) struct Pending(VecDeque<Queued>);

#[derive(Debug)]
struct Queued {
    head: Box<Parts>,
    stream: Stream,
    urgency: Urgency,
    since: Instant,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Starts a request, or queues it behind others.
    pub(super) fn add<A>(
        &mut self,
        connection: &Arc<Connection<A>>,
        scheduler: &Arc<RequestScheduler>,
        (head, stream): (Box<Parts>, Stream),
        now: Instant,
    ) where
        A: HttpServerApp + Send + Sync + 'static,
    {
        let permit = if self.is_empty() {
            scheduler.try_start(now)
        } else {
            None
        };
        if let Some(permit) = permit {
            return start(connection, head, stream, None, permit);
        }
        if !stream.is_promised() {
            note_fetched(connection, &head);
        }
        let urgency = connection.mux.lock().core.urgency(stream.key());
        let queued = Queued {
            head,
            stream,
            urgency,
            since: now,
        };
        let at = self.0.partition_point(|before| before.urgency <= urgency);
        self.0.insert(at, queued);
    }

    /// Starts the first request with this permit, and some more while the scheduler lets them.
    pub(super) fn start<A>(
        &mut self,
        connection: &Arc<Connection<A>>,
        scheduler: &Arc<RequestScheduler>,
        permit: RunPermit,
    ) where
        A: HttpServerApp + Send + Sync + 'static,
    {
        let mut permit = Some(permit);
        let now = Instant::now();
        for _ in 0..BATCH {
            if self.is_empty() {
                return;
            }
            let Some(permit) = permit.take().or_else(|| scheduler.start_within_limit(now)) else {
                return;
            };
            if let Some(queued) = self.0.pop_front() {
                start(connection, queued.head, queued.stream, Some(queued.since), permit);
            }
        }
    }

    /// A stream was reset while it waited, or when it no longer did.
    pub(super) fn remove(&mut self, key: Key) {
        self.0.retain(|queued| queued.stream.key() != key);
    }

    /// Nothing is left to be started.
    pub(super) fn clear(&mut self) {
        self.0 = VecDeque::new();
    }
}

/// Nothing is pushed that the client has asked for, though it waits.
fn note_fetched<A>(connection: &Connection<A>, head: &Parts) {
    let told = connection.facts.as_ref().and_then(|facts| facts.peer.scheme);
    if let (&Method::GET, Some(authority), Some(path)) = (&head.method, head.uri.authority(), head.uri.path_and_query())
    {
        let scheme = Scheme::of(told, head).name();
        connection
            .client
            .record_fetched(scheme, authority.as_str(), path.as_str());
    }
}
