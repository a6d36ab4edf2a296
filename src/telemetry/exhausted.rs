//! Names the lack of file descriptors, which otherwise shows as unrelated failures.

use std::{io, time::Instant};

use log::warn;

use super::seldom::{LeftOut, Seldom};

/// Error number of the limit of this process (`EMFILE`).
const OF_PROCESS: i32 = 24;

/// Error number of the limit of the machine (`ENFILE`).
const OF_MACHINE: i32 = 23;

static WARNINGS: Seldom = Seldom::new();

/// Returns whether an error is a lack of file descriptors.
#[must_use]
pub fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(OF_PROCESS | OF_MACHINE))
}

/// Returns whether a line of Pingora's log tells of a lack of file descriptors.
pub(super) fn is_told_by(line: &str) -> bool {
    [OF_PROCESS, OF_MACHINE]
        .iter()
        .any(|number| line.contains(&format!("(os error {number})")))
}

/// Warns, within a limit, that no file descriptor was free for `task`.
pub fn warn_exhausted(task: &str) {
    if let Some(left_out) = may_warn() {
        warn!("{}", text(task, left_out));
    }
}

/// Returns the number of warnings left out if one may be logged now.
pub(super) fn may_warn() -> Option<LeftOut> {
    WARNINGS.may_warn(Instant::now())
}

/// Returns the words of the warning.
pub(super) fn text(task: &str, left_out: LeftOut) -> String {
    format!(
        "the file descriptors have run out, so {task}: set server.max_connections below the limit of open files, or \
         raise that limit (LimitNOFILE of systemd, ulimit -n){left_out}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_limits_are_known_and_no_other_error() {
        for (number, expected) in [(24, true), (23, true), (111, false), (2, false)] {
            let error = io::Error::from_raw_os_error(number);
            assert_eq!(is_exhausted(&error), expected, "{error}");
            assert_eq!(
                is_told_by(&format!("Accept() failed AcceptError cause: {error}")),
                expected
            );
        }
    }
}
