//! Why a server does not start, or ends.

use std::{io, net::SocketAddr, path::PathBuf};

use super::{parts::ListenerError, process::ProcessError};

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address as configured.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The admin socket cannot be made.
    #[error("cannot listen on {}", path.display())]
    AdminSocket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An address takes no connections, though the server runs.
    #[error("nothing listens on {address} after the start; the log says why")]
    NotListening {
        /// The address.
        address: SocketAddr,
    },
    /// A listener cannot be made ready.
    #[error(transparent)]
    Listener(#[from] ListenerError),
    /// The process cannot be controlled.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The runtime for signals and upkeep cannot be made.
    #[error("cannot start the control thread")]
    Runtime(#[source] io::Error),
    /// The server's thread is gone.
    #[error("the server stopped unexpectedly")]
    Stopped,
}
