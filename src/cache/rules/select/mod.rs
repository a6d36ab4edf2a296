//! What of an answer a request is given: nothing, if its client has the same already (`condition`); a part, if it asks for
//! one (`range`); else all of it. Pure, and the same wherever an answer comes from.

mod condition;
mod range;

pub use condition::is_unchanged;
pub use range::{Part, part};
