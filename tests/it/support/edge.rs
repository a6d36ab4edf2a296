//! The real server: the binary, started on a free port with a configuration of the test's.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use tokio::sync::Notify;

/// Path of the binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_linkpush");

/// The binary that an [`Edge`] is: that of the same build, or the one that `LINKPUSH_BINARY` names.
fn binary() -> PathBuf {
    std::env::var_os("LINKPUSH_BINARY").map_or_else(|| BINARY.into(), PathBuf::from)
}

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    written: Notify,
    /// Whether nobody reads, and the notice that this has changed.
    is_paused: Mutex<bool>,
    read_on: Condvar,
}

/// A running server; killed when dropped.
pub struct Edge {
    pub address: SocketAddr,
    child: Child,
    log: Arc<Log>,
    folder: Arc<tempfile::TempDir>,
}

/// A configuration with one listener on a free port and one upstream `app`; `rest` is YAML for the
/// other keys, `routes` among them.
pub fn config(origin: SocketAddr, rest: &str) -> String {
    format!("listeners:\n  - address: 127.0.0.1:0\nupstreams:\n  app: {{ servers: ['{origin}'] }}\n{rest}\n")
}

/// A configuration with this listener, given as YAML without its address, and every route pushing;
/// `rest` is YAML for other keys.
pub fn listening(origin: SocketAddr, listener: &str, rest: &str) -> String {
    format!(
        "listeners:\n  - {{ address: '127.0.0.1:0', {listener} }}\nupstreams:\n  app: {{ servers: ['{origin}'] }}\n{PAGES}{rest}\n"
    )
}

/// The usual routes: everything is pushed.
pub const PAGES: &str = "routes:\n  - { name: pages, match: { path: '^/' }, upstream: app, push: auto }\n";

impl Edge {
    /// Starts a server in front of an origin, every route pushing.
    pub async fn start(origin: SocketAddr) -> Self {
        Self::with(&config(origin, PAGES)).await
    }

    /// Starts a server with this configuration and waits until it listens. `{folder}` in it is the
    /// folder of its file.
    pub async fn with(config: &str) -> Self {
        Self::with_env(config, &[]).await
    }

    /// The same with more in the environment.
    pub async fn with_env(config: &str, env: &[(&str, &OsStr)]) -> Self {
        Self::spawn_with_env(config, env).listening().await
    }

    /// Waits until it listens.
    async fn listening(mut self) -> Self {
        let listening = "listening on ";
        let line = wait_for(&self.log, |line| line.contains(listening)).await;
        self.address = line
            .split(listening)
            .nth(1)
            .and_then(|address| address.split(['"', ' ']).next()?.parse().ok())
            .expect("an address in the log");
        super::within("the listener", async {
            while tokio::net::TcpStream::connect(self.address).await.is_err() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        self
    }

    /// Starts a server that is not waited for, so that its address is not known.
    pub fn spawn(config: &str) -> Self {
        Self::spawn_with_env(config, &[])
    }

    fn spawn_with_env(config: &str, env: &[(&str, &OsStr)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        write_config(folder.path(), config);
        Self::spawn_in(&binary(), Arc::new(folder), env)
    }

    /// Starts this copy of the server, and waits until it listens.
    pub async fn of_binary(binary: &Path, config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        write_config(folder.path(), config);
        Self::spawn_in(binary, Arc::new(folder), &[]).listening().await
    }

    /// Starts another server with the same files.
    pub async fn again(&self) -> Self {
        Self::spawn_in(&binary(), Arc::clone(&self.folder), &[])
            .listening()
            .await
    }

    fn spawn_in(binary: &Path, folder: Arc<tempfile::TempDir>, env: &[(&str, &OsStr)]) -> Self {
        let file = folder.path().join("edge.yaml");
        let mut child = Command::new(binary)
            .args(["run", "--config"])
            .arg(&file)
            .env(
                "RUST_LOG",
                std::env::var("EDGE_LOG").unwrap_or_else(|_| "info,linkpush=debug".into()),
            )
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let log = Arc::new(Log::default());
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let writer = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let paused = writer.is_paused.lock().expect("no panic");
                drop(
                    writer
                        .read_on
                        .wait_while(paused, |is_paused| *is_paused)
                        .expect("no panic"),
                );
                writer.lines.lock().expect("no panic").push(line);
                writer.written.notify_waiters();
            }
        });
        Self {
            address: ([127, 0, 0, 1], 0).into(),
            child,
            log,
            folder,
        }
    }

