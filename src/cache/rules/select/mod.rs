//! Selects the content that a client gets: none with a 304, if its copy is current (`condition`); a part, if it asks
//! for one (`range`); else all (RFC 9110 sections 13 and 14). Pure; used for stored responses and for those of origins.

mod condition;
mod range;

pub use condition::is_unchanged;
pub use range::{Part, part};
