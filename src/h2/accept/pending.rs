//! Queues requests and promises that cannot start yet, by urgency and then in the order in which they came.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use http::{Method, request::Parts};
use pingora::apps::HttpServerApp;

use super::{
    scheduler::{BATCH, RequestScheduler, RunPermit},
    start::start,
};
use crate::{
    h2::{core::Key, respond::Http2Connection, stream::Stream},
    meter::Counted,
    peer::Scheme,
    push::Urgency,
};

/// Requests of a connection that wait, the most urgent first, and among equally urgent ones the oldest.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Requests, and promises with a place, that wait for the scheduler.
    queue: VecDeque<Queued>,
    /// Promises that wait for a place, in the same order.
    held: VecDeque<Queued>,
    /// A counter of the places in use: the stream of each promise with a place has a clone until it is closed.
    places: Arc<()>,
}

/// Number of promises of a connection that the application answers at a time. Pushes are sent one after another, so
/// more of them would only occupy origin connections.
const PLACES: usize = 32;

/// A request or promise that waits.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) head: Box<Parts>,
    stream: Stream,
    urgency: Urgency,
    pub(super) since: Instant,
    /// Its place in the number of requests that wait for the scheduler; `None` for a promise that waits for a place.
    counted: Option<Counted>,
}

impl Pending {
    /// Returns whether nothing waits for the scheduler.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Starts or queues a promise, or holds it until a place is free.
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
        Queued::insert(&mut self.held, connection, (head, stream), now, None);
    }

    /// Starts or queues promises that waited for a place, while places are free.
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

    /// Gives a promised stream a place; returns `false` if none is free.
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

    /// Starts a request, or queues it if others wait or the scheduler does not let it start.
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
        let counted = scheduler.waits().waiting.count();
        Queued::insert(&mut self.queue, connection, (head, stream), now, Some(counted));
    }

    /// Starts the first request with this permit, and up to [`BATCH`] in all while the scheduler permits more.
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
                drop(queued.counted);
                scheduler
                    .waits()
                    .waited
                    .observe(now.saturating_duration_since(queued.since));
                start(connection, queued.head, queued.stream, Some(queued.since), permit);
            }
        }
    }

    /// Removes a stream that was reset, and returns it if it was queued.
    pub(super) fn remove(&mut self, key: Key) -> Option<Queued> {
        [&mut self.queue, &mut self.held].into_iter().find_map(|queue| {
            let at = queue.iter().position(|queued| queued.stream.key() == key)?;
            queue.remove(at)
        })
    }

    /// Removes all requests that wait, and returns them.
    pub(super) fn clear(&mut self) -> impl Iterator<Item = Queued> + use<> {
        let queues = (std::mem::take(&mut self.queue), std::mem::take(&mut self.held));
        queues.0.into_iter().chain(queues.1)
    }

    /// Returns whether any request or promise waits.
    pub(super) fn is_anything_waiting(&self) -> bool {
        !(self.queue.is_empty() && self.held.is_empty())
    }
}

impl Queued {
    /// Adds a stream to a queue, behind all that are as urgent or more.
    fn insert<A>(
        queue: &mut VecDeque<Self>,
        connection: &Http2Connection<A>,
        (head, stream): (Box<Parts>, Stream),
        since: Instant,
        counted: Option<Counted>,
    ) {
        let urgency = connection.mux.lock().core.urgency(stream.key());
        let at = queue.partition_point(|before| before.urgency <= urgency);
        let queued = Self {
            head,
            stream,
            urgency,
            since,
            counted,
        };
        queue.insert(at, queued);
    }
}

/// Records in the diary that the client has requested this target, so that it is not pushed while the request waits.
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
