//! Reports the failure of a command: a line for the terminal, and an exit code.

/// Returns an error with its causes as one line.
#[must_use]
pub fn report(error: &anyhow::Error) -> String {
    format!("linkpush: {error:#}\n")
}

/// Exit code of bad usage, equal to clap's.
pub(super) const USAGE: u8 = 2;
