//! Locks the pid file (`flock`), so that each has one server at a time.
//!
//! The lock belongs to an open file, which a process shares with the processes that inherit it. An upgrade hands the
//! lock over in this way: the new process gets the open file as its standard input, and the old one closes its own once
//! the listening sockets are handed over. The system frees the lock of a process that crashes.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _},
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use log::warn;

use super::{error::ProcessError, pid_file::PidFile};

/// The lock of a pid file, which this process holds; dropping it removes the file.
#[derive(Debug)]
pub(in crate::server) struct PidLock {
    pid_file: PidFile,
    /// `None` once a new process has the lock.
    file: Option<File>,
}

impl PidLock {
    /// Locks a pid file, whose process has ended if it names one; makes the file if there is none.
    pub(in crate::server) fn take(pid_file: &PidFile) -> Result<Self, ProcessError> {
        let path = pid_file.path();
        for _ in 0..MAX_TRIES {
            let file = open(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(held(pid_file)),
                Err(TryLockError::Error(source)) => {
                    let path = path.to_owned();
                    return Err(ProcessError::Unlockable { path, source });
                }
            }
            // Its holder may have removed the file just before it freed the lock.
            if !is_at(&file, path) {
                continue;
            }
            check_content(&file, path)?;
            let lock = Self {
                pid_file: pid_file.clone(),
                file: Some(file),
            };
            if !is_served_without_lock(pid_file) {
                return Ok(lock);
            }
            lock.leave();
            break;
        }
        Err(held(pid_file))
    }

    /// Takes the lock of the old process over, which gives the lock up when it has handed its sockets over.
    pub(in crate::server) fn take_over(pid_file: &PidFile) -> Result<Self, ProcessError> {
        if let Some(lock) = Self::inherited(pid_file) {
            return Ok(lock);
        }
        // Somebody else has started this process than the old one.
        let until = Instant::now() + TAKE_OVER_TIMEOUT;
        loop {
            let file = open(pid_file.path())?;
            if file.try_lock().is_ok() && is_at(&file, pid_file.path()) {
                return Ok(Self {
                    pid_file: pid_file.clone(),
                    file: Some(file),
                });
            }
            if Instant::now() > until {
                return Err(held(pid_file));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Returns the lock that this process has inherited as its standard input, in whose place comes an empty file.
    fn inherited(pid_file: &PidFile) -> Option<Self> {
        let file = File::from(rustix::stdio::stdin().try_clone_to_owned().ok()?);
        // The lock is free for the file that has it; any other file of the same path has to wait.
        let is_inherited = is_at(&file, pid_file.path()) && file.try_lock().is_ok();
        if !is_inherited {
            return None;
        }
        rustix::stdio::dup2_stdin(File::open("/dev/null").ok()?).ok()?;
        Some(Self {
            pid_file: pid_file.clone(),
            file: Some(file),
        })
    }

    /// Returns the locked file as the standard input of a new process.
    pub(in crate::server) fn as_input(&self) -> Stdio {
        let file = self.file.as_ref().and_then(|file| file.try_clone().ok());
        file.map_or_else(Stdio::null, Stdio::from)
    }

    pub(in crate::server) fn pid_file(&self) -> &PidFile {
        &self.pid_file
    }

    /// Returns whether this process still has the lock.
    pub(in crate::server) fn is_held(&self) -> bool {
        self.file.is_some()
    }

    /// Writes the id of this process; readers find the old id or the new one, never a part.
    pub(in crate::server) fn write(&self) -> Result<(), ProcessError> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        // The file cannot be replaced, or the lock would be that of another file. So one write covers a longer old id
        // with line ends, which then go.
        let line = format!("{}\n", std::process::id());
        let padded = format!("{line:\n<0$}", MAX_BYTES);
        let written = file.write_all_at(padded.as_bytes(), 0);
        written
            .and_then(|()| file.set_len(line.len() as u64))
            .map_err(|source| ProcessError::Unwritable {
                path: self.pid_file.path().to_owned(),
                source,
            })
    }

    /// Gives the lock to the process that has inherited or waits for it, and leaves the files to that process.
    pub(in crate::server) fn hand_over(&mut self) {
        self.file = None;
    }

    /// Gives the lock up, and leaves the file as it is.
    fn leave(mut self) {
        self.file = None;
    }
}

impl Drop for PidLock {
    fn drop(&mut self) {
        if self.file.is_none() {
            return;
        }
        for path in [self.pid_file.outcomes(), self.pid_file.path().to_owned()] {
            match fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => warn!("{}: {e}", path.display()),
                _ => {}
            }
        }
    }
}

/// Opens a pid file, and makes it if there is none.
fn open(path: &Path) -> Result<File, ProcessError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o644);
    options.open(path).map_err(|source| ProcessError::Unwritable {
        path: path.to_owned(),
        source,
    })
}

