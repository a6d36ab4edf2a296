//! Tells commands what became of the reloads and upgrades that they asked for by a signal.
//!
//! A signal carries no data, and two at once may arrive as one. So each reload and each upgrade has a number, which the
//! server writes into a file when it begins, before it reads the configuration, and again with the outcome. A command
//! reads the last number, sends the signal and waits for the outcome of the next number: that one began after the
//! command's caller had finished its changes, whoever's signal it was.

use std::{
    collections::VecDeque,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use log::warn;
use serde::{Deserialize, Serialize};

use super::pid_file::PidFile;
use crate::server::replace::{Durability, replace};

/// A change that a command asks a server for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum ChangeKind {
    Reload,
    Upgrade,
}

/// The content of the file of outcomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outcomes {
    /// The process that writes the file.
    pub(super) process: u32,
    /// The configuration file that a reload reads, as an absolute path.
    pub(super) configuration: Option<PathBuf>,
    reloads: Changes,
    upgrades: Changes,
}

/// The changes of one kind since the process began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Changes {
    /// The number of the last change that has begun.
    pub(super) begun: u64,
    /// The last changes that have ended, at most [`MAX_ENDED`].
    ended: VecDeque<EndedChange>,
}

/// A change that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct EndedChange {
    number: u64,
    outcome: ChangeOutcome,
}

/// The outcome of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::server) enum ChangeOutcome {
    /// The change is made, but for these settings, which take a restart.
    Done(Vec<String>),
    /// Nothing has changed, for this reason.
    Refused(String),
}

impl Outcomes {
    /// Reads the file of a server; `None` if there is none that can be read.
    pub(super) fn read(pid_file: &PidFile) -> Option<Self> {
        let mut bytes = Vec::new();
        let file = File::open(pid_file.outcomes()).ok()?;
        file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    pub(super) fn of(&self, kind: ChangeKind) -> &Changes {
        match kind {
            ChangeKind::Reload => &self.reloads,
            ChangeKind::Upgrade => &self.upgrades,
        }
    }

    fn of_mut(&mut self, kind: ChangeKind) -> &mut Changes {
        match kind {
            ChangeKind::Reload => &mut self.reloads,
            ChangeKind::Upgrade => &mut self.upgrades,
        }
    }
}

impl Changes {
    /// Returns the outcome of a change, once it has ended.
    pub(super) fn outcome(&self, number: u64) -> Option<&ChangeOutcome> {
        let ended = self.ended.iter().find(|ended| ended.number == number);
        ended.map(|ended| &ended.outcome)
    }
}

/// The file of outcomes, as the server writes it.
#[derive(Debug)]
pub(in crate::server) struct OutcomeFile {
    path: PathBuf,
    outcomes: Outcomes,
}

impl OutcomeFile {
    /// Writes the file of a server that has changed nothing yet.
    pub(in crate::server) fn new(pid_file: &PidFile, configuration: Option<&Path>) -> Self {
        let file = Self {
            path: pid_file.outcomes(),
            outcomes: Outcomes {
                process: std::process::id(),
                configuration: configuration.and_then(|path| std::path::absolute(path).ok()),
                reloads: Changes::default(),
                upgrades: Changes::default(),
            },
        };
        file.write();
        file
    }

    /// Writes that a change begins; returns its number.
    pub(in crate::server) fn begin(&mut self, kind: ChangeKind) -> u64 {
        let changes = self.outcomes.of_mut(kind);
        changes.begun += 1;
        let number = changes.begun;
        self.write();
        number
    }

    /// Writes that a change has ended.
    pub(in crate::server) fn end(&mut self, kind: ChangeKind, number: u64, outcome: ChangeOutcome) {
        let ended = &mut self.outcomes.of_mut(kind).ended;
        while ended.len() >= MAX_ENDED {
            ended.pop_front();
        }
        let outcome = match outcome {
            ChangeOutcome::Refused(reason) => ChangeOutcome::Refused(shortened(reason)),
            done @ ChangeOutcome::Done(_) => done,
        };
        ended.push_back(EndedChange { number, outcome });
        self.write();
    }

