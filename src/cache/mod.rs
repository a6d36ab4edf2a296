//! Answers kept in memory, for pushes and requests alike.
//!
//! The semantics of RFC 9111 are pingora-cache's; the store under it is ours. Reading order: `key` (what an answer
//! is found by), `request` (which may be answered), `freshness`, `control`, `date` and `vary` (which may be kept), `revalidate` (what a 304 changes), `object`,
//! `body` (a kept one), `fill` (one on its way), `store` (all of them, bounded), `purge` (what is to be
//! forgotten), `assets` (which URLs count as such), `select` (what of an answer a request is given), `trail` (what a request
//! carries through Pingora's cache), `storage` (the store as that sees it), `lock` (who asks the origin, and who waits),
//! `unkept` (what need not be waited for), `retry` (when the origin is asked again after it failed).
//!
//! Bodies are shared: whoever sends one holds references to the same bytes.

mod assets;
mod body;
mod control;
mod date;
mod fill;
mod freshness;
mod key;
mod lock;
mod object;
mod purge;
mod request;
mod retry;
mod revalidate;
mod select;
mod storage;
mod store;
mod trail;
mod unkept;
mod vary;

pub use assets::Assets;
pub use body::Body;
pub use control::TARGETED;
pub use fill::Reserved;
pub use freshness::{Asked, Freshness, NotKept, announced_length, keep, must_be_revalidated};
pub use key::{UrlHash, UrlHasher, url_text};
pub use lock::Lock;
pub use object::{Head, Object};
pub use purge::{BadUrl, Purge};
pub use request::{Passed, asks_for_less};
pub use retry::Retries;
pub use revalidate::{OtherAnswer, Update};
pub use select::{Part, is_unchanged, part};
pub use storage::Source;
pub use store::{Store, StoreLimits};
pub use trail::{cache_key, note_cookie, revalidated};
pub use unkept::{NO_ROOM, Unkept};
pub use vary::{BadVary, names as vary_names};