/// Returns whether a path leads to this open file.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// Checks that a file has nothing in it but a process id, so that a wrong path in the configuration destroys no file.
pub(in crate::server) fn check_content(file: &File, path: &Path) -> Result<(), ProcessError> {
    let mut content = Vec::new();
    let path = path.to_owned();
    match file.take(MAX_BYTES as u64 + 1).read_to_end(&mut content) {
        Err(source) => Err(ProcessError::Unreadable { path, source }),
        Ok(_) if is_id(&content) => Ok(()),
        Ok(_) => Err(ProcessError::NotAPidFile { path }),
    }
}

/// Returns whether this is the content of a pid file: one number, or nothing.
fn is_id(content: &[u8]) -> bool {
    let text = content.trim_ascii();
    content.len() <= MAX_BYTES && text.iter().all(u8::is_ascii_digit)
}

fn held(pid_file: &PidFile) -> ProcessError {
    ProcessError::Held {
        path: pid_file.path().to_owned(),
        id: pid_file.id().ok(),
    }
}

/// Returns whether the file names a running server of a version that locks no pid files.
fn is_served_without_lock(pid_file: &PidFile) -> bool {
    let Ok(id) = pid_file.id() else {
        return false;
    };
    if id == std::process::id() || pid_file.running().is_err() {
        return false;
    }
    // The id may have come to another command of linkpush since.
    let arguments = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    arguments.split(|byte| *byte == 0).nth(1) == Some(b"run")
}

/// Most openings of the file until the open file is the one at its path: each further one takes another server that
/// ends at this moment.
const MAX_TRIES: usize = 10;

/// Most bytes of a pid file: the ten digits of a 32-bit number, its line end, and room for `\r` or blanks of others.
const MAX_BYTES: usize = 16;

/// Most time until an old process gives the lock up after it has handed the sockets over.
const TAKE_OVER_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::{super::pid_file::tests::pid_file, *};

    fn content(pid_file: &PidFile) -> Option<String> {
        fs::read_to_string(pid_file.path()).ok()
    }

    #[test]
    fn a_file_has_one_holder_who_removes_it() {
        let (_folder, file) = pid_file(None);
        let lock = PidLock::take(&file).expect("free");
        assert!(matches!(PidLock::take(&file), Err(ProcessError::Held { id: None, .. })));
        lock.write().expect("writable");
        let us = std::process::id();
        assert_eq!(content(&file), Some(format!("{us}\n")));
        let other = PidLock::take(&file).expect_err("held");
        assert!(matches!(other, ProcessError::Held { id: Some(id), .. } if id == us));
        assert!(other.to_string().contains(&format!("held by process {us}, which runs")));
        drop(lock);
        assert_eq!(content(&file), None);
        PidLock::take(&file).expect("free again");
    }

    #[test]
    fn the_file_of_a_crash_is_taken() {
        for stale in ["2147483647\n", "", "1\n", "4000000000"] {
            let (_folder, file) = pid_file(Some(stale));
            let lock = PidLock::take(&file).expect("nobody holds it");
            lock.write().expect("writable");
            assert_eq!(content(&file), Some(format!("{}\n", std::process::id())), "{stale}");
        }
    }

    #[test]
    fn a_file_that_is_no_pid_file_is_left_alone() {
        for other in ["root:x:0:0\n", "12 13", "12345678901234567", "-1"] {
            let (_folder, file) = pid_file(Some(other));
            let refused = PidLock::take(&file);
            assert!(matches!(refused, Err(ProcessError::NotAPidFile { .. })), "{refused:?}");
            assert_eq!(content(&file).as_deref(), Some(other));
        }
    }

    #[test]
    fn a_lock_that_was_handed_over_leaves_the_file() {
        let (_folder, file) = pid_file(Some("1\n"));
        let mut lock = PidLock::take(&file).expect("free");
        lock.hand_over();
        let new = PidLock::take_over(&file).expect("handed over");
        drop(lock);
        assert_eq!(content(&file).as_deref(), Some("1\n"));
        drop(new);
        assert_eq!(content(&file), None);
    }
}
