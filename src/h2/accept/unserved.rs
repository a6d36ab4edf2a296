//! Writes the access lines of requests that ended before they started: reset while they waited, or with their
//! connection.

use std::fmt::Display;

use http::Version;

use super::pending::Queued;
use crate::{
    forwarded,
    peer::{ClientConnection, Scheme},
    push::PushedBy,
    telemetry::access::{self, Access},
};

/// Writes the line of a request or promise that waited, and why it is served no more.
pub(super) fn log_unserved(connection: Option<&ClientConnection>, queued: &Queued, why: &dyn Display) {
    if !access::is_enabled() {
        return;
    }
    let head = &queued.head;
    let peer = connection.map(|connection| &connection.peer);
    let authority = head.uri.authority().map_or("", |authority| authority.as_str());
    let path = head.uri.path_and_query().map_or("", |path| path.as_str());
    let why = why.to_string();
    access::write(&Access {
        client: peer.map(|peer| forwarded::client(peer, &head.headers)),
        scheme: Scheme::of(peer.and_then(|peer| peer.scheme), head).name(),
        authority,
        path_and_query: path,
        duration: queued.since.elapsed(),
        pushed_by: head.extensions.get::<PushedBy>().map(|pushed| pushed.parent),
        ..Access::refused(
            peer.map(|peer| peer.address),
            access::protocol(Version::HTTP_2),
            (head.method.as_str(), path),
            None,
            &why,
        )
    });
}
