//! Reports the failure of a command: a line on the terminal, and an exit code.

/// Prints an error with its causes on one line.
pub fn report(error: &anyhow::Error) {
    eprintln!("linkpush: {error:#}");
}

/// Exit code of bad usage, equal to clap's.
pub(super) const USAGE: u8 = 2;
