//! Reads a configuration file; returns all problems at once, or a [`Config`] of valid values.
//!
//! Reading order: `problem` (the error for the operator), `node` (YAML with places, the only user of the YAML crate),
//! `findings` (collected problems), `decode` (one value), `settings` (mappings), `value` (one text to one value),
//! `wording` (lists and suggestions in problems); then the sections: `build`, `process`, `listener`, `upstream`,
//! `push`, `learn`, `cache` and `log`.
//!
//! The command line calls it before the server starts, and reload while the server runs.

mod build;
mod cache;
mod decode;
mod findings;
mod learn;
mod listener;
mod log;
mod node;
mod problem;
mod process;
mod push;
mod settings;
#[cfg(test)]
mod tests;
mod upstream;
mod value;
mod wording;

use std::{fs::File, io::Read as _, path::Path};

pub use build::Config;
pub use learn::ManifestsPolicy;
pub use listener::ListenerPolicy;
pub use problem::{Place, Problem, Problems};
pub use process::{AdminEndpoint, ClientLimits, ProcessPolicy};

use decode::At;
use findings::Findings;
use node::SyntaxError;

/// Reads a configuration file of at most 1 MiB.
///
/// # Errors
///
/// All problems of the file, each with the path as given here; one problem without a place if the file cannot be read.
pub fn read(path: &Path) -> Result<Config, Problems> {
    let file_name = path.display().to_string();
    let whole_file = |reason: String| whole_file(&file_name, format!("cannot be read: {reason}"));
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| whole_file(error.to_string()))?;
    let text =
        str::from_utf8(&bytes).map_err(|error| whole_file(format!("byte {} is not UTF-8", error.valid_up_to())))?;
    parse(&file_name, text)
}

/// Reads a configuration from text; problems name the file `file_name`.
///
/// # Errors
///
/// All problems of the text.
pub fn parse(file_name: &str, text: &str) -> Result<Config, Problems> {
    if text.len() > MAX_BYTES {
        return Err(whole_file(file_name, "must be at most 1 MiB".to_owned()));
    }
    let root = node::parse(text).map_err(|SyntaxError { place, reason }| {
        let message = format!("cannot be read as YAML: {reason}");
        Problems::single(Problem::new(file_name, place, "", &message))
    })?;
    let mut found = Findings::new(file_name);
    let config = build::config(&At::root(&root), &mut found);
    found.finish(config)
}

fn whole_file(file_name: &str, message: String) -> Problems {
    Problems::single(Problem::new(file_name, None, "", &message))
}

/// Largest size of a configuration file, in bytes: room for thousands of routes.
const MAX_BYTES: usize = 1024 * 1024;
