//! Reads the pid file, by which commands find the running server and a new process finds the old one's sockets.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use log::error;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::error::{MAX_SOCKET_PATH, ProcessError};

/// The pid file of a server, and the Unix socket beside it over which an upgrade hands the listening sockets over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct PidFile {
    path: PathBuf,
    socket: PathBuf,
}

impl PidFile {
    pub(in crate::server) fn new(path: PathBuf) -> Self {
        let socket = beside(&path, "upgrade");
        Self { path, socket }
    }

    pub(in crate::server) fn path(&self) -> &Path {
        &self.path
    }

    pub(in crate::server) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Returns the path of the file of outcomes.
    pub(super) fn outcomes(&self) -> PathBuf {
        beside(&self.path, "outcomes")
    }

    /// Returns the path at which a new process tells why it does not take over.
    pub(in crate::server) fn failure(&self) -> PathBuf {
        beside(&self.path, "failure")
    }

    /// Returns whether the file names this process, not one that has taken over.
    pub(in crate::server) fn is_ours(&self) -> bool {
        self.id().is_ok_and(|id| id == std::process::id())
    }

    /// Returns the process id of the running server that the file names.
    pub(in crate::server) fn running(&self) -> Result<Pid, ProcessError> {
        let id = self.id()?;
        let not_running = || ProcessError::NotRunning {
            path: self.path.clone(),
            id,
        };
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw).ok_or_else(not_running)?;
        // Without the name's check, a signal could end another process that has got the same id.
        if is_gone(pid) || !is_named_like_this(id) {
            return Err(not_running());
        }
        Ok(pid)
    }

    /// Tells the old process to hand its sockets over once this one waits for them.
    pub(in crate::server) fn ask_for_sockets(&self, old: Pid) -> Result<(), ProcessError> {
        let path = self.socket.clone();
        if path.as_os_str().len() > MAX_SOCKET_PATH {
            return Err(ProcessError::LongPath { path });
        }
        // A socket left by a failed upgrade would make this upgrade begin too early.
        let _ = fs::remove_file(&path);
        thread::spawn(move || {
            let until = Instant::now() + HAND_OVER_TIMEOUT;
            while !path.exists() {
                if Instant::now() > until {
                    return error!("no socket at {}: cannot take over", path.display());
                }
                thread::sleep(Duration::from_millis(5));
            }
            if let Err(e) = signal(old, Signal::QUIT) {
                error!("cannot take over: {e}");
            }
        });
        Ok(())
    }

    pub(super) fn id(&self) -> Result<u32, ProcessError> {
        let path = self.path.clone();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source) => return Err(ProcessError::Unreadable { path, source }),
        };
        match text.trim() {
            "" => Err(ProcessError::Starting { path }),
            id => id.parse().map_err(|_| ProcessError::NoId { path }),
        }
    }
}

/// Sends a signal to a process.
pub(super) fn signal(process: Pid, signal: Signal) -> Result<(), ProcessError> {
    kill_process(process, signal).map_err(|source| ProcessError::Signal {
        id: number(process),
        source: source.into(),
    })
}

/// Returns whether a process does not exist any more.
pub(super) fn is_gone(process: Pid) -> bool {
    test_kill_process(process) == Err(rustix::io::Errno::SRCH)
}

/// Returns the id of a process as a number.
pub(in crate::server) fn number(process: Pid) -> u32 {
    process.as_raw_nonzero().get().unsigned_abs()
}

/// Most time until the socket appears; Pingora, too, gives up a hand-over after five seconds.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(5);

/// Returns the path of a file whose name is that of the pid file and an ending more.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(OsStr::new("."));
    name.push(OsStr::new(ending));
    name.into()
}

/// Returns whether a process has the name of this one; true where there is no `/proc` to read names from.
fn is_named_like_this(id: u32) -> bool {
    let name = |id: &str| fs::read_to_string(format!("/proc/{id}/comm")).ok();
    match (name(&id.to_string()), name("self")) {
        (Some(theirs), Some(ours)) => theirs == ours,
        _ => true,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns a pid file with this content in a folder of its own; without a file if there is no content.
    pub(in crate::server::process) fn pid_file(content: Option<&str>) -> (tempfile::TempDir, PidFile) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("linkpush.pid");
        if let Some(content) = content {
            fs::write(&path, content).expect("a writable folder");
        }
        (folder, PidFile::new(path))
    }

    #[test]
    fn this_process_is_found_by_its_file() {
        let (_folder, file) = pid_file(Some(&format!("{}\n", std::process::id())));
        assert_eq!(number(file.running().expect("it runs")), std::process::id());
        assert!(file.is_ours());
    }

    #[test]
    fn another_process_is_not_taken_for_a_server() {
        for (content, id) in [
            ("1\n", 1),
            ("4000000000\n", 4_000_000_000),
            ("2147483647", i32::MAX as u32),
        ] {
            let (_folder, file) = pid_file(Some(content));
            match file.running() {
                Err(ProcessError::NotRunning { id: named, .. }) => assert_eq!(named, id),
                other => unreachable!("{content}: {other:?}"),
            }
        }
        let (_folder, file) = pid_file(Some("x"));
        assert!(matches!(file.running(), Err(ProcessError::NoId { .. })));
        let (_folder, file) = pid_file(Some(""));
        assert!(matches!(file.running(), Err(ProcessError::Starting { .. })));
        let (_folder, file) = pid_file(None);
        assert!(matches!(file.running(), Err(ProcessError::Unreadable { .. })));
    }
}
