//! Stores responses in memory, for pushes and requests alike (RFC 9111).
//!
//! pingora-cache drives the look-ups; the rules and the store are linkpush's own. Reading order: `rules` (which
//! responses may be stored, for how long, and how a request is answered with one), `object` and `body` (a stored
//! response), `fill` (a response still arriving), `purge` (which stored responses to forget), `assets` (which URLs
//! documents preload), `store` (all stored responses, bounded).
//!
//! Stored content is shared: every client that receives a response reads the same bytes.

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
