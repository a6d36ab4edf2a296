//! Sends the promises of a plan, and has the driver of the connection serve the promised requests.

use http::request::Parts;
use log::debug;

use super::Http2Connection;
use crate::{
    h2::stream::{Stream, mux::Promised},
    push::{Priority, Promise, PushedBy},
};

/// Promises assets on the stream of their document, and queues the promised requests for the driver.
///
/// The caller sends the HEADERS that name the assets afterwards: otherwise the client could request an asset before it
/// sees the promise (RFC 9113 section 8.4). If a promise cannot be sent, this promise and all later ones are dropped,
/// which frees their slots.
pub(super) fn push<A>(connection: &Http2Connection<A>, document: &mut Stream, promises: Vec<Promise>) {
    let parent = document.id();
    for promise in promises {
        let urgency = promise.urgency;
        let pushed = document.push(&promise.request, Priority::urgent(urgency), promise.slot);
        let stream = match pushed {
            Ok(stream) => stream,
            Err(e) => return debug!("stream {parent}: not promised: {e}"),
        };
        let pushed_by = PushedBy { parent };
        let mut head: Box<Parts> = Box::new(promise.request.into_parts().0);
        head.extensions.insert::<PushedBy>(pushed_by);
        connection.mux.start(Promised {
            key: stream.release(),
            head,
            pushed_by,
        });
    }
}
