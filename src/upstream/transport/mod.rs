//! The bytes between an origin and us.
//!
//! Reading order: `pace` and `paced` (how fast is read), `duplex` (what is heard meanwhile), `head` (what of a response's
//! head Pingora is shown), `websocket` (the answer to a request for a WebSocket).

pub(super) mod duplex;
pub(super) mod head;
pub mod pace;
pub(super) mod paced;
pub(super) mod websocket;
