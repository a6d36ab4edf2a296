//! YAML to [`Config`]: every problem at once, or a configuration that cannot be wrong.
//!
//! Reading order: [`model`] (what comes out), `node` (YAML with positions, the only user of the
//! YAML crate), `decode` (one mapping at a time, problems collected), `build` (the sections),
//! [`problem`] (what is said of a bad file).

mod model;

pub use model::{Config, Limits, Listener, Server};
