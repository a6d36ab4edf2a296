//! Reads and writes the pid file, by which commands find the running server and a new process finds the old one's
//! sockets.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use log::{error, warn};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::replace::replace;

/// Why a running server cannot be found, signalled or replaced.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The configuration names no pid file.
    #[error("server.pid_file is not set, so a running server cannot be found")]
    NoPidFile,
    /// The file cannot be read.
    #[error("cannot read the pid file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file has no process id in it.
    #[error("the pid file {} has no process id in it", path.display())]
    NoId {
        /// The file.
        path: PathBuf,
    },
    /// The process has ended, or is another program.
    #[error("process {id} of the pid file {} is not a running linkpush", path.display())]
    NotRunning {
        /// The file.
        path: PathBuf,
        /// The id in it.
        id: u32,
    },
    /// The signal cannot be sent.
    #[error("cannot send a signal to process {id}")]
    Signal {
        /// The process.
        id: u32,
        /// The system's error.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write the pid file {}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The path of the socket beside the pid file is too long for the system.
    #[error("the path {} is too long for a socket, at most {MAX_SOCKET_PATH} bytes", path.display())]
    LongPath {
        /// The path of the socket.
        path: PathBuf,
    },
}

/// Most bytes of a Unix socket's path: the 108 of `sun_path`, less its final zero.
const MAX_SOCKET_PATH: usize = 107;

/// A running server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunningServer(Pid);

impl RunningServer {
    /// Returns the server of a pid file.
    ///
    /// # Errors
    ///
    /// The file is absent or malformed, or names no running linkpush.
    pub fn find(pid_file: &Path) -> Result<Self, ProcessError> {
        PidFile::new(pid_file.to_owned()).running()
    }

    /// Returns the process id.
    #[must_use]
    pub fn id(self) -> u32 {
        self.0.as_raw_nonzero().get().unsigned_abs()
    }

    /// Tells the server to read its configuration again (SIGHUP).
    ///
    /// # Errors
    ///
    /// The signal cannot be sent, usually for lack of rights.
    pub fn reload(self) -> Result<(), ProcessError> {
        self.signal(Signal::HUP)
    }

    /// Tells the server to start a new process from its binary and to hand its sockets over (SIGUSR2).
    ///
    /// # Errors
    ///
    /// The signal cannot be sent, usually for lack of rights.
    pub fn upgrade(self) -> Result<(), ProcessError> {
        self.signal(Signal::USR2)
    }

    fn signal(self, signal: Signal) -> Result<(), ProcessError> {
        kill_process(self.0, signal).map_err(|source| ProcessError::Signal {
            id: self.id(),
            source: source.into(),
        })
    }
}

/// The pid file of a server, and the Unix socket beside it over which an upgrade hands the listening sockets over.
#[derive(Debug, Clone)]
pub(super) struct PidFile {
    path: PathBuf,
    socket: PathBuf,
}

impl PidFile {
    pub(super) fn new(path: PathBuf) -> Self {
        let mut socket = path.clone().into_os_string();
        socket.push(".upgrade");
        let socket = socket.into();
        Self { path, socket }
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Writes the id of this process; replaces that of an old process.
    pub(super) fn write(&self) -> Result<(), ProcessError> {
        let line = format!("{}\n", std::process::id());
        replace(&self.path, line.as_bytes(), 0o666).map_err(|source| ProcessError::Unwritable {
            path: self.path.clone(),
            source,
        })
    }

    /// Removes the file, unless another process has taken over.
    pub(super) fn remove(&self) {
        if self.is_ours()
            && let Err(e) = fs::remove_file(&self.path)
        {
            warn!("pid file {}: {e}", self.path.display());
        }
    }

    /// Returns whether the file names this process, not one that has taken over.
    pub(super) fn is_ours(&self) -> bool {
        self.id().is_ok_and(|id| id == std::process::id())
    }

    /// Returns the running server that the file names.
    pub(super) fn running(&self) -> Result<RunningServer, ProcessError> {
        let id = self.id()?;
        let not_running = || ProcessError::NotRunning {
            path: self.path.clone(),
            id,
        };
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw).ok_or_else(not_running)?;
        // Without the name's check, a signal could end another process that has got the same id.
        if test_kill_process(pid) == Err(rustix::io::Errno::SRCH) || !is_named_like_this(id) {
            return Err(not_running());
        }
        Ok(RunningServer(pid))
    }

    /// Tells the old process to hand its sockets over once this one waits for them.
    pub(super) fn ask_for_sockets(&self, old: RunningServer) -> Result<(), ProcessError> {
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
            if let Err(e) = old.signal(Signal::QUIT) {
                error!("cannot take over: {e}");
            }
        });
        Ok(())
    }

    fn id(&self) -> Result<u32, ProcessError> {
        let text = fs::read_to_string(&self.path).map_err(|source| ProcessError::Unreadable {
            path: self.path.clone(),
            source,
        })?;
        text.trim().parse().map_err(|_| ProcessError::NoId {
            path: self.path.clone(),
        })
    }
}

/// Most time until the socket appears; Pingora, too, gives up a hand-over after five seconds.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(5);

/// Returns whether a process has the name of this one; true where there is no `/proc` to read names from.
fn is_named_like_this(id: u32) -> bool {
    let name = |id: &str| fs::read_to_string(format!("/proc/{id}/comm")).ok();
    match (name(&id.to_string()), name("self")) {
        (Some(theirs), Some(ours)) => theirs == ours,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pid_file(content: Option<&str>) -> (tempfile::TempDir, PidFile) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("linkpush.pid");
        if let Some(content) = content {
            fs::write(&path, content).expect("a writable folder");
        }
        (folder, PidFile::new(path))
    }

    #[test]
    fn this_process_is_found_by_its_file_which_it_removes() {
        let (_folder, file) = pid_file(None);
        file.write().expect("writable");
        assert_eq!(file.running().expect("it runs").id(), std::process::id());
        file.remove();
        assert!(matches!(file.running(), Err(ProcessError::Unreadable { .. })));
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
    }

    #[test]
    fn the_file_of_a_successor_is_left_alone() {
        let (_folder, file) = pid_file(Some("1\n"));
        file.remove();
        assert!(file.path.exists());
    }
}
