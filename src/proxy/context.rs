//! What is known of one request between Pingora's phases.

use std::{sync::Arc, time::Instant};

use crate::push::{Client, PushedBy, Skips};

/// One request's state.
#[derive(Debug)]
pub struct Context {
    pub(super) started: Instant,
    /// Index of its route.
    pub(super) route: Option<usize>,
    /// Its client, over HTTP/2 only.
    pub(super) client: Option<Arc<Client>>,
    /// Its document, if the request is our own promise.
    pub(super) pushed_by: Option<PushedBy>,
    /// Origin servers that could not be connected to.
    pub(super) failed_connects: usize,
    /// Requests sent to origin servers: more than one after a connection was lost.
    pub(super) attempts: u32,
    /// The attempt in which the origin's first 103 was passed on.
    pub(super) hinting_attempt: Option<u32>,
    /// Promises planned for this document.
    pub(super) promised: usize,
    /// Links in this document's 103s.
    pub(super) hinted: usize,
    /// Links that were not delivered.
    pub(super) skips: Skips,
    /// Why the pushed answer was not delivered, or the request failed.
    pub(super) failure: Option<String>,
}

impl Context {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            route: None,
            client: None,
            pushed_by: None,
            failed_connects: 0,
            attempts: 0,
            hinting_attempt: None,
            promised: 0,
            hinted: 0,
            skips: Skips::default(),
            failure: None,
        }
    }
}
