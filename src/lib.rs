//! linkpush: an HTTP edge that delivers the assets named by `Link: rel=preload` response headers.
//!
//! linkpush stands directly behind TLS termination or terminates TLS itself, speaks HTTP/2 and HTTP/1.x to clients and
//! HTTP/1.1 to origins, and is built on Pingora. Pingora's own HTTP/2 server has no push and drops every 1xx
//! response, so the module `h2` has an HTTP/2 server of its own, which calls Pingora's proxy for each request.
//!
//! # Words
//!
//! A *document* is a response whose *links* name *assets*. A link that asks for preloading and resolves to a URL may
//! become a *promise* (a `PUSH_PROMISE` and the stream of its response) or a *hint* (a link in a `103` response);
//! promises and hints together are the document's *plan*. The *diary* of a connection lists what was pushed to the
//! client and what the client requested itself. *Delivery* is a route's setting: `auto`, `push`, `hint` or `off`.
//!
//! # A request's way
//!
//! ```text
//! client ──► listen ──────► h2 ──────────────► proxy ──────────────► upstream ──► origin
//!            PROXY header,  validate, start    route, cache,         choose a
//!            TLS, protocol  by urgency         early plan            server
//!                             ▲                  │
//!                             │ promises, 103,   ▼ links of each response
//!                             │ head, content  push::plan(policy, facts, document, links)
//!                             └──────────────── plan, in the extensions of the response
//! ```
//!
//! A promise starts a stream of its own, whose request takes the same way from `h2` on. HTTP/1.x requests go from
//! `listen` to `proxy`. The complete stored responses of [`cache`] are sent by `h2` without Pingora's proxy.
//!
//! # Modules
//!
//! A module imports only from modules above it in this list; tests check this. Modules within State and Edges do not
//! know each other.
//!
//! - Pure, without I/O, clock or log, in order of their imports: `hpack` (compression of HTTP/2 fields), [`url_hash`]
//!   (keyed hashes of URLs), [`link`] (`Link` headers and URLs), [`html`] (fetches in the head of an HTML document),
//!   [`fields`] (fields of messages), [`push`] (the plan for a document), [`peer`] (the client of a connection, the
//!   target of a request), [`forwarded`] (fields that tell origins about the client), [`trace`] (names of
//!   requests), [`learn`] (links that documents
//!   had before), [`route`] (host, path and method to a route).
//! - [`backpressure`] (stops the origin's connection while a client reads slowly).
//! - State: [`cache`] (stored responses), [`certificate`] (TLS certificates), [`upstream`] (pools of origin servers),
//!   [`telemetry`] (logs and metrics).
//! - [`exchange`] (types that cross between the modules of the next row).
//! - Edges: `listen` (accepted connections, HTTP/1.x), `h2` (HTTP/2 connections), [`proxy`] (the rules of a request),
//!   [`config`] (the configuration file).
//! - Assembly: [`server`] (the running process), then [`cli`] (the subcommands), then `main`.

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
pub mod meter;
pub mod peer;
pub mod proxy;
pub mod push;
pub mod route;
pub mod server;
pub mod telemetry;
pub mod trace;
pub mod upstream;
pub mod url_hash;
