//! Handles the core's events for the driver: answers requests from the store, starts or queues them, wakes tasks,
//! records the client's settings and refusals of pushes, and logs and counts faults.

use std::{
    sync::{Arc, LazyLock},
    task::{Context, Poll, Waker},
    time::Instant,
};

use http::{Version, request::Parts};
use log::{debug, warn};
use pingora::apps::HttpServerApp;

use super::{serve::Driver, unserved::log_unserved};
use crate::{
    h2::{
        core::{Event, Fault, Key},
        respond::stored,
        stream::{
            Stream,
            mux::{Promised, Side},
        },
    },
    telemetry::{access, seldom::SeldomEach},
};

/// Rate limits of the warnings of floods, by fault.
static FLOODS: LazyLock<SeldomEach<&'static str>> = LazyLock::new(SeldomEach::default);

impl<A: HttpServerApp + Send + Sync + 'static> Driver<A> {
    /// Handles all events, and serves the promises that streams have sent.
    pub(super) fn handle(&mut self, now: Instant) {
        while let Some(event) = self.next() {
            match event {
                Event::Request { key, head, is_end } => self.request(key, head, is_end, now),
                Event::Closed {
                    key,
                    side,
                    sent,
                    reason,
                    by,
                } => {
                    if let Some(reason) = reason
                        && self.pending.is_anything_waiting()
                        && let Some(queued) = self.pending.remove(key)
                    {
                        let why = format_args!("reset before it started: {reason}");
                        log_unserved(self.connection.facts.as_deref(), &queued, &why);
                    }
                    side.end(sent, reason, by);
                }
                Event::Settings {
                    enable_push,
                    max_streams,
                } => {
                    self.connection.client.set_enable_push(enable_push);
                    self.connection.client.set_max_concurrent_streams(max_streams);
                }
                Event::PromiseRefused => self.connection.client.count_refusal(),
                Event::GoingAway => self.connection.client.set_going_away(),
                Event::Fault { fault, stream } => self.report_fault(fault, stream),
                Event::Readable(key) => self.wake(key, |side| side.reader.take()),
                Event::Writable(key) => self.wake(key, |side| side.writer.take()),
            }
        }
        let promised = std::mem::take(&mut self.connection.mux.lock().promised);
        for Promised { key, head, pushed_by } in promised {
            match self.connection.find_stored(&head, Some(pushed_by)) {
                Some(found) => stored::respond(&mut self.connection.mux.lock().core, key, found, now),
                None => {
                    let stream = Stream::new(Arc::clone(&self.connection.mux), key, true);
                    self.pending
                        .add_promise(&self.connection, &self.scheduler, (head, stream), now);
                }
            }
        }
        self.pending.start_held(&self.connection, &self.scheduler, now);
    }

    /// Returns the next event. A method, so that the lock is released before the caller handles the event.
    fn next(&self) -> Option<Event<Side>> {
        self.connection.mux.lock().core.poll_event()
    }

    /// Wakes the task whose waker `waiting` takes from the stream's data.
    fn wake(&self, key: Key, waiting: impl FnOnce(&mut Side) -> Option<Waker>) {
        let waker = self.connection.mux.lock().core.side(key).and_then(waiting);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Logs and counts a client's fault. A request that the core has refused gets its access line here.
    fn report_fault(&self, fault: Fault, stream: Option<u32>) {
        self.meter.count_fault(fault.name(), stream.is_some());
        let address = self.connection.facts.as_ref().map(|facts| facts.peer.address);
        let of = || address.map(|address| format!(" of {address}")).unwrap_or_default();
        match stream {
            Some(stream) => {
                debug!("stream {stream}{}: {fault}", of());
                if let Some(status) = fault.refusal() {
                    access::write_refused(address, access::protocol(Version::HTTP_2), ("-", "-"), status, &fault);
                }
            }
            None if self.is_upgraded && fault == Fault::Preface => {
                debug!(
                    "HTTP/2 connection ended{}: no preface but other bytes after the upgrade",
                    of()
                );
            }
            None if fault.is_flood() => match FLOODS.may_warn(fault.name(), Instant::now()) {
                Some(left_out) => warn!("closing an HTTP/2 connection{}: {fault}{left_out}", of()),
                None => debug!("closing an HTTP/2 connection{}: {fault}", of()),
            },
            None => debug!("closing an HTTP/2 connection{}: {fault}", of()),
        }
    }

    /// Answers a request from the store, starts it, or queues it.
    fn request(&mut self, key: Key, head: Box<Parts>, is_end: bool, now: Instant) {
        // The store has no response to a request with content.
        let found = if is_end {
            self.connection.find_stored(&head, None)
        } else {
            None
        };
        if let Some(found) = found {
            return stored::respond(&mut self.connection.mux.lock().core, key, found, now);
        }
        let stream = Stream::new(Arc::clone(&self.connection.mux), key, is_end);
        self.pending.add(&self.connection, &self.scheduler, (head, stream), now);
    }

    /// Starts pending requests when the scheduler gives this connection its turn.
    pub(super) fn poll_turn(&mut self, cx: &mut Context<'_>) {
        while !self.pending.is_empty() {
            let turn = self
                .turn
                .get_or_insert_with(|| Box::pin(Arc::clone(&self.scheduler).turn()));
            match turn.as_mut().poll(cx) {
                Poll::Pending => return,
                Poll::Ready(permit) => {
                    self.turn = None;
                    self.pending.start(&self.connection, &self.scheduler, permit);
                }
            }
        }
        self.turn = None;
    }
}
