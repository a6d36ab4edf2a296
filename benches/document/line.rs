//! Opens the slow line: three network namespaces, with a router between server and client.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::{Command, Stdio},
};

use super::{client::Loaded, support::client::Taking};

/// The server's address on the line.
pub(crate) const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1));

const SERVER_SIDE: &str = "linkpush-server";
const ROUTER: &str = "linkpush-router";
const CLIENT_SIDE: &str = "linkpush-client";

/// The `ip` and `tc` commands that make the line.
const COMMANDS: [&str; 20] = [
    "ip netns add linkpush-server",
    "ip netns add linkpush-router",
    "ip netns add linkpush-client",
    "ip link add lps0 netns linkpush-server type veth peer name lpr0 netns linkpush-router",
    "ip link add lpr1 netns linkpush-router type veth peer name lpc0 netns linkpush-client",
    "ip -n linkpush-server addr add 10.77.0.1/24 dev lps0",
    "ip -n linkpush-router addr add 10.77.0.2/24 dev lpr0",
    "ip -n linkpush-router addr add 10.77.1.1/24 dev lpr1",
    "ip -n linkpush-client addr add 10.77.1.2/24 dev lpc0",
    "ip -n linkpush-server link set lo up",
    "ip -n linkpush-client link set lo up",
    "ip -n linkpush-server link set lps0 up",
    "ip -n linkpush-router link set lpr0 up",
    "ip -n linkpush-router link set lpr1 up",
    "ip -n linkpush-client link set lpc0 up",
    "ip -n linkpush-server route add default via 10.77.0.2",
    "ip -n linkpush-client route add default via 10.77.1.1",
    "ip netns exec linkpush-router sysctl -qw net.ipv4.ip_forward=1",
    "tc -n linkpush-router qdisc add dev lpr1 root tbf rate 10mbit burst 8kb latency 100ms",
    "tc -n linkpush-client qdisc add dev lpc0 root tbf rate 10mbit burst 8kb latency 100ms",
];

/// An open line; closed when dropped.
#[derive(Debug)]
pub(crate) struct Line(());

impl Line {
    /// Opens the line.
    ///
    /// # Errors
    ///
    /// A command failed, or its program is missing.
    pub(crate) fn open() -> Result<Self, String> {
        close();
        let line = Self(());
        for command in COMMANDS {
            run(command)?;
        }
        Ok(line)
    }

    /// Runs this program on the server's side, and returns its output.
    pub(crate) fn run(&self, congestion: &str, rounds: usize) -> String {
        let route = format!("ip -n {SERVER_SIDE} route replace default via 10.77.0.2 congctl {congestion}");
        if let Err(e) = run(&route) {
            eprintln!("{congestion} is left out: {e}");
            return String::new();
        }
        let output = here(SERVER_SIDE)
            .args(["--line", congestion, "--rounds", &rounds.to_string()])
            .stderr(Stdio::inherit())
            .output()
            .expect("this program starts");
        assert!(output.status.success(), "the measurement on the line failed");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        close();
    }
}

fn close() {
    for namespace in [SERVER_SIDE, ROUTER, CLIENT_SIDE] {
        // Fails where there is no such namespace, which is as well.
        let _ = Command::new("ip")
            .args(["netns", "delete", namespace])
            .stderr(Stdio::null())
            .status();
    }
}

fn run(command: &str) -> Result<(), String> {
    let mut words = command.split(' ');
    let program = words.next().unwrap_or_default();
    let output = Command::new(program)
        .args(words)
        .output()
        .map_err(|e| format!("{program}: {e} (Debian: iproute2)"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("`{command}` says: {} (it takes root)", said.trim()))
}

/// Returns the command that runs this program in a namespace.
fn here(namespace: &str) -> Command {
    let mut command = Command::new("ip");
    command
        .args(["netns", "exec", namespace])
        .arg(std::env::current_exe().expect("a program"));
    command
}

/// Returns the congestion controls to measure with: this machine's, and the most common one.
pub(crate) fn congestion_controls() -> Vec<String> {
    let read = |name: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap_or_default();
        text.trim().to_owned()
    };
    let mut controls = vec![read("tcp_congestion_control")];
    let available = read("tcp_available_congestion_control");
    if controls[0] != "cubic" && available.split(' ').any(|control| control == "cubic") {
        controls.push("cubic".to_owned());
    }
    controls
}

/// Loads a path from the client's side.
pub(crate) async fn load(address: SocketAddr, path: &str, taking: Taking) -> Result<Loaded, String> {
    let mut command = here(CLIENT_SIDE);
    command.args(["--client", &address.to_string(), "--path", path]);
    if taking == Taking::Pushes {
        command.arg("--push");
    }
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.expect("no panic").expect("this program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    Loaded::from_json(text.trim()).ok_or_else(|| String::from_utf8_lossy(&output.stderr).trim().to_owned())
}
