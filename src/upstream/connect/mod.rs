//! How an origin is connected to.
//!
//! Reading order: `peer` (how to connect), `connector` (who connects).

pub(super) mod connector;
pub(super) mod peer;
