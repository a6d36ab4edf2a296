//! Serves HTTP/1.x on a connection.
//!
//! Reading order: `serve` (one request after another, each through Pingora's server), `head_end` (where a request head
//! ends), `head` (its checks, and its one canonical form), `refuse` (the response to a malformed request), `upgrade`
//! (which requests ask for HTTP/2), `http2` (the trait by which HTTP/2 connections are served).

mod head;
mod head_end;
pub(super) mod http2;
mod refuse;
pub(super) mod serve;
pub(super) mod upgrade;
