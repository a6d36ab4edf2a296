//! Counts what happens between this server and the servers of a pool: [`PoolMeter`].

use super::OriginFailure;
use crate::meter::{Counter, Counters, Histogram, labels};

labels! {
    /// Where the connection of a request came from.
    pub enum OriginConnection {
        /// It was made for the request.
        Made = "made",
        /// An earlier request had left it.
        Reused = "reused",
    }
}

impl From<bool> for OriginConnection {
    fn from(was_reused: bool) -> Self {
        if was_reused { Self::Reused } else { Self::Made }
    }
}

/// The counters of one upstream. A reload keeps those of upstreams whose names stay.
#[derive(Debug, Default)]
pub struct PoolMeter {
    /// Requests that got a connection, by where it came from.
    pub connections: Counters<OriginConnection>,
    /// Requests that failed at a server, or got none.
    pub failures: Counters<OriginFailure>,
    /// Ejections of servers.
    pub ejections: Counter,
    /// The times from the choice of a server to the head of its final response.
    pub first_byte: Histogram,
}
