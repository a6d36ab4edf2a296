//! Parses `Link` fields: RFC 8288 field value -> links; RFC 3986 target -> URL. Pure.
//!
//! [`parse()`] yields every link of a field value in order, and every malformed piece with its reason.
//! [`Document::resolve`] turns the target of a link into the URL that a client would request. `push` decides which of
//! these links are delivered, and how.
//!
//! Reading order: `parse` (the grammar, over its `cursor`), `malformed` (what can be wrong with a link), `document`
//! (resolution, the document's own identity), `target` (a resolved URL and why a target is refused), `resource_hint`
//! (the parameters that browsers understand, and when two links are the same), `need` (how soon a page needs a target).
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
mod media_type;
mod need;
mod parse;
mod resource_hint;
mod spelled;
mod target;

pub use document::{Document, DocumentError};
pub use malformed::{Malformed, MalformedReason};
pub use media_type::is_fetched_as;
pub use need::Need;
pub use parse::{Link, Links, parse};
pub use resource_hint::{CrossOrigin, Relation, ResourceHint};
pub use spelled::Spelled;
pub use target::{MAX_TARGET, Target, TargetError};
