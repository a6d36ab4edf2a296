//! Connects to origin servers.
//!
//! Reading order: `peer` (the options of a connection), `connector` (the connection itself).

pub(super) mod connector;
pub(super) mod peer;
