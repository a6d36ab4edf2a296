//! Reads the configuration file that a command names.

use std::path::Path;

use crate::config::{self, Config};

/// Reads a configuration file. Prints its problems and returns `None` if there are any.
pub(super) fn configured(file: &Path) -> Option<Config> {
    match config::read(file) {
        Ok(config) => Some(config),
        Err(problems) => {
            eprintln!("{problems}");
            None
        }
    }
}
