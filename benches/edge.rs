//! CPU per request: through linkpush, and through plain Pingora, in one run.
//!
//! Needs `h2load`. One origin in this process, one worker thread in each proxy, the rounds
//! interleaved; prints medians of user and system time per request and their ratios. Times of one
//! machine mean little, the ratios are what to read.
//!
//! `cargo bench --bench edge [-- --requests N --rounds N]`

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a benchmark prints, and stops where a figure is missing"
)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, ExitCode, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use pingora::{
    Result,
    apps::HttpServerOptions,
    server::{RunArgs, Server, configuration::ServerConf},
    upstreams::peer::HttpPeer,
};
use pingora_proxy::{ProxyHttp, Session, http_proxy};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str| args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1));
    if let (Some(listen), Some(origin)) = (value("--plain"), value("--origin")) {
        plain_pingora(listen, origin.parse().expect("an address"));
    }
    if Command::new("h2load")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_err()
    {
        eprintln!("benchmark skipped: h2load is not installed (Debian: nghttp2-client)");
        return ExitCode::SUCCESS;
    }
    let number = |name: &str, default: usize| value(name).and_then(|n| n.parse().ok()).unwrap_or(default);
    run(number("--requests", 20_000), number("--rounds", 5));
    ExitCode::SUCCESS
}

/// Pingora's own proxy with its own HTTP/2 server, and nothing of ours.
fn plain_pingora(listen: &str, origin: SocketAddr) -> ! {
    struct Plain(SocketAddr);
    #[async_trait]
    impl ProxyHttp for Plain {
        type CTX = ();
        fn new_ctx(&self) {}
        fn init_downstream_modules(&self, _: &mut pingora::modules::http::HttpModules) {}
        async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
            Ok(Box::new(HttpPeer::new(self.0, false, String::new())))
        }
    }
    let mut server = Server::new_with_opt_and_conf(
        None,
        ServerConf {
            threads: 1,
            ..ServerConf::default()
        },
    );
    let mut proxy = http_proxy(&server.configuration, Plain(origin));
    let mut options = HttpServerOptions::default();
    options.h2c = true;
    proxy.server_options = Some(options);
    let mut service = pingora::services::listening::Service::new("plain".to_owned(), proxy);
    service.add_tcp(listen);
    server.add_service(service);
    server.run(RunArgs::default());
    std::process::exit(0)
}

