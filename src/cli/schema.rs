//! Prints the JSON Schema of configuration files, for editors (`linkpush schema`).

use std::process::ExitCode;

use crate::config;

/// Prints the schema.
pub(super) fn run() -> anyhow::Result<ExitCode> {
    println!("{}", serde_json::to_string_pretty(&config::schema())?);
    Ok(ExitCode::SUCCESS)
}
