//! The end of a command that could not be carried out: a line on the terminal, and an exit code.

/// Prints an error with its causes on one line.
pub fn report(error: &anyhow::Error) {
    eprintln!("linkpush: {error:#}");
}

/// Exit code of bad usage, as clap's own.
pub(super) const USAGE: u8 = 2;
