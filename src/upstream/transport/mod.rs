//! Reads and writes the bytes of connections to origins.
//!
//! Reading order: `pace` and `paced` (how fast a response is read), `duplex` (reading while a write waits), `head`
//! (changes of a response's head before Pingora reads it), `websocket` (connections that may switch protocols).

pub(super) mod duplex;
pub(super) mod head;
pub mod pace;
pub(super) mod paced;
pub(super) mod websocket;
