//! A client's connection as Pingora reads and writes it.
//!
//! Reading order: `client_io` (a connection with its client), `chunks` (chunked content, to the letter), `dated` (whose
//! `Date` a response has), `tunnel` (where a WebSocket can be told of its end).

pub(super) mod chunks;
pub(super) mod client_io;
mod dated;
mod tunnel;
