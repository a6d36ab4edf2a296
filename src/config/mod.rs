//! YAML to [`Config`]: every problem at once, or a configuration that cannot be wrong.
//!
//! Reading order: `model` (what comes out), `problem` (what is said of a bad file), `node` (YAML
//! with places, the only user of the YAML crate), `found` (problems are collected), `decode` (one
//! setting at a time), `fields` (mappings), `value` (one text to one value), `wording` (what
//! problems call things), `build`, `listener`, `upstream`, `push`, `learn` and `cache` (the sections).
//!
//! Called by the command line before the server starts, and by reload while it runs.

mod build;
mod cache;
mod decode;
mod fields;
mod found;
mod learn;
mod listener;
mod model;
mod node;
mod problem;
mod push;
#[cfg(test)]
mod tests;
mod upstream;
mod value;
mod wording;

use std::{fs::File, io::Read as _, path::Path};

pub use model::{Admin, Config, Limits, Listener, Manifests, Server};
pub use problem::{Place, Problem, Problems};

use decode::At;
use found::Found;
use node::SyntaxError;

/// Reads a configuration file of at most 1 MiB.
///
/// # Errors
///
/// Everything that is wrong with it, each problem under the path as it was given here; one problem
/// without a place if it cannot be read.
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

/// Reads a configuration from text; `file_name` is what problems call it.
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn parse(file_name: &str, text: &str) -> Result<Config, Problems> {
    if text.len() > MAX_BYTES {
        return Err(whole_file(file_name, "must be at most 1 MiB".to_owned()));
    }
    let root = node::parse(text).map_err(|SyntaxError { place, reason }| {
        let message = format!("cannot be read as YAML: {reason}");
        Problems::single(Problem::new(file_name, place, "", &message))
    })?;
    let mut found = Found::new(file_name);
    let config = build::config(&At::root(&root), &mut found);
    found.finish(config)
}

fn whole_file(file_name: &str, message: String) -> Problems {
    Problems::single(Problem::new(file_name, None, "", &message))
}

/// Thousands of routes; past it, it is some other file.
const MAX_BYTES: usize = 1024 * 1024;
