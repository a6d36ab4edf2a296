//! Provides a benchmark's arguments, runtime and folder.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use tokio::runtime::{Builder, Runtime};

/// Returns the value that follows an argument. Unknown arguments are ignored, since Cargo passes some of its own.
pub(crate) fn value(name: &str) -> Option<String> {
    let mut arguments = env::args().skip_while(|argument| argument != name);
    arguments.nth(1)
}

/// Returns the value of `--rounds`, at least 1.
pub(crate) fn rounds(default: usize) -> usize {
    let rounds = value("--rounds").and_then(|rounds| rounds.parse().ok());
    rounds.unwrap_or(default).max(1)
}

/// Creates a runtime for clients and origins, which wait more than they work.
pub(crate) fn runtime() -> Runtime {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime")
}

/// A temporary folder for files of servers. Removed when dropped, unless the benchmark panicked: the servers' logs may
/// tell why.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Creates a folder that no other benchmark has. Every user may enter the folder, since some servers run as
    /// another.
    pub(crate) fn new(name: &str) -> Self {
        let folder = env::temp_dir().join(format!("linkpush-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a temporary folder");
        Self(folder)
    }

    /// Returns the path.
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
