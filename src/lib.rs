//! linkpush: an edge proxy that delivers what `Link: rel=preload` response headers name.
//!
//! It stands directly behind TLS termination, talks HTTP/2 to clients and HTTP/1.1 to origins, and is
//! built on Pingora. Pingora's own HTTP/2 server has no push and drops every 1xx, so the client's
//! HTTP/2 connection is served here, by a server of our own, under Pingora's proxy.
//!
//! # Words
//!
//! The *client* asks for a *document*, whose *links* name *assets*. A link that asks for preloading
//! and resolves to a URL may become a *promise* (a `PUSH_PROMISE` and the stream that answers it) or
//! a *hint* (a link in a `103`); together they are the document's *plan*. The *diary* of a connection
//! knows what the client was pushed or fetched itself. *Delivery* is the route's setting: `auto`,
//! `push`, `hint`, `off`.
//!
//! # A request's way
//!
//! ```text
//! client ──► listen ──► h2 ──────────────► proxy ──────────────► upstream ──► origin
//!            who, TLS,  accept, validate,  route, early plan,    which
//!            protocol   Session            peer                  server
//!                         ▲                   │
//!                         │ promises, 103,    ▼ header of each answer
//!                         │ header, body    push::plan(policy, facts, document, links)
//!                         └─────────────── plan, in the header's extensions
//! ```
//!
//! A promise starts a stream of its own, which takes the same way from `h2` on.
//!
//! # Modules
//!
//! Imports go to the left only: pure ([`url_hash`], [`link`], [`html`], [`fields`], [`push`], [`peer`], [`forwarded`], [`learn`],
//! [`route`], and `hpack`), then state ([`cache`],
//! [`certificate`], [`upstream`], [`telemetry`]), then [`exchange`] (what rides between edges), then edges (`listen`, `h2`, [`proxy`], [`config`]), which do not know each
//! other, then assembly ([`server`], [`cli`]).

pub mod backpressure;
pub mod cache;
pub mod certificate;
pub mod cli;
pub mod config;
pub mod exchange;
pub mod fields;
pub mod forwarded;
mod h2;
mod hpack;
pub mod html;
pub mod learn;
pub mod link;
mod listen;
pub mod peer;
pub mod proxy;
pub mod push;
pub mod route;
pub mod server;
pub mod telemetry;
pub mod upstream;
pub mod url_hash;
