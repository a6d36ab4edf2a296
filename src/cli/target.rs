//! The running server that a command speaks to.

use std::path::Path;

use crate::server::{ProcessError, RunningServer};

/// The server of a configuration file; `None` if the file is wrong, which is told then.
pub(super) fn find(file: &Path) -> anyhow::Result<Option<RunningServer>> {
    let Some(config) = super::configuration::configured(file) else {
        return Ok(None);
    };
    let pid_file = config.server.pid_file.ok_or(ProcessError::NoPidFile)?;
    Ok(Some(RunningServer::find(&pid_file)?))
}
