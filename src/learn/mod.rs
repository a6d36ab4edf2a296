//! Learns the links of documents, so that they can be delivered while the origin still prepares the response.
//!
//! Reading order: `policy` (a route's settings), `key` (which responses belong to the same document), `division` (which
//! of these are different documents nevertheless), `visitor` (how visitors are told apart), `common` (what
//! says nothing of a visitor, as many have it), `identity` (fields that tell
//! who asks), `manifest` (one document: observed, delivered, judged), `store` (many manifests, bounded), `file`
//! (manifests across restarts).
//!
//! Pure: time and visitors are arguments.
//!
//! # Why one visitor's URL does not reach another
//!
//! All clients that request a document share its manifest, so a URL in the manifest is public. An application may put a
//! private URL into one visitor's response (`</avatar/42.png>; rel=preload`). These rules keep such a URL out of the
//! manifest (rule 17 of the project's rules):
//!
//! - A link counts at once only if neither request nor response has anything by which the application could know the
//!   visitor: no `Cookie`, no `Authorization` or other field of an identity, no `Set-Cookie`, no query that the key of
//!   the document leaves out.
//! - A link in the response to a request with `Authorization` never counts.
//! - In any other response a link counts once [`LearnPolicy::min_visitors`] visitors got it that have nothing in
//!   common: neither network, nor any cookie (name and value), nor identity, nor part of the query, but for short ones that
//!   many networks have at a time. A visitor who moves between networks keeps a cookie, and a visitor whose cookies change
//!   keeps the network; both stay the same visitor.
//! - These visitors' responses must be consecutive: a single response to the same document without the link removes all
//!   visitors of the link. A personal link is missing from all other visitors' responses, so it never counts on a
//!   document that several people visit.
//!
//! One case remains: a person with [`LearnPolicy::min_visitors`] devices, each with cookies and on a network of its
//! own, who alone visits a document in that time. The next visitor's response, which lacks the link, removes it. Links
//! that do not count yet are never written to a file.

mod common;
mod division;
mod file;
mod identity;
mod key;
mod manifest;
mod policy;
mod store;
mod visitor;

pub use division::{DividedBy, Division, DocumentPlace};
pub use file::{Content, FileError, Saved, SavedDivision, decode, encode};
pub use identity::{identities, is_identity, is_of_visitor};
pub use key::{DocumentKey, KeyHasher};
pub use manifest::{
    DocumentReport, LearnedLink, LinkReport, Links, MAX_LINK_BYTES, MAX_LINKS, Manifest, Observation, Observed, Verdict,
};
pub use policy::{LearnKey, LearnPolicy, LearnSource, Learning, Returning};
pub use store::{KnownDocument, ManifestLimits, ManifestStore};
pub use visitor::{Evidence, Visitor, VisitorFacts};
