//! Opens standard error or a file for the log, and writes to it without the locks and buffers of the standard library:
//! a thread that waits for a reader must hold none of these.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::{fd::AsFd as _, unix::fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// Why the log has no place to be written to.
#[derive(Debug, thiserror::Error)]
pub enum LogFileError {
    /// The file cannot be opened for writing.
    #[error("server.log.file: {} cannot be written", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Standard error has no second descriptor.
    #[error("server.log.file: standard error cannot be written")]
    StandardError {
        /// The system's error.
        source: io::Error,
    },
}

/// Permissions of a new file, without the bits of the umask: URLs and addresses of visitors are not for everybody.
const MODE: u32 = 0o640;

/// Time until a descriptor that does not block is tried again.
const RETRY: Duration = Duration::from_millis(10);

/// A place to which the log is written.
#[derive(Debug)]
pub(super) struct LogOutput(File);

/// The outcome of a write.
#[derive(Debug)]
pub(super) enum Written {
    /// All bytes.
    All,
    /// The bytes before an error.
    Part { bytes: usize, error: io::Error },
}

impl LogOutput {
    /// Returns standard error, by a descriptor of its own.
    pub(super) fn standard_error() -> io::Result<Self> {
        io::stderr().as_fd().try_clone_to_owned().map(File::from).map(Self)
    }

    /// Opens a file to append to it; makes it if there is none.
    pub(super) fn file(path: &Path) -> Result<Self, LogFileError> {
        let opened = OpenOptions::new().append(true).create(true).mode(MODE).open(path);
        opened.map(Self).map_err(|source| LogFileError::File {
            path: path.to_owned(),
            source,
        })
    }

    #[cfg(test)]
    pub(super) const fn of(file: File) -> Self {
        Self(file)
    }

    /// Writes all bytes, however long their reader takes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Written {
        let mut written = 0;
        loop {
            let rest = bytes.get(written..).unwrap_or_default();
            if rest.is_empty() {
                return Written::All;
            }
            let error = match self.0.write(rest) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(more) => {
                    written += more;
                    continue;
                }
                Err(e) => e,
            };
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => thread::sleep(RETRY),
                _ => return Written::Part { bytes: written, error },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_appended() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("linkpush.log");
        for line in [b"one\n", b"two\n"] {
            let mut output = LogOutput::file(&path).expect("it can be opened");
            assert!(matches!(output.write(line), Written::All));
        }
        assert_eq!(std::fs::read(&path).expect("a file"), b"one\ntwo\n");
    }
}
