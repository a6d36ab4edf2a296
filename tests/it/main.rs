//! The whole thing at work: the real binary, a real origin, real clients.
//!
//! One file a topic; `support` has the harness.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::print_stderr,
    clippy::type_complexity,
    unreachable_pub,
    missing_docs,
    reason = "a test that fails panics, and its support crate has no public interface"
)]

mod support;

mod admission;
mod attacks;
mod balance;
mod browser;
mod browser_hints;
mod browsers_h2;
mod cache;
mod cases;
mod chain;
mod clients;
mod commands;
mod conformance;
mod demo;
mod deploy;
mod descriptors;
mod differential;
mod docs;
mod early;
mod explain_fetch;
mod forwarded;
mod framing;
mod hints;
mod hostile;
mod http1;
mod layout;
mod learn;
mod learned_documents;
mod learned_html;
mod learned_site;
mod limits;
mod logs;
mod metrics;
mod order;
mod origin_tls;
mod pingora;
mod probe;
mod promises;
mod proxy_protocol;
mod push;
mod reload;
mod requests;
mod sessions;
mod stress;
mod tls;
mod traces;
mod transfers;
mod upgrade;
mod upgrade_binary;
mod uploads;
mod upstream;
mod websocket;
