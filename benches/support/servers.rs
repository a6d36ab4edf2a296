//! Starts and stops servers in front of an origin.

use std::{
    fs,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    peers::Peer,
    process::{self, Cpu},
};

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    /// Its name in the table, with its version if it is a peer.
    pub(crate) name: String,
    /// Whether it is another project's server.
    pub(crate) is_peer: bool,
    /// The address on which it listens.
    pub(crate) address: SocketAddr,
    process: Child,
}

impl Server {
    /// Returns the process that was started, which may have children.
    pub(crate) fn process(&self) -> u32 {
        self.process.id()
    }

    /// Returns the CPU time that the server has used, workers included.
    pub(crate) fn cpu(&self) -> Cpu {
        process::cpu(self.process())
    }
}

impl Drop for Server {
    /// Terminates the server by SIGTERM, as a killed parent would leave its workers behind; kills it after ten seconds.
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Settings that servers are started with.
#[derive(Debug)]
pub(crate) struct Site {
    /// The folder of their configurations and logs.
    pub(crate) folder: PathBuf,
    /// The address on which they listen.
    pub(crate) host: IpAddr,
    /// The origin behind them.
    pub(crate) origin: SocketAddr,
    /// The binary of linkpush.
    pub(crate) linkpush: PathBuf,
    /// The beginning of each command, such as `taskset` and its arguments; empty for none.
    pub(crate) prefix: Vec<String>,
}

impl Site {
    /// Creates settings for this origin, with the linkpush that was built and no prefix.
    pub(crate) fn new(folder: &Path, host: IpAddr, origin: SocketAddr) -> Self {
        Self {
            folder: folder.to_owned(),
            host,
            origin,
            linkpush: env!("CARGO_BIN_EXE_linkpush").into(),
            prefix: Vec::new(),
        }
    }

    /// Starts linkpush with one thread, and one route with these settings, such as `push: auto, learn: on`.
    pub(crate) fn linkpush(&self, name: &str, settings: &str) -> Option<Server> {
        let address = free_port(self.host);
        let key: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let config = self.folder.join(format!("{key}.yaml"));
        let text = format!(
            "server: {{ threads: 1, idle_origin_connections: 512, limits: {{ idle_timeout: 5m }} }}\n\
             listeners: [{{ address: '{address}' }}]\n\
             upstreams: {{ app: {{ servers: ['{}'] }} }}\n\
             routes: [{{ name: all, upstream: app, {settings} }}]\n",
            self.origin
        );
        fs::write(&config, text).expect("a configuration file");
        let mut command = self.command(&self.linkpush);
        command.args(["run", "--config"]).arg(&config).env("RUST_LOG", "warn");
        self.start(name, address, command, &key, None)
    }

    /// Starts a peer. Prints why and returns `None` if the peer is not installed or does not start.
    pub(crate) fn peer(&self, peer: &Peer) -> Option<Server> {
        let Some(program) = installed(peer.program) else {
            eprintln!("{} is left out: {} is not installed", peer.name, peer.program);
            return None;
        };
        let address = free_port(self.host);
        let config = self.folder.join(format!("{}.conf", peer.program));
        let fill = |text: &str| {
            text.replace("LISTEN", &address.to_string())
                .replace("HOST", &self.host.to_string())
                .replace("ORIGIN_PORT", &self.origin.port().to_string())
                .replace("ORIGIN", &self.origin.to_string())
                .replace("PORT", &address.port().to_string())
                .replace("FOLDER", &self.folder.to_string_lossy())
                .replace("CONFIG", &config.to_string_lossy())
        };
        fs::write(&config, fill(peer.config)).expect("a configuration file");
        let mut command = self.command(&program);
        command
            .args(peer.args.iter().map(|arg| fill(arg)))
            .env("HOME", &self.folder)
            .env("XDG_DATA_HOME", &self.folder)
            .env("XDG_CONFIG_HOME", &self.folder)
            .env("GOMAXPROCS", "1");
        let name = format!("{} {}", peer.name, version(&program, peer.version));
        self.start(&name, address, command, peer.program, Some(peer))
    }

    /// Starts this program itself, with arguments that make it serve.
    pub(crate) fn this_program(&self, name: &str, args: impl FnOnce(SocketAddr) -> Vec<String>) -> Option<Server> {
        let address = free_port(self.host);
        let mut command = self.command(&std::env::current_exe().expect("this program"));
        command.args(args(address));
        self.start(name, address, command, "this", None)
    }

    /// Returns a command that begins with the prefix.
    fn command(&self, program: &Path) -> Command {
        let mut words = self.prefix.iter();
        words.next().map_or_else(
            || Command::new(program),
            |first| {
                let mut command = Command::new(first);
                command.args(words).arg(program);
                command
            },
        )
    }

    fn start(
        &self,
        name: &str,
        address: SocketAddr,
        mut command: Command,
        key: &str,
        peer: Option<&Peer>,
    ) -> Option<Server> {
        let said = self.folder.join(format!("{key}.err"));
        let process = command
            .stdout(Stdio::null())
            .stderr(fs::File::create(&said).expect("a file"))
            .spawn();
        let process = match process {
            Ok(process) => process,
            Err(e) => {
                eprintln!("{name} is left out: {e}");
                return None;
            }
        };
        let mut server = Server {
            name: name.to_owned(),
            is_peer: peer.is_some(),
            address,
            process,
        };
        if server.listens() {
            return Some(server);
        }
        let said = fs::read_to_string(&said).unwrap_or_default();
        eprintln!("{name} is left out: it does not start: {}", said.trim());
        None
    }
}

impl Server {
    /// Waits until the server accepts connections. Returns `false` if it ends before, or after 60 seconds.
    fn listens(&mut self) -> bool {
        // A server under callgrind on a busy machine takes 30 seconds.
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(self.address).is_err() {
            if Instant::now() > deadline || !matches!(self.process.try_wait(), Ok(None)) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }
}

/// Returns the path of a program. Debian's servers are in `/usr/sbin`, which is not in every user's `PATH`.
pub(crate) fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

/// Returns a program's version: the first word of its output that is digits with a dot between them.
fn version(program: &Path, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    let text = output.map_or_else(
        |_| String::new(),
        |output| {
            let both = [output.stdout, output.stderr].concat();
            String::from_utf8_lossy(&both).into_owned()
        },
    );
    let words = text.split(|c: char| !c.is_ascii_digit() && c != '.');
    words
        .map(|word| word.trim_matches('.'))
        .find(|word| word.contains('.'))
        .unwrap_or("?")
        .to_owned()
}

fn free_port(host: IpAddr) -> SocketAddr {
    let listener = TcpListener::bind((host, 0));
    listener.and_then(|l| l.local_addr()).expect("a free port")
}
