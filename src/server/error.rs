//! Lists why a server does not start, or ends.

use std::{io, net::SocketAddr, path::PathBuf};

use super::{parts::PartsError, process::ProcessError};
use crate::telemetry::log::LogFileError;

/// Why a server does not start, or ends.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address as configured.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The admin socket cannot be made.
    #[error("cannot listen on {}", path.display())]
    AdminSocket {
        /// The socket.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// An address accepts no connections within the time for the start.
    #[error("nothing listens on {address} after the start; the log says why")]
    NotListening {
        /// The address.
        address: SocketAddr,
    },
    /// The TLS of a listener or the traces cannot be set up.
    #[error(transparent)]
    Parts(#[from] PartsError),
    /// The file of the log cannot be opened.
    #[error(transparent)]
    Log(#[from] LogFileError),
    /// The pid file or the old process cannot be used.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The runtime for signals and maintenance cannot be made.
    #[error("cannot start the control thread")]
    Runtime(#[source] io::Error),
    /// The server's thread has panicked or ended early.
    #[error("the server stopped unexpectedly")]
    Stopped,
}
