//! Arguments, log, subcommand, exit code.

fn main() {}
