//! Signals a running server, and waits for what becomes of that.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal};

use super::{
    error::ProcessError,
    outcomes::{ChangeKind, ChangeOutcome, Outcomes},
    pid_file::{PidFile, is_gone, number, signal},
};

/// A running server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningServer {
    process: Pid,
    pid_file: PidFile,
}

/// A configuration that a running server has put in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// The settings that have changed, but take a restart.
    pub takes_restart: Vec<String>,
}

impl RunningServer {
    /// Returns the server of a pid file.
    ///
    /// # Errors
    ///
    /// The file is absent or malformed, or names no running linkpush.
    pub fn find(pid_file: &Path) -> Result<Self, ProcessError> {
        let pid_file = PidFile::new(pid_file.to_owned());
        let process = pid_file.running()?;
        Ok(Self { process, pid_file })
    }

    /// Returns the process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        number(self.process)
    }

    /// Has the server read `configuration` again (SIGHUP), and waits until that is in force.
    ///
    /// # Errors
    ///
    /// The server reads another file, did not take this one, or told no outcome in time.
    pub fn reload(&self, configuration: &Path) -> Result<Reloaded, ProcessError> {
        let before = self.outcomes_with(configuration)?;
        signal(self.process, Signal::HUP)?;
        match self.wait(ChangeKind::Reload, before, RELOAD_TIMEOUT)? {
            Waited::Done(takes_restart) => Ok(Reloaded { takes_restart }),
            Waited::Replaced(new) => Err(ProcessError::HandedOver {
                id: self.id(),
                new: new.id(),
            }),
        }
    }

    /// Has the server start a new process from its binary and hand its sockets over (SIGUSR2); waits until the new
    /// process serves by `configuration`, and returns it.
    ///
    /// # Errors
    ///
    /// The server reads another file, or the new process did not take over, or not in time.
    pub fn upgrade(&self, configuration: &Path) -> Result<Self, ProcessError> {
        let before = self.outcomes_with(configuration)?;
        signal(self.process, Signal::USR2)?;
        match self.wait(ChangeKind::Upgrade, before, UPGRADE_TIMEOUT)? {
            Waited::Replaced(new) => Ok(new),
            // The end of an upgrade is another process.
            Waited::Done(_) => Err(ProcessError::Ended { id: self.id() }),
        }
    }

    /// Reads the outcomes so far, and checks that the server reads this configuration.
    fn outcomes_with(&self, configuration: &Path) -> Result<Option<Outcomes>, ProcessError> {
        let outcomes = self.outcomes();
        match outcomes.as_ref().and_then(|outcomes| outcomes.configuration.clone()) {
            Some(reads) if !is_same_file(&reads, configuration) => Err(ProcessError::OtherFile {
                id: self.id(),
                reads,
                named: configuration.to_owned(),
            }),
            _ => Ok(outcomes),
        }
    }

    /// Reads the outcomes that the server has told; `None` if it is of a version that tells none.
    fn outcomes(&self) -> Option<Outcomes> {
        let until = Instant::now() + SETTLE;
        loop {
            let outcomes = Outcomes::read(&self.pid_file).filter(|outcomes| outcomes.process == self.id());
            // During an upgrade, the new process writes this file shortly before the pid file.
            if outcomes.is_some() || Instant::now() > until || self.successor().is_some() {
                return outcomes;
            }
            thread::sleep(POLL);
        }
    }

    /// Waits for the outcome of the change that follows those in `before`.
    fn wait(&self, kind: ChangeKind, before: Option<Outcomes>, within: Duration) -> Result<Waited, ProcessError> {
        let id = self.id();
        let next = before.as_ref().map(|outcomes| outcomes.of(kind).begun + 1);
        if next.is_none() && kind == ChangeKind::Reload {
            return Err(ProcessError::NoOutcome { id });
        }
        let until = Instant::now() + within;
        loop {
            let is_over = Instant::now() > until;
            let is_gone = is_gone(self.process);
            // Read last: what a process wrote before its end is there then.
            let outcomes = Outcomes::read(&self.pid_file).filter(|outcomes| outcomes.process == id);
            let outcome = next.and_then(|next| outcomes.as_ref()?.of(kind).outcome(next));
            match outcome {
                Some(ChangeOutcome::Done(takes_restart)) => return Ok(Waited::Done(takes_restart.clone())),
                Some(ChangeOutcome::Refused(reason)) => {
                    let reason = reason.clone();
                    return Err(ProcessError::Refused { id, reason });
                }
                None => {}
            }
            if let Some(new) = self.successor() {
                return Ok(Waited::Replaced(new));
            }
            if is_gone {
                return Err(ProcessError::Ended { id });
            }
            if is_over {
                return Err(ProcessError::NoAnswer { id, within });
            }
            thread::sleep(POLL);
        }
    }

    /// Returns the server that the pid file names now, if that is another one.
    fn successor(&self) -> Option<Self> {
        let process = self.pid_file.running().ok()?;
        let pid_file = self.pid_file.clone();
        (process != self.process).then_some(Self { process, pid_file })
    }
}

/// The end of a wait that is no error.
enum Waited {
    Done(Vec<String>),
    Replaced(RunningServer),
}

/// Returns whether two paths lead to one file; true if one of them leads nowhere.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let whole = |path: &Path| fs::canonicalize(path).ok();
    let paths: Option<(PathBuf, PathBuf)> = whole(one).zip(whole(other));
    paths.is_none_or(|(one, other)| one == other)
}

/// Time limit of a reload: the server reads the file and its certificates, and waits for no network.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Time limit of an upgrade: Pingora gives up on a hand-over after five seconds, and the new process needs time to
/// start.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(20);

/// Time from one look at the files to the next.
const POLL: Duration = Duration::from_millis(5);

/// Time within which a server has written both of its files.
const SETTLE: Duration = Duration::from_millis(250);
