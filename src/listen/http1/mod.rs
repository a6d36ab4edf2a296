//! HTTP/1.x on a connection.
//!
//! Reading order: `serve` (Pingora's own server, one request after another), `head_end` and `head` (what a request's head
//! says, once), `refuse` (the answer to what is no request), `upgrade` (which requests ask for HTTP/2), `http2` (the seam to what
//! serves it).

mod head;
mod head_end;
pub(super) mod http2;
mod refuse;
pub(super) mod serve;
pub(super) mod upgrade;