    /// Writes the file in one step. A command whose outcome cannot be written waits until its time is over.
    fn write(&self) {
        let written = serde_json::to_vec(&self.outcomes)
            .map_err(Into::into)
            .and_then(|text| replace(&self.path, &text, 0o644, Durability::Memory));
        if let Err(e) = written {
            warn!(
                "{} cannot be written, so commands wait in vain: {e}",
                self.path.display()
            );
        }
    }
}

/// Cuts a reason of many lines behind a line.
pub(in crate::server) fn shortened(mut reason: String) -> String {
    let mut end = 0;
    for line in reason.split_inclusive('\n') {
        if end + line.len() > MAX_REASON {
            break;
        }
        end += line.len();
    }
    let more = reason.get(end..).map_or(0, |rest| rest.lines().count());
    if more > 0 {
        reason.truncate(end);
        reason.push_str(&format!("and {more} more"));
    }
    reason
}

/// Most ended changes that are remembered: a command looks for its own within milliseconds.
const MAX_ENDED: usize = 16;

/// Most bytes of a reason: some two hundred problems of a configuration.
const MAX_REASON: usize = 16 * 1024;

/// Most bytes of the file that are read: all reasons, each of whose bytes may be written as six, and the rest.
const MAX_FILE_BYTES: u64 = 2 * 6 * (MAX_ENDED * MAX_REASON) as u64 + 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> (tempfile::TempDir, PidFile, OutcomeFile) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let pid_file = PidFile::new(folder.path().join("linkpush.pid"));
        let file = OutcomeFile::new(&pid_file, Some(Path::new("/etc/edge.yaml")));
        (folder, pid_file, file)
    }

    #[test]
    fn a_change_has_begun_before_it_has_an_outcome() {
        let (_folder, pid_file, mut file) = file();
        let read = || Outcomes::read(&pid_file).expect("a file");
        assert_eq!(read().process, std::process::id());
        assert_eq!(read().configuration.as_deref(), Some(Path::new("/etc/edge.yaml")));
        let number = file.begin(ChangeKind::Reload);
        assert_eq!((number, read().of(ChangeKind::Reload).begun), (1, 1));
        assert_eq!(read().of(ChangeKind::Upgrade).begun, 0);
        assert_eq!(read().of(ChangeKind::Reload).outcome(1), None);
        let done = ChangeOutcome::Done(vec!["server.threads".to_owned()]);
        file.end(ChangeKind::Reload, number, done.clone());
        assert_eq!(read().of(ChangeKind::Reload).outcome(1), Some(&done));
    }

    #[test]
    fn an_outcome_is_found_behind_later_ones_that_ended_first() {
        let (_folder, pid_file, mut file) = file();
        let (first, second) = (file.begin(ChangeKind::Upgrade), file.begin(ChangeKind::Upgrade));
        let refused = |reason: &str| ChangeOutcome::Refused(reason.to_owned());
        file.end(ChangeKind::Upgrade, second, refused("under way"));
        let read = || Outcomes::read(&pid_file).expect("a file");
        assert_eq!(read().of(ChangeKind::Upgrade).outcome(first), None);
        file.end(ChangeKind::Upgrade, first, refused("no binary"));
        assert_eq!(
            read().of(ChangeKind::Upgrade).outcome(first),
            Some(&refused("no binary"))
        );
    }

    #[test]
    fn the_file_is_bounded() {
        let (_folder, pid_file, mut file) = file();
        for _ in 0..50 {
            let number = file.begin(ChangeKind::Reload);
            let problems = "edge.yaml:1:1: \u{1}\u{1}\u{1}\u{1}\n".repeat(10_000);
            file.end(ChangeKind::Reload, number, ChangeOutcome::Refused(problems));
        }
        let outcomes = Outcomes::read(&pid_file).expect("a whole file");
        let Some(ChangeOutcome::Refused(reason)) = outcomes.of(ChangeKind::Reload).outcome(50) else {
            unreachable!("the last one");
        };
        assert!(
            reason.len() <= MAX_REASON + 32 && reason.ends_with(" more"),
            "{}",
            reason.len()
        );
        assert_eq!(outcomes.of(ChangeKind::Reload).outcome(34), None);
        assert!(outcomes.of(ChangeKind::Reload).outcome(35).is_some());
    }
}
