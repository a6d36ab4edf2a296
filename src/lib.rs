//! linkpush: an edge proxy that delivers what `Link: rel=preload` response headers name.

pub mod cli;
pub mod config;
pub mod h2;
pub mod link;
pub mod listen;
pub mod proxy;
pub mod push;
pub mod route;
pub mod server;
pub mod telemetry;
pub mod upstream;
