//! Requests and promises that have not started: each is answered from the store, started, or waits.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use http::{Method, request::Parts};
use pingora::apps::HttpServerApp;

use super::{
    scheduler::{BATCH, RequestScheduler, RunPermit},
    start::start,
};
use crate::{
    h2::{core::Key, respond::Http2Connection, stream::Stream},
    peer::Scheme,
    push::Urgency,
};

/// Requests of a connection that wait: the most urgent first, and of these the one that has waited longest.
#[derive(Debug, Default)]
pub(super) struct Pending {
    queue: VecDeque<Queued>,
    /// Promises without a place, in the same order.
    held: VecDeque<Queued>,
    /// Each promise that was started has a share in it, until its stream is closed.
    places: Arc<()>,
}

/// Promises of a connection that are being answered at a time, but for what is stored. The client reads one after another
/// of them, and the others cost their origin connections.
const PLACES: usize = 32;

#[derive(Debug)]
struct Queued {
    head: Box<Parts>,
    stream: Stream,
    urgency: Urgency,
    since: Instant,
}

impl Pending {
    /// Whether nothing waits for its turn.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Starts a promise, or has it wait for a place.
    pub(super) fn add_promise<A>(
        &mut self,
        connection: &Arc<Http2Connection<A>>,
        scheduler: &Arc<RequestScheduler>,
        (head, stream): (Box<Parts>, Stream),
        now: Instant,
    ) where
        A: HttpServerApp + Send + Sync + 'static,
    {
        if self.held.is_empty() && self.take_place(connection, stream.key()) {
            return self.add(connection, scheduler, (head, stream), now);
        }
        Queued::insert(&mut self.held, connection, (head, stream), now);
    }

    /// Starts promises that waited for a place, as far as there are places now.
    pub(super) fn start_held<A>(
        &mut self,
        connection: &Arc<Http2Connection<A>>,
        scheduler: &Arc<RequestScheduler>,
        now: Instant,
    ) where
        A: HttpServerApp + Send + Sync + 'static,
    {
        while let Some(key) = self.held.front().map(|queued| queued.stream.key())
            && self.take_place(connection, key)
            && let Some(Queued { head, stream, .. }) = self.held.pop_front()
        {
            self.add(connection, scheduler, (head, stream), now);
        }
    }

    /// Gives a promised stream a place, if there is one.
    fn take_place<A>(&self, connection: &Http2Connection<A>, key: Key) -> bool {
        let taken = Arc::strong_count(&self.places) - 1;
        if taken >= PLACES {
            return false;
        }
        if let Some(side) = connection.mux.lock().core.side(key) {
            side.place = Some(Arc::clone(&self.places));
        }
        true
    }

    /// Starts a request, or queues it behind others.
    pub(super) fn add<A>(
        &mut self,
        connection: &Arc<Http2Connection<A>>,
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
        Queued::insert(&mut self.queue, connection, (head, stream), now);
    }

    /// Starts the first request with this permit, and some more while the scheduler lets them.
    pub(super) fn start<A>(
        &mut self,
        connection: &Arc<Http2Connection<A>>,
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
            if let Some(queued) = self.queue.pop_front() {
                start(connection, queued.head, queued.stream, Some(queued.since), permit);
            }
        }
    }

    /// A stream was reset while it waited, or when it no longer did.
    pub(super) fn remove(&mut self, key: Key) {
        for queue in [&mut self.queue, &mut self.held] {
            queue.retain(|queued| queued.stream.key() != key);
        }
    }

    /// Nothing is left to be started.
    pub(super) fn clear(&mut self) {
        (self.queue, self.held) = (VecDeque::new(), VecDeque::new());
    }

    /// Whether a stream that was reset may be among those that wait.
    pub(super) fn is_anything_waiting(&self) -> bool {
        !(self.queue.is_empty() && self.held.is_empty())
    }
}

impl Queued {
    /// Adds a stream to a queue, behind those that are as urgent.
    fn insert<A>(
        queue: &mut VecDeque<Self>,
        connection: &Http2Connection<A>,
        (head, stream): (Box<Parts>, Stream),
        since: Instant,
    ) {
        let urgency = connection.mux.lock().core.urgency(stream.key());
        let at = queue.partition_point(|before| before.urgency <= urgency);
        let queued = Self {
            head,
            stream,
            urgency,
            since,
        };
        queue.insert(at, queued);
    }
}

/// Nothing is pushed that the client has asked for, though it waits.
fn note_fetched<A>(connection: &Http2Connection<A>, head: &Parts) {
    let told = connection.facts.as_ref().and_then(|facts| facts.peer.scheme);
    if let (&Method::GET, Some(authority), Some(path)) = (&head.method, head.uri.authority(), head.uri.path_and_query())
    {
        let scheme = Scheme::of(told, head).name();
        connection
            .client
            .record_fetched(scheme, authority.as_str(), path.as_str());
    }
}
