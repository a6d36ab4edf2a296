//! Reads a configuration file; returns all problems at once, or a [`Config`] of valid values.
//!
//! Reading order: `problem` (the error for the operator), `node` (YAML with places, the only user of the YAML crate),
//! `findings` (collected problems), `decode` (one value), `settings` (mappings), `value` (one text to one value),
//! `wording` (lists and suggestions in problems); then the sections: `build`, `process`, `listener`, `upstream`,
//! `push`, `learn`, `cache` and `log`. On top of a valid file: `inspected` (findings with their places), `review`
//! (warnings), `shape` and `schema` (a JSON Schema from the readers), `effective` (each setting of a route, and where it
//! comes from).
//!
//! The command line calls it before the server starts, and reload while the server runs.

mod build;
mod cache;
mod decode;
mod effective;
mod findings;
mod inspected;
mod learn;
mod listener;
mod log;
mod node;
mod problem;
mod process;
mod push;
mod review;
mod schema;
mod settings;
mod shape;
#[cfg(test)]
mod tests;
mod upstream;
mod value;
mod wording;

use std::path::Path;

pub use build::Config;
pub use effective::{EffectiveRoute, EffectiveSetting, SettingSource};
pub use inspected::Inspected;
pub use learn::ManifestsPolicy;
pub use listener::ListenerPolicy;
pub use problem::{Place, Problem, Problems};
pub use process::{AdminEndpoint, ClientLimits, ProcessPolicy};
pub use review::Warning;
pub use schema::schema;

/// Reads a configuration file of at most 1 MiB.
///
/// # Errors
///
/// All problems of the file, each with the path as given here; one problem without a place if the file cannot be read.
pub fn read(path: &Path) -> Result<Config, Problems> {
    Inspected::open(path).map(|inspected| inspected.config)
}

/// Reads a configuration from text; problems name the file `file_name`.
///
/// # Errors
///
/// All problems of the text.
pub fn parse(file_name: &str, text: &str) -> Result<Config, Problems> {
    Inspected::parse(file_name, text).map(|inspected| inspected.config)
}

/// Largest size of a configuration file, in bytes: room for thousands of routes.
const MAX_BYTES: usize = 1024 * 1024;
