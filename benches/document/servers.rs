//! Who is compared: linkpush and the other proxies that are installed, one worker each, with push
//! switched on where they have it. All speak HTTP/2 in cleartext, by prior knowledge.

use std::{
    fs,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::origin::Early;

/// A running proxy.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: String,
    /// Whether it is one of those that linkpush is compared with.
    pub(crate) is_peer: bool,
    pub(crate) address: SocketAddr,
    process: Child,
}

impl Server {
    /// CPU that it has used, workers included.
    pub(crate) fn cpu(&self) -> Duration {
        cpu(self.process.id())
    }
}

fn cpu(process: u32) -> Duration {
    let read = |file: String| fs::read_to_string(file).unwrap_or_default();
    let stat = read(format!("/proc/{process}/stat"));
    // User and system time in ticks of 10 ms, behind the name, which may have spaces.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|n| n.parse::<u64>().ok()).unwrap_or_default();
    let own = Duration::from_millis(10 * (ticks(11) + ticks(12)));
    let children = read(format!("/proc/{process}/task/{process}/children"));
    children
        .split_whitespace()
        .filter_map(|child| child.parse().ok())
        .map(cpu)
        .sum::<Duration>()
        + own
}

impl Drop for Server {
    /// Asks first: a killed parent would leave its workers behind.
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let deadline = Instant::now() + Duration::from_secs(5);
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

/// One other proxy: its program, how it tells its version, its configuration and arguments.
struct Peer {
    name: &'static str,
    program: &'static str,
    version: &'static str,
    /// What it makes of a `103`.
    early: Early,
    /// `LISTEN`, `HOST`, `PORT`, `ORIGIN`, `ORIGIN_PORT` and `FOLDER` are filled in.
    config: &'static str,
    /// `CONFIG` is the file's path.
    args: &'static [&'static str],
}

const PEERS: [Peer; 4] = [
    Peer {
        name: "nginx",
        program: "nginx",
        version: "-v",
        early: Early::Nothing,
        config: "daemon off; worker_processes 1; pid FOLDER/nginx.pid; error_log FOLDER/nginx.log;
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path FOLDER/nginx-body; proxy_temp_path FOLDER/nginx-proxy; fastcgi_temp_path FOLDER/nginx-fastcgi;
  uwsgi_temp_path FOLDER/nginx-uwsgi; scgi_temp_path FOLDER/nginx-scgi;
  proxy_max_temp_file_size 0;
  upstream origin { server ORIGIN; keepalive 16; }
  server {
    listen LISTEN http2;
    location / {
      proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host;
      http2_push_preload on;
    }
  }
}
",
        args: &["-c", "CONFIG"],
    },
    Peer {
        name: "nghttpx",
        program: "nghttpx",
        version: "--version",
        early: Early::Hints,
        config: "frontend=HOST,PORT;no-tls
backend=127.0.0.1,ORIGIN_PORT
workers=1
errorlog-file=FOLDER/nghttpx.log
accesslog-file=/dev/null
",
        args: &["--conf=CONFIG"],
    },
    Peer {
        name: "h2o",
        program: "h2o",
        version: "--version",
        early: Early::Hints,
        config: "listen: { host: HOST, port: PORT }
num-threads: 1
error-log: FOLDER/h2o.log
http2-push-preload: ON
hosts:
  default:
    paths:
      \"/\":
        proxy.reverse.url: \"http://ORIGIN/\"
        proxy.preserve-host: ON
",
        args: &["-c", "CONFIG"],
    },
    Peer {
        name: "Apache",
        program: "apache2",
        version: "-v",
        early: Early::Hints,
        config: "ServerRoot FOLDER
ServerName localhost
DefaultRuntimeDir FOLDER
PidFile FOLDER/apache.pid
ErrorLog FOLDER/apache.log
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
LoadModule http2_module /usr/lib/apache2/modules/mod_http2.so
<IfModule unixd_module>
  User www-data
  Group www-data
</IfModule>
Listen LISTEN
Protocols h2c http/1.1
H2Push on
H2EarlyHints on
ProxyPreserveHost on
ProxyPass / http://ORIGIN/
",
        args: &["-f", "CONFIG", "-DFOREGROUND"],
    },
];

