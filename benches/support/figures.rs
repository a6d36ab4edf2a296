//! Where the figures of a benchmark go, for programs; and the statistics of them.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// Writes `bench-NAME.json` into the target folder, and says where.
pub(crate) fn write(name: &str, figures: &Value) {
    // Cargo names a folder in the target folder, not that itself.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path: PathBuf = target.parent().unwrap_or(target).join(format!("bench-{name}.json"));
    match std::fs::write(&path, format!("{figures:#}\n")) {
        Ok(()) => println!("\nAll figures: {}", path.display()),
        Err(e) => eprintln!("the figures could not be written to {}: {e}", path.display()),
    }
}

/// The one in the middle; of none, not a number.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
