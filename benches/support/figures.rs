//! Writes the figures of a benchmark to a file, and computes their median.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// Writes `bench-NAME.json` into the target folder, and prints the path.
pub(crate) fn write(name: &str, figures: &Value) {
    // Cargo gives a subfolder of the target folder.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path: PathBuf = target.parent().unwrap_or(target).join(format!("bench-{name}.json"));
    match std::fs::write(&path, format!("{figures:#}\n")) {
        Ok(()) => println!("\nAll figures: {}", path.display()),
        Err(e) => eprintln!("the figures could not be written to {}: {e}", path.display()),
    }
}

/// Returns the median; NaN without figures.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
