//! Finds the running server that a command signals.

use std::path::Path;

use crate::server::{ProcessError, RunningServer};

/// Finds the server by the pid file of its configuration. Prints the problems of the file and returns `None` if there
/// are any.
pub(super) fn find(file: &Path) -> anyhow::Result<Option<RunningServer>> {
    let Some(config) = super::configuration::configured(file) else {
        return Ok(None);
    };
    let pid_file = config.server.pid_file.ok_or(ProcessError::NoPidFile)?;
    Ok(Some(RunningServer::find(&pid_file)?))
}
