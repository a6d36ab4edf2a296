//! As the crate's module of that name: priorities only.

#[path = "../../src/push/urgency.rs"]
mod urgency;

pub use urgency::{PRIORITY, Priority, Urgency};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    Audio,
    Document,
    Embed,
    Fetch,
    Font,
    Image,
    Json,
    Object,
    Script,
    Style,
    Track,
    Video,
    Worker,
}
