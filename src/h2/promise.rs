//! A plan carried out: promises on the wire, each with a task that answers it.

use std::{future::poll_fn, sync::Arc, task::Poll};

use http::request::Parts;
use log::debug;
use pingora::{apps::HttpServerApp, protocols::http::ServerSession};

use super::{admission::AtWork, connection::Connection, memory, session::Session, stream::Stream};
use crate::{
    push::{Promise, PushedBy},
    upstream::paced,
};

/// Serves one stream, a request or a promise, in a task of its own: a panic ends that stream only.
pub(super) fn run<A>(connection: &Arc<Connection<A>>, head: Parts, stream: Stream, at_work: AtWork)
where
    A: HttpServerApp + Send + Sync + 'static,
{
    let active = connection.active.begin();
    let app = Arc::clone(&connection.app);
    let shutdown = connection.shutdown.clone();
    let session = Session::new(head, stream, Arc::clone(connection));
    tokio::spawn(paced(at_work.spend(async move {
        let _active = active;
        app.process_new_http(ServerSession::new_custom(Box::new(session)), &shutdown)
            .await;
    })));
}

/// Promises assets on the stream of their document, and starts their answers.
///
/// Must come before the HEADERS that would make the client ask (RFC 9113 section 8.4). What
/// cannot be promised any more is dropped, which gives its place back; so is what would have to wait for long until
/// another document's promises are written.
pub(super) async fn send<A>(connection: &Arc<Connection<A>>, document: &mut Stream, promises: Vec<Promise>)
where
    A: HttpServerApp + Send + Sync + 'static,
{
    if promises.is_empty() {
        return;
    }
    let parent = document.id();
    let Some(turn) = connection.promises.unwritten.turn(parent).await else {
        return debug!("stream {parent}: not promised: others' promises are not written");
    };
    // A document that was reset while it waited would have its promises written all the same.
    if poll_fn(|cx| Poll::Ready(document.poll_reset(cx).is_ready())).await {
        return;
    }
    for promise in promises {
        // Reserved first: a shutdown that finds nothing reserved says GOAWAY.
        let reserved = connection.active.reserve();
        let request = promise.request.clone();
        let ask = || {
            // Asked under the lock of what is unwritten, so that a GOAWAY of the client's waits for it or forbids it.
            if !connection.client.accepts_push() {
                return None;
            }
            let pushed = document.push(request);
            let pushed = pushed
                .inspect_err(|e| debug!("stream {parent}: not promised: {e}"))
                .ok()?;
            Some((pushed.stream_id().as_u32(), pushed))
        };
        let Some(pushed) = turn.ask(ask) else { return };
        if let Some(slot) = &promise.slot {
            slot.mark_sent();
        }
        let mut head = promise.request.into_parts().0;
        let pushed_by = PushedBy { parent };
        let recalled = connection.recall(&head, Some(pushed_by));
        let stream = Stream::promised(
            pushed,
            promise.urgency,
            promise.slot,
            connection.openings.clone(),
            (reserved, connection.order.promise()),
            Arc::clone(&connection.bottleneck),
            document.open_flag(),
        );
        match recalled {
            Some(recalled) => memory::fulfil(connection, stream, recalled),
            None => {
                head.extensions.insert(pushed_by);
                run(connection, head, stream, connection.admission.begin());
            }
        }
    }
}
