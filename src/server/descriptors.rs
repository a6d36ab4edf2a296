//! Raises the limit of open files, and derives how many client connections fit into it.

use log::{debug, warn};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard limit. The soft one is low for programs that use `select`, which this
/// one does not.
pub(super) fn raise() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => debug!("open files: {} instead of {}", word(maximum), word(current)),
        Err(e) => warn!("the limit of {} open files cannot be raised: {e}", word(current)),
    }
}

fn word(limit: Option<u64>) -> String {
    limit.map_or_else(|| "any number of".to_owned(), |limit| limit.to_string())
}

/// Returns how many client connections may be open by a setting of `server.max_connections`.
pub(super) fn max_connections(setting: usize) -> usize {
    share(setting, getrlimit(Resource::Nofile).current)
}

/// Returns the setting, or three quarters of the limit of open files for 0: the rest is for connections to origins.
fn share(setting: usize, limit: Option<u64>) -> usize {
    match (setting, limit.and_then(|limit| usize::try_from(limit).ok())) {
        (0, Some(limit)) => (limit - limit / 4).max(1),
        (0, None) => usize::MAX,
        (setting, _) => setting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_a_quarter_of_the_files_unless_they_are_set() {
        for (setting, limit, expected) in [
            (0, Some(1024), 768),
            (0, Some(1), 1),
            (0, Some(0), 1),
            (0, None, usize::MAX),
            (5000, Some(1024), 5000),
            (5000, None, 5000),
        ] {
            assert_eq!(share(setting, limit), expected, "{setting} {limit:?}");
        }
    }
}
