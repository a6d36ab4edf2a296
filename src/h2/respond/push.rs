//! A plan carried out: promises on the wire. The driver of the connection starts their answers.

use http::request::Parts;
use log::debug;

use super::Connection;
use crate::{
    h2::stream::{Stream, mux::Promised},
    push::{Priority, Promise, PushedBy},
};

/// Promises assets on the stream of their document, and has their answers started.
///
/// It must come before the HEADERS that would make the client ask (RFC 9113 section 8.4). A promise that cannot be
/// sent is dropped, which gives its place back.
pub(super) fn push<A>(connection: &Connection<A>, document: &mut Stream, promises: Vec<Promise>) {
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
            stream,
            head,
            pushed_by,
        });
    }
}
