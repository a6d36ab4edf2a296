//! What a `Link` header says: RFC 8288 field value -> links; RFC 3986 target -> URL. Pure.
//!
//! A field value goes through [`parse()`], which yields every link in order and every malformed piece with its reason.
//! The target of a link goes through [`Document::resolve`], which yields the URL a client would ask for. Which of these
//! links are delivered, and how, is the business of `push`.
//!
//! Reading order: `parse` (the grammar, over its `cursor`), `malformed` (what can be wrong with a link), `document`
//! (resolution, the document's own identity), `target` (a resolved URL and why a target is refused), `resource_hint` (what
//! a browser understands of a link, and when two links are one).
//!
//! ```
//! use linkpush::link::{Document, parse};
//!
//! let document = Document::new("https", "shop.example", "/p/index.html")?;
//! let urls: Vec<String> = parse(b"</next>; rel=next, <../main.css>; rel=preload; as=style")
//!     .flatten()
//!     .filter(|link| link.has_relation("preload"))
//!     .filter_map(|link| document.resolve(link.target).ok())
//!     .filter(|target| document.is_same_origin(target))
//!     .map(|target| target.url().to_owned())
//!     .collect();
//! assert_eq!(urls, ["https://shop.example/main.css"]);
//! # Ok::<(), linkpush::link::DocumentError>(())
//! ```

mod document;
mod malformed;
mod parse;
mod resource_hint;
mod target;

pub use document::{Document, DocumentError};
pub use malformed::{Malformed, MalformedReason};
pub use parse::{Link, Links, parse};
pub use resource_hint::{CrossOrigin, Relation, ResourceHint, Spelled};
pub use target::{MAX_TARGET, Target, TargetError};
