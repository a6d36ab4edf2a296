//! Lists why a running server cannot be found, signalled or replaced, or did not do what it was told.

use std::{io, path::PathBuf, time::Duration};

/// Why a running server cannot be found, signalled or replaced, or did not do what it was told.
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
    /// The file is empty: a server has made it, and does not listen yet.
    #[error("the pid file {} is still empty: its server is starting", path.display())]
    Starting {
        /// The file.
        path: PathBuf,
    },
    /// A file that is no pid file stands in its place.
    #[error("server.pid_file: {} has other content than a process id, and is left alone", path.display())]
    NotAPidFile {
        /// The file.
        path: PathBuf,
    },
    /// Another server has the pid file.
    #[error("server.pid_file: {} is held by {}, which runs; a second server takes a pid file of its own", path.display(), holder(*id))]
    Held {
        /// The file.
        path: PathBuf,
        /// The other process; `None` while it has written no id.
        id: Option<u32>,
    },
    /// The file cannot be locked.
    #[error("server.pid_file: cannot lock {}", path.display())]
    Unlockable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
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
    #[error("server.pid_file: cannot write {}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The path of the socket beside the pid file is too long for the system.
    #[error("the path {} is too long for a socket, at most {} bytes", path.display(), MAX_SOCKET_PATH)]
    LongPath {
        /// The path of the socket.
        path: PathBuf,
    },
    /// The server was started with another configuration file.
    #[error("process {id} reads {}, not {}", reads.display(), named.display())]
    OtherFile {
        /// The process.
        id: u32,
        /// The file that it reads.
        reads: PathBuf,
        /// The file that the command names.
        named: PathBuf,
    },
    /// The server tells no outcomes, being of a version that does not.
    #[error("process {id} was told, but is of a version that tells no outcome; its log has it")]
    NoOutcome {
        /// The process.
        id: u32,
    },
    /// The server did not do what it was told.
    #[error("process {id} has changed nothing:\n{reason}")]
    Refused {
        /// The process.
        id: u32,
        /// Its reason, one problem a line.
        reason: String,
    },
    /// The server has ended before it did what it was told.
    #[error("process {id} has ended meanwhile; its log says why")]
    Ended {
        /// The process.
        id: u32,
    },
    /// Another process has taken over before the server did what it was told.
    #[error("process {id} has handed over to process {new} meanwhile; ask that one again")]
    HandedOver {
        /// The process that was told.
        id: u32,
        /// The process that serves now.
        new: u32,
    },
    /// The server has not told an outcome in time.
    #[error("process {id} has told no outcome within {within:?}; its log may say why")]
    NoAnswer {
        /// The process.
        id: u32,
        /// The time limit.
        within: Duration,
    },
}

/// Most bytes of a Unix socket's path: the 108 of `sun_path`, less its final zero.
pub(in crate::server) const MAX_SOCKET_PATH: usize = 107;

/// Returns the words for the process that holds a pid file.
fn holder(id: Option<u32>) -> String {
    id.map_or_else(|| "a server that is starting".to_owned(), |id| format!("process {id}"))
}
