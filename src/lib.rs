//! linkpush: an edge proxy that delivers what `Link: rel=preload` headers name.

pub mod config;
pub mod link;
pub mod push;
pub mod route;
pub mod upstream;
