//! Finds, locks and signals server processes, by the files beside a pid file.
//!
//! Reading order: `pid_file` (its content, and the paths beside it), `lock` (one server for each file), `outcomes` (what
//! became of reloads and upgrades), `running` (a running server, as commands signal it), `error`.
//!
//! | file | has | written by |
//! |---|---|---|
//! | `linkpush.pid` | the process id; its lock is held by the server | the server, once it listens |
//! | `linkpush.pid.upgrade` | the socket over which the listening sockets are handed over | Pingora, during an upgrade |
//! | `linkpush.pid.outcomes` | the outcomes of reloads and upgrades, as JSON | the server that holds the lock |
//! | `linkpush.pid.failure` | why a new process does not take over | that process, read and removed by the old one |

mod error;
mod lock;
mod outcomes;
mod pid_file;
mod running;

pub use error::ProcessError;
pub use running::{Reloaded, RunningServer};

pub(super) use error::MAX_SOCKET_PATH;
pub(super) use lock::{PidLock, check_content};
pub(super) use outcomes::{ChangeKind, ChangeOutcome, OutcomeFile, shortened};
pub(super) use pid_file::{PidFile, number};