struct Proxy {
    name: &'static str,
    address: SocketAddr,
    process: Child,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(requests: usize, rounds: usize) {
    let origin = origin();
    let folder = std::env::temp_dir().join(format!("linkpush-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let proxies = [
        plain(origin),
        linkpush(&folder, "linkpush, push off", "off", origin),
        linkpush(&folder, "linkpush, push on", "auto", origin),
    ];
    println!(
        "CPU per request in µs, median of {rounds} interleaved rounds of {requests} requests (h2load -c 4 -m 10)\n"
    );
    println!(
        "| {:<38} | {:<20} | {:>7} | {:>7} | {:>15} |",
        "page", "proxy", "user", "system", "ratio to plain"
    );
    println!(
        "|{}|{}|{}|{}|{}|",
        "-".repeat(40),
        "-".repeat(22),
        "-".repeat(9),
        "-".repeat(9),
        "-".repeat(17)
    );
    for (page, what) in [
        ("/1k", "1 KB, no Link"),
        ("/link", "1 KB, 3 links, a client without push"),
        ("/64k", "64 KB, no Link"),
    ] {
        let mut figures: Vec<Vec<(f64, f64)>> = vec![Vec::new(); proxies.len()];
        for proxy in &proxies {
            load(proxy, page, requests / 10);
        }
        for _ in 0..rounds {
            for (proxy, figures) in proxies.iter().zip(&mut figures) {
                figures.push(load(proxy, page, requests));
            }
        }
        let total = |figures: &[(f64, f64)]| median(figures.iter().map(|(user, system)| user + system));
        let base = total(&figures[0]);
        for (proxy, figures) in proxies.iter().zip(&figures) {
            println!(
                "| {what:<38} | {:<20} | {:>7.1} | {:>7.1} | {:>15.2} |",
                proxy.name,
                median(figures.iter().map(|f| f.0)),
                median(figures.iter().map(|f| f.1)),
                total(figures) / base
            );
        }
    }
    let _ = std::fs::remove_dir_all(&folder);
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// User and system µs per request that a proxy used.
fn load(proxy: &Proxy, page: &str, requests: usize) -> (f64, f64) {
    let before = cpu(&proxy.process);
    let output = Command::new("h2load")
        .args(["-n", &requests.to_string(), "-c", "4", "-m", "10"])
        .arg(format!("http://{}{page}", proxy.address))
        .output()
        .expect("h2load runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains(&format!("{requests} succeeded, 0 failed")),
        "{}: {text}",
        proxy.name
    );
    let after = cpu(&proxy.process);
    let per_request = |ticks: u64| ticks as f64 * 1e6 / TICKS_PER_SECOND / requests as f64;
    (per_request(after.0 - before.0), per_request(after.1 - before.1))
}

/// Linux reports process times in ticks of 1/100 s to user space, on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

fn cpu(process: &Child) -> (u64, u64) {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).expect("Linux");
    // The name in parentheses may hold spaces; user and system time are fields 14 and 15.
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    (fields[11].parse().expect("ticks"), fields[12].parse().expect("ticks"))
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("a free port")
}

fn plain(origin: SocketAddr) -> Proxy {
    let address = free_port();
    let process = Command::new(std::env::current_exe().expect("this program"))
        .args(["--plain", &address.to_string(), "--origin", &origin.to_string()])
        .spawn()
        .expect("plain Pingora starts");
    started(Proxy {
        name: "plain Pingora",
        address,
        process,
    })
}

fn linkpush(folder: &std::path::Path, name: &'static str, push: &str, origin: SocketAddr) -> Proxy {
    let address = free_port();
    let config = folder.join(format!("{push}.yaml"));
    let text = format!(
        "server: {{ threads: 1 }}\nlisteners: [{{ address: '{address}' }}]\nupstreams: {{ app: {{ servers: ['{origin}'] }} }}\n\
         routes: [{{ name: all, upstream: app, push: {push} }}]\n"
    );
    std::fs::write(&config, text).expect("a configuration file");
    let process = Command::new(env!("CARGO_BIN_EXE_linkpush"))
        .args(["run", "--config"])
        .arg(&config)
        .env("RUST_LOG", "warn")
        .spawn()
        .expect("linkpush starts");
    started(Proxy { name, address, process })
}

fn started(proxy: Proxy) -> Proxy {
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(proxy.address).is_err() {
        assert!(Instant::now() < deadline, "{} does not listen", proxy.name);
        std::thread::yield_now();
    }
    proxy
}

/// A keep-alive origin that answers from memory, a thread a connection.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let answer = |size: usize, link: &str| {
        let body = "x".repeat(size);
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n{link}content-length: {size}\r\n\r\n{body}")
            .into_bytes()
    };
    let link =
        "link: </a.css>; rel=preload; as=style, </b.js>; rel=preload; as=script, </c.woff2>; rel=preload; as=font\r\n";
    let pages = Arc::new([
        ("/1k", answer(1024, "")),
        ("/link", answer(1024, link)),
        ("/64k", answer(65_536, "")),
    ]);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let pages = Arc::clone(&pages);
            std::thread::spawn(move || {
                let _ = stream.set_nodelay(true);
                let mut writer = stream.try_clone().expect("a socket");
                let mut reader = BufReader::new(stream);
                let mut line = String::new();
                let mut path = String::new();
                while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
                    if path.is_empty() {
                        path = line.split(' ').nth(1).unwrap_or("/").to_owned();
                    } else if line == "\r\n" {
                        let page = pages
                            .iter()
                            .find(|(name, _)| *name == path)
                            .map_or(&pages[0].1, |(_, page)| page);
                        if writer.write_all(page).is_err() {
                            return;
                        }
                        path.clear();
                    }
                    line.clear();
                }
                let _ = reader.read(&mut []);
            });
        }
    });
    address
}
