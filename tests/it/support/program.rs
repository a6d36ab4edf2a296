//! Servers that are not ours, run for the length of a test.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use tokio::net::TcpStream;

/// A running server; killed when dropped.
pub struct Program {
    pub address: SocketAddr,
    child: Child,
    log: tempfile::NamedTempFile,
}

impl Program {
    /// Starts a server and waits until it listens on this address.
    pub async fn start(program: &str, arguments: &[&str], address: SocketAddr) -> Self {
        let log = tempfile::NamedTempFile::new().expect("a temporary file");
        let output = |file: &File| Stdio::from(file.try_clone().expect("a file"));
        let child = Command::new("env")
            .arg(format!("PATH={}", path()))
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output(log.as_file()))
            .stderr(output(log.as_file()))
            .spawn();
        let mut started = Self {
            address,
            child: child.unwrap_or_else(|e| panic!("{program}: {e}")),
            log,
        };
        super::within(program, async {
            while TcpStream::connect(address).await.is_err() {
                let ended = started.child.try_wait().expect("a child");
                assert!(ended.is_none(), "{program} ended: {}", started.printed());
                // A server that begins to listen is no event that one could await.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        started
    }

    /// What it has printed so far.
    pub fn printed(&self) -> String {
        fs::read_to_string(self.log.path()).expect("a log")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Servers with workers end them when they are told to, not when they are killed.
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).status();
        for _ in 0..200 {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where programs are looked for: Debian's servers are not in every user's PATH.
pub fn path() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{path}:/usr/sbin:/sbin")
}

/// What a program has printed that ran to its end.
#[derive(Debug)]
pub struct Limited {
    pub stdout: String,
    pub stderr: String,
}

impl Limited {
    /// Runs a program that may take longer than [`super::DEADLINE`]; kills it, and panics, when it takes longer than this.
    pub async fn run(program: &str, arguments: &[&str], limit: Duration) -> Self {
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let child = child.unwrap_or_else(|e| panic!("{program}: {e}; tests/support/install.sh test installs it"));
        let id = child.id();
        let ending = tokio::task::spawn_blocking(move || child.wait_with_output());
        let Ok(ended) = tokio::time::timeout(limit, ending).await else {
            // The thread that waits for it ends by this, too.
            let _ = Command::new("kill").args(["-KILL", &id.to_string()]).status();
            panic!("{program} {arguments:?}: not done within {limit:?}");
        };
        let output = ended.expect("no panic").expect("a child");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

/// A free port of this machine, and not one of those that the system gives to connections: until the server listens, one of them might get it.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 20_000;
    // Another process that runs these tests begins elsewhere.
    let begin = std::process::id().wrapping_mul(97) % u32::from(COUNT);
    let begin = u16::try_from(begin).expect("below the count");
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(begin) % COUNT;
        let address = SocketAddr::from(([127, 0, 0, 1], FIRST + number));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// HAProxy in TCP mode in front of a server; `how` are the words behind its address.
pub async fn haproxy(folder: &Path, server: SocketAddr, how: &str) -> Program {
    let address = free_address();
    let config = folder.join("haproxy.cfg");
    let text = format!(
        "defaults\n  mode tcp\n  timeout connect 20s\n  timeout client 20s\n  timeout server 20s\n\
         listen edge\n  bind {address}\n  server edge {server} {how}\n"
    );
    fs::write(&config, text).expect("a writable folder");
    Program::start("haproxy", &["-db", "-f", config.to_str().expect("UTF-8")], address).await
}

/// hitch, which ends TLS in front of a server, with a file of certificate and key; `how` are more of
/// its arguments.
pub async fn hitch(pem: &Path, server: SocketAddr, how: &[&str]) -> Program {
    let address = free_address();
    let frontend = format!("--frontend=[{}]:{}", address.ip(), address.port());
    let backend = format!("--backend=[{}]:{}", server.ip(), server.port());
    let mut arguments = vec![frontend.as_str(), &backend, "--alpn-protos=h2,http/1.1"];
    if rustix::process::getuid().is_root() {
        // It refuses to work as root, and reads the file before it changes.
        arguments.push("--user=nobody");
    }
    arguments.extend_from_slice(how);
    arguments.push(pem.to_str().expect("UTF-8"));
    Program::start("hitch", &arguments, address).await
}
