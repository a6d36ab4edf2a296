//! Runs a server under valgrind's callgrind, and reads its counts.
//!
//! callgrind counts from the server's start. `vgdb`, which comes with valgrind, sets the counts to zero and has
//! callgrind write them; its pipes and the files are in the benchmark's folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use super::{
    profile::Profile,
    support::{process, servers::Server},
};

/// Returns the beginning of a server's command. Load and origin have a higher priority, so that the server's queues are
/// full, and it handles equally much at a time in each round.
pub(crate) fn command(folder: &Path) -> Vec<String> {
    let folder = folder.display();
    vec![
        "nice".to_owned(),
        "--adjustment=2".to_owned(),
        "valgrind".to_owned(),
        "--quiet".to_owned(),
        "--tool=callgrind".to_owned(),
        format!("--vgdb-prefix={folder}/vgdb"),
        format!("--callgrind-out-file={folder}/callgrind.%p"),
    ]
}

/// The counts of one server.
#[derive(Debug)]
pub(crate) struct Counts<'a> {
    server: &'a Server,
    folder: &'a Path,
    written: usize,
}

impl<'a> Counts<'a> {
    /// Returns the counts of a server that was started with [`command`].
    pub(crate) const fn of(server: &'a Server, folder: &'a Path) -> Self {
        Self {
            server,
            folder,
            written: 0,
        }
    }

    /// Sets all counts to zero, once the server is at rest.
    pub(crate) fn zero(&self) -> Result<(), String> {
        self.settle();
        self.tell("zero")
    }

    /// Returns the counts since the last call of `take` or `zero`, once the server is at rest.
    pub(crate) fn take(&mut self) -> Result<Profile, String> {
        self.settle();
        self.tell("dump")?;
        self.written += 1;
        let file: PathBuf = self
            .folder
            .join(format!("callgrind.{}.{}", self.server.process(), self.written));
        let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        let _ = fs::remove_file(&file);
        Profile::parse(&text).ok_or_else(|| format!("{}: not as callgrind writes it", file.display()))
    }

    /// Waits until the server has finished the work of a load: has closed its connections and freed their memory.
    fn settle(&self) {
        let deadline = Instant::now() + LONGEST_WORK;
        let used = || {
            let cpu = process::cpu(self.server.process());
            cpu.user + cpu.system
        };
        let mut before = used();
        let mut quiet = 0;
        while quiet < QUIET_LOOKS && Instant::now() < deadline {
            sleep(PAUSE);
            let now = used();
            quiet = if now - before < AT_REST { quiet + 1 } else { 0 };
            before = now;
        }
    }

    fn tell(&self, words: &str) -> Result<(), String> {
        let output = Command::new("vgdb")
            .arg(format!("--vgdb-prefix={}/vgdb", self.folder.display()))
            .arg(format!("--pid={}", self.server.process()))
            // Seconds until the server must respond, and milliseconds after which vgdb interrupts it.
            .args(["--wait=10", "--max-invoke-ms=100"])
            .arg(words)
            .output()
            .map_err(|e| format!("vgdb: {e}"))?;
        if output.status.success() {
            Ok(())
        } else {
            Err(format!("vgdb: {}", String::from_utf8_lossy(&output.stderr).trim()))
        }
    }
}

/// The interval at which the server's CPU time is read.
const PAUSE: Duration = Duration::from_millis(150);
/// Seconds of CPU time in an interval below which the server counts as at rest.
const AT_REST: f64 = 0.015;
/// Intervals at rest in a row: on a busy machine a server that waits for the processor looks as if it were at rest.
const QUIET_LOOKS: u32 = 3;
/// Time limit of the wait; the server is measured all the same.
const LONGEST_WORK: Duration = Duration::from_secs(10);
