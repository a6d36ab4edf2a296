//! Wraps a client connection for Pingora, and corrects what Pingora reads from it and writes to it.
//!
//! Reading order: `client_io` (the connection and its client), `chunks` (strict parsing of chunked content), `dated`
//! (the origin's `Date` in a response head), `tunnel` (where a WebSocket can get a Close frame).

pub(super) mod chunks;
pub(super) mod client_io;
mod dated;
mod tunnel;
