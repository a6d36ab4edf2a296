//! What origins are told of the client: X-Forwarded-For, -Proto, -Host, -Port, `Forwarded` (RFC
//! 7239). Pure.
//!
//! Of a peer that is not trusted, nothing is believed: all it says of clients is replaced, or
//! removed ([`is_foreign`]). What a trusted peer says is kept as far as it can be read, and its own
//! address is appended. `proxy` calls this for each request to an origin; [`Received`] takes what a
//! document's request said to the requests of its promises.
//!
//! Reading order: [`ForwardedFacts`] (a request), [`tell()`], `text`, `chain` (a list of addresses), `element` (RFC 7239), `names` (which fields say what),
//! [`Received`],
//! [`client()`] (whom a trusted peer speaks for).

mod chain;
mod element;
mod facts;
mod names;
mod received;
mod tell;
mod text;

pub use facts::ForwardedFacts;
pub use names::{Trust, ask_for_another, is_foreign, told_of_url};
pub use received::Received;
pub use tell::{ForwardedField, Told, client, tell};

#[cfg(test)]
mod tests;