/// Starts linkpush and each peer that is installed on this address. Says which are not.
pub(crate) fn start_all(folder: &Path, host: IpAddr, origin: impl Fn(Early) -> SocketAddr) -> Vec<Server> {
    let mut servers = vec![linkpush(folder, host, origin(Early::Nothing))];
    for peer in &PEERS {
        match program(peer.program) {
            Some(program) => servers.extend(start(folder, peer, &program, host, origin(peer.early))),
            None => eprintln!("{} is left out: {} is not installed", peer.name, peer.program),
        }
    }
    servers
}

/// Where a program is; Debian's servers are not in every user's `PATH`.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

fn start(folder: &Path, peer: &Peer, program: &Path, host: IpAddr, origin: SocketAddr) -> Option<Server> {
    let address = free_port(host);
    let config = folder.join(peer.program);
    let fill = |text: &str| {
        text.replace("LISTEN", &address.to_string())
            .replace("HOST", &host.to_string())
            .replace("ORIGIN_PORT", &origin.port().to_string())
            .replace("ORIGIN", &origin.to_string())
            .replace("PORT", &address.port().to_string())
            .replace("FOLDER", &folder.to_string_lossy())
            .replace("CONFIG", &config.to_string_lossy())
    };
    fs::write(&config, fill(peer.config)).expect("a configuration file");
    let errors = folder.join(format!("{}.err", peer.program));
    let process = Command::new(program)
        .args(peer.args.iter().map(|arg| fill(arg)))
        .stdout(Stdio::null())
        .stderr(fs::File::create(&errors).expect("a file"))
        .spawn();
    let name = format!("{} {}", peer.name, version(program, peer.version));
    let left_out = |e: &dyn std::fmt::Display| eprintln!("{name} is left out: {e}");
    let process = process.map_err(|e| left_out(&e)).ok()?;
    let server = Server {
        name: name.clone(),
        is_peer: true,
        address,
        process,
    };
    if listens(address) {
        return Some(server);
    }
    let said = fs::read_to_string(errors).unwrap_or_default();
    left_out(&format!("it does not start: {}", said.trim()));
    None
}

/// The first word with a dot between digits in what a program says of itself.
fn version(program: &Path, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    let text = output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
    );
    let words = text.split(|c: char| !c.is_ascii_digit() && c != '.');
    words
        .map(|word| word.trim_matches('.'))
        .find(|word| word.contains('.'))
        .unwrap_or("?")
        .to_owned()
}

fn linkpush(folder: &Path, host: IpAddr, origin: SocketAddr) -> Server {
    let address = free_port(host);
    let config = folder.join("linkpush.yaml");
    let text = format!(
        "server: {{ threads: 1 }}\nlisteners: [{{ address: '{address}' }}]\nupstreams: {{ app: {{ servers: ['{origin}'] }} }}\n\
         routes: [{{ name: all, upstream: app, push: auto, learn: on }}]\n"
    );
    fs::write(&config, text).expect("a configuration file");
    let process = Command::new(env!("CARGO_BIN_EXE_linkpush"))
        .args(["run", "--config"])
        .arg(&config)
        .env("RUST_LOG", "warn")
        .spawn()
        .expect("linkpush starts");
    let server = Server {
        name: "linkpush".to_owned(),
        is_peer: false,
        address,
        process,
    };
    assert!(listens(address), "linkpush does not listen");
    server
}

fn free_port(host: IpAddr) -> SocketAddr {
    let listener = TcpListener::bind((host, 0));
    listener.and_then(|l| l.local_addr()).expect("a free port")
}

fn listens(address: SocketAddr) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(address).is_err() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}
