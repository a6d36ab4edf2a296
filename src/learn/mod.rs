//! What documents linked to lately, so that it can be delivered while the origin still thinks.
//!
//! Reading order: [`LearnPolicy`] (what a route wants), [`DocumentKey`] (which responses are the same
//! document), [`Visitor`] (who was seen to get a link), [`Manifest`] (one document: observed,
//! delivered, judged), [`ManifestStore`] (many of them, bounded), `file` (over restarts).
//!
//! Pure: time and visitors are arguments.
//!
//! # Why one visitor's URL does not reach another
//!
//! A manifest is shared by everybody who asks for its document, so a URL in it is public. An
//! application may put a URL into one visitor's response that is nobody else's business
//! (`</avatar/42.png>; rel=preload`). What keeps such a URL out (rule 17 of the project's rules):
//!
//! - A link counts at once only when nothing about its request or response could have told the
//!   application who asks: no `Cookie`, no `Authorization`, no `Set-Cookie` in the answer, no query
//!   that the key of the document leaves out.
//! - From a request with `Authorization` no link ever counts.
//! - From any other request a link counts once [`LearnPolicy::min_visitors`] visitors got it that
//!   have nothing in common: neither network nor any cookie (name and value), nor part of the
//!   query. A visitor who moves between networks keeps a session cookie, one whose cookies change
//!   keeps the network; either makes it the same visitor.
//! - They must be consecutive: a single response to the same document without the link takes all of its
//!   visitors away. A personal link is missing from everybody else's response, so on a document
//!   that several people visit it never gets that far.
//!
//! What is left: one person with [`LearnPolicy::min_visitors`] devices, each with cookies and on a
//! network of its own, who is alone on a document for that long. The next visitor's response, which
//! lacks the link, removes it. Counts that are not enough yet are never written to a file.

mod file;
mod key;
mod manifest;
mod policy;
mod store;
mod visitor;

pub use file::{Content, FileError, Saved, decode, encode};
pub use key::{DocumentKey, KeyHasher};
pub use manifest::{LearnedLink, Links, Manifest, Observation, Observed, Verdict};
pub use policy::{LearnKey, LearnPolicy, LearnSource, Learning, Returning};
pub use store::{KnownDocument, ManifestLimits, ManifestStore};
pub use visitor::{Evidence, Visitor, VisitorFacts};
