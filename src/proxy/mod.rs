//! Serves requests: the rules of each phase, and the driver that moves the bytes.
//!
//! Reading order: `url` (what is asked for), `exchange` (what is known of one request), `edge` (what all requests
//! share), `running` (how many run), `span` (their
//! places in traces), `rules` (each phase as plain functions over an exchange), `hit` (a stored response, sent without Pingora),
//! `pingora` (the one `impl ProxyHttp`).
//!
//! "Downstream" and "upstream" are Pingora's words for client and origin, used only here.

mod edge;
mod exchange;
mod hit;
mod pingora;
mod rules;
mod running;
mod span;
mod url;

pub use edge::{Edge, ProxySnapshot, RequestIds, Timeouts};
pub use exchange::Exchange;
pub use hit::FreshResponses;
pub use rules::head::framing::{BadFraming, fault};
pub use rules::learning::{
    asks_for_document, dividing_fields, joined_links, learnable_links, most_needed, observed, reads_page,
    varies_by_address,
};
pub use running::OpenRequests;
