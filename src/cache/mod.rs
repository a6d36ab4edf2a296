//! Answers kept in memory, for pushes and requests alike.
//!
//! The semantics of RFC 9111 are pingora-cache's; the store under it is ours. Reading order: `rules` (what may be stored, for
//! how long, and what of it answers a request), `object` and `body` (a stored response), `fill` (one on its way), `purge`
//! (what is to be forgotten), `assets` (which URLs count as such), `store` (all of them, bounded).
//!
//! Bodies are shared: whoever sends one holds references to the same bytes.

mod assets;
mod body;
mod fill;
mod object;
mod purge;
mod rules;
mod store;

pub use assets::Assets;
pub use body::Body;
pub use fill::{FillSource, Reserved};
pub use object::{Head, Object};
pub use purge::{BadUrl, Purge};
pub use rules::{
    control::TARGETED,
    freshness::{Freshness, NotStorable, RequestFacts, announced_length, check_storable, must_be_revalidated},
    key::{UrlHash, UrlHasher, url_text},
    request::{Passed, asks_for_less},
    revalidate::{OtherResponse, Update},
    select::{Part, is_unchanged, part},
    vary::{BadVary, names as vary_names},
};
pub use store::{
    lock::Lock,
    memory::{Store, StoreLimits},
    retry::Retries,
    trail::{cache_key, note_cookie, revalidated},
    uncacheable::{NO_ROOM, Uncacheable},
};
