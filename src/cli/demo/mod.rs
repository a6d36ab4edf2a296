//! `linkpush demo`: an edge before an origin that names its assets.
//!
//! - `origin`: the application behind the edge

mod origin;
