//! The rooms of the crate's module of that name that know no socket, and what drives them.

#[path = "../../../src/listen/io/chunks.rs"]
mod chunks;
pub mod content;
#[path = "../../../src/listen/http1/head.rs"]
mod head;
#[path = "../../../src/listen/http1/head_end.rs"]
mod head_end;
#[path = "../../../src/listen/meter.rs"]
mod meter;
pub mod proxied;
#[path = "../../../src/listen/proxy_header/mod.rs"]
mod proxy_header;
pub mod request;
#[path = "../../../src/listen/http1/upgrade.rs"]
mod upgrade;
