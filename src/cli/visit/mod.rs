//! Fetches one page as a described client, with what the server pushes and what the page names, and records all of it.
//! `probe` and `explain --fetch` share it.
//!
//! Reading order: `itinerary` (page, server and client), `visited` (the record), `error` (why there is no page),
//! `connect` (TCP, PROXY header, TLS, `Upgrade`), `message` (heads and content of HTTP/1.1), `assets` (which assets a
//! page names), `recorder`, `http1` and `http2` (the conversation), `diagnose` (the likely cause of a failure).

use std::io;

mod assets;
mod connect;
mod diagnose;
mod error;
mod http1;
mod http2;
mod itinerary;
mod message;
mod recorder;
mod transport;
mod visited;

pub(in crate::cli) use diagnose::visit;
pub(in crate::cli) use error::VisitError;
pub(in crate::cli) use itinerary::{
    Follow, Itinerary, ProxyVersion, ServerAddress, Verification, VisitClient, Wire, page_url, request_field, with_host,
};
#[cfg(test)]
pub(in crate::cli) use visited::EarlyHints;
pub(in crate::cli) use visited::{
    Initiator, PushSetting, VisitOutcome, Visited, VisitedExchange, VisitedResponse, lines_of,
};

/// Runs a visit to its end, on a runtime of one thread.
///
/// # Errors
///
/// The runtime did not start.
pub(in crate::cli) fn block_on<T>(visit: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(visit);
    // Does not wait for a name that may still be looked up on a thread of its own.
    runtime.shutdown_background();
    Ok(result)
}
