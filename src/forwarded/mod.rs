//! Makes the fields that tell origins about the client: X-Forwarded-For, -Proto, -Host, -Port, and `Forwarded` (RFC
//! 7239). Pure.
//!
//! The fields of an untrusted peer are replaced or removed ([`is_foreign`]). Fields of a trusted peer stay as far as
//! they are well-formed, and the peer's own address is appended. `proxy` calls this for each request to an origin.
//!
//! Reading order: `facts` ([`ForwardedFacts`], the request), `tell` ([`tell()`], the fields for the origin;
//! [`client()`], the address for logs and balancing), `text` (parts of values), `chain` (X-Forwarded-For), `element`
//! (`Forwarded`), `names` (which fields speak of the client or its URL), `received` ([`Received`], which carries the
//! fields of a document's request to its promises).

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
