//! What a benchmark begins with: its arguments, its runtime, its folder.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use tokio::runtime::{Builder, Runtime};

/// What follows this argument. All others are passed over: Cargo has some of its own for a benchmark.
pub(crate) fn value(name: &str) -> Option<String> {
    let mut arguments = env::args().skip_while(|argument| argument != name);
    arguments.nth(1)
}

/// `--rounds`, at least one.
pub(crate) fn rounds(default: usize) -> usize {
    let rounds = value("--rounds").and_then(|rounds| rounds.parse().ok());
    rounds.unwrap_or(default).max(1)
}

/// For clients and origins that wait more than they work.
pub(crate) fn runtime() -> Runtime {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime")
}

/// A folder for what servers read and write. It is removed when dropped, unless the benchmark panicked: then their
/// logs may tell why.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// One that no other benchmark has. Everybody may enter it: some servers work as another user.
    pub(crate) fn new(name: &str) -> Self {
        let folder = env::temp_dir().join(format!("linkpush-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a temporary folder");
        Self(folder)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}
