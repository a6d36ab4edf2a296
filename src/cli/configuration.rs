//! The configuration file that a command names.

use std::path::Path;

use crate::config::{self, Config};

/// What a file configures; `None` if the file is wrong, which is told then.
pub(super) fn configured(file: &Path) -> Option<Config> {
    match config::read(file) {
        Ok(config) => Some(config),
        Err(problems) => {
            eprintln!("{problems}");
            None
        }
    }
}
