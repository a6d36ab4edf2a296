//! Writes completions for shells (`linkpush completions`) and man pages (`linkpush man`), from the arguments themselves.

use std::{fs, io, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Command;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Arguments of `man`.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// The folder for the pages, linkpush.1 and one for each command
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Prints the completions of a shell.
pub(super) fn completions(args: &CompletionArgs, mut program: Command) -> ExitCode {
    clap_complete::generate(args.shell, &mut program, "linkpush", &mut io::stdout());
    ExitCode::SUCCESS
}

/// Writes the man pages.
pub(super) fn man(args: &ManArgs, program: Command) -> anyhow::Result<ExitCode> {
    let folder = &args.folder;
    fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(program, folder))
        .with_context(|| format!("cannot write man pages into {}", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}