    /// Waits until the process has a handler for this signal.
    pub async fn catches(&self, signal: u32) {
        super::within("a signal to be caught", async {
            let status = format!("/proc/{}/status", self.pid());
            loop {
                let status = std::fs::read_to_string(&status).expect("a process");
                let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
                let caught = u64::from_str_radix(caught.expect("a mask").trim(), 16).expect("hexadecimal");
                if caught & 1 << (signal - 1) != 0 {
                    return;
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// The folder of its files, which is `{folder}` in its configuration.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join("edge.yaml")
    }

    /// Replaces its configuration file; it still has to be told.
    pub fn rewrite(&self, config: &str) {
        write_config(self.folder.path(), config);
    }

    /// How many log lines contain this so far.
    pub fn count_lines(&self, part: &str) -> usize {
        self.log().iter().filter(|line| line.contains(part)).count()
    }

    /// Waits until this many log lines contain this.
    pub async fn lines(&self, part: &str, count: usize) {
        super::within(&format!("{count} times {part:?}"), async {
            loop {
                let written = self.log.written.notified();
                if self.count_lines(part) >= count {
                    return;
                }
                written.await;
            }
        })
        .await;
    }

    /// The first log line that contains all of these, once it is there.
    pub async fn log_line(&self, parts: &[&str]) -> String {
        wait_for(&self.log, |line| parts.iter().all(|part| line.contains(part))).await
    }

    /// Leaves the log unread, in its pipe.
    pub fn stop_reading(&self) {
        *self.log.is_paused.lock().expect("no panic") = true;
    }

    /// Reads the log again.
    pub fn read_on(&self) {
        *self.log.is_paused.lock().expect("no panic") = false;
        self.log.read_on.notify_all();
    }

    /// Everything logged so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lines.lock().expect("no panic").clone()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.pid().to_string())
            .status();
        assert!(status.expect("kill runs").success());
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> usize {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.pid())).expect("statm");
        let pages: usize = statm
            .split(' ')
            .nth(1)
            .and_then(|n| n.parse().ok())
            .expect("resident pages");
        pages * 4096
    }

    /// The most resident memory that it has had, in bytes.
    pub fn peak_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("status");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
        let kibibytes = line.split_whitespace().nth(1).and_then(|n| n.parse::<usize>().ok());
        kibibytes.expect("kB") * 1024
    }

    /// How the process has ended, if it has.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child")
    }

    /// Has [`Self::peak_memory`] begin anew.
    pub fn forget_peak_memory(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.pid()), "5").expect("a process of ours");
    }

    /// Processor time of its threads so far, finer than `utime` and `stime` have it.
    pub fn cpu(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).expect("a process");
        let times = tasks.filter_map(|task| {
            let times = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            times.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(times.sum())
    }

    /// Waits for the process to end and returns whether it ended well.
    pub async fn ended(&mut self) -> bool {
        super::within("the server to end", async {
            loop {
                if let Some(status) = self.child.try_wait().expect("a child") {
                    return status.success();
                }
                // A process end has no event to await here without another dependency.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    }
}

fn write_config(folder: &Path, config: &str) {
    let config = config.replace("{folder}", &folder.display().to_string());
    // At once: a server may be reading it.
    let new = folder.join("edge.new");
    std::fs::write(&new, config).expect("a writable folder");
    std::fs::rename(new, folder.join("edge.yaml")).expect("a writable folder");
}

impl Drop for Edge {
    fn drop(&mut self) {
        // A successor is nobody's child here.
        if let Ok(id) = std::fs::read_to_string(self.folder.path().join("linkpush.pid")) {
            let _ = Command::new("kill")
                .args(["-KILL", id.trim()])
                .stderr(Stdio::null())
                .status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the server\n{}\n---", self.log().join("\n"));
        }
    }
}

async fn wait_for(log: &Log, wanted: impl Fn(&str) -> bool) -> String {
    let found = async {
        loop {
            let written = log.written.notified();
            if let Some(line) = log.lines.lock().expect("no panic").iter().find(|line| wanted(line)) {
                return line.clone();
            }
            written.await;
        }
    };
    match tokio::time::timeout(super::DEADLINE, found).await {
        Ok(line) => line,
        Err(_) => {
            // Not under the lock: the drop of the edge reads the log as well.
            let lines = log.lines.lock().expect("no panic").join("\n");
            panic!("no such log line; log:\n{lines}");
        }
    }
}
