//! The servers that are compared, each with the configuration that one would give it to stand before an application, once
//! for each lane: a lane has a front that clients connect to, and an origin of its own, and takes one case at a time.

use std::{fmt::Write as _, fs, net::SocketAddr, path::Path};

use super::recorder::Recorder;
use crate::support::{
    edge::{Edge, config},
    program::{Program, free_address},
};

/// One of the servers.
pub struct Server {
    pub lanes: Vec<Lane>,
    /// What runs as long as it does.
    _running: Running,
}

/// A front, and the origin behind it.
pub struct Lane {
    pub front: SocketAddr,
    pub origin: Recorder,
}

enum Running {
    Edges {
        _edges: Vec<Edge>,
    },
    Program {
        _program: Program,
        _folder: tempfile::TempDir,
    },
}

/// How many lanes each server has.
const LANES: usize = 8;

/// Linkpush, which takes a process for each lane.
pub async fn linkpush() -> Server {
    let routes = "server: { threads: 1 }\nroutes: [{ name: all, upstream: app }]\n";
    let (mut lanes, mut edges) = (Vec::new(), Vec::new());
    for _ in 0..LANES {
        let origin = Recorder::start().await;
        let edge = Edge::with(&config(origin.address, routes)).await;
        lanes.push(Lane {
            front: edge.address,
            origin,
        });
        edges.push(edge);
    }
    Server {
        lanes,
        _running: Running::Edges { _edges: edges },
    }
}

/// nginx, with HTTP/1.1 to its origins.
pub async fn nginx() -> Server {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let lanes = lanes().await;
    let path = text(folder.path());
    let mut config = format!(
        "daemon off;\nworker_processes 1;\npid {path}/pid;\nerror_log {path}/error;\nevents {{}}\nhttp {{\naccess_log off;\n"
    );
    for name in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(config, "{name}_temp_path {path}/{name};").expect("a string");
    }
    for Lane { front, origin } in &lanes {
        let origin = origin.address;
        writeln!(
            config,
            "server {{ listen {front}; location / {{ proxy_pass http://{origin}; proxy_http_version 1.1; \
             proxy_set_header Host $host; proxy_set_header Connection ''; }} }}"
        )
        .expect("a string");
    }
    config.push_str("}\n");
    let file = folder.path().join("nginx.conf");
    fs::write(&file, config).expect("a writable folder");
    let log = format!("{path}/error");
    let program = Program::start("nginx", &["-e", &log, "-c", text(&file)], lanes[0].front).await;
    Server {
        lanes,
        _running: Running::Program {
            _program: program,
            _folder: folder,
        },
    }
}

/// HAProxy in HTTP mode.
pub async fn haproxy() -> Server {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let lanes = lanes().await;
    let mut config =
        "defaults\n  mode http\n  timeout connect 20s\n  timeout client 20s\n  timeout server 20s\n".to_owned();
    for (n, Lane { front, origin }) in lanes.iter().enumerate() {
        let origin = origin.address;
        writeln!(config, "listen lane{n}\n  bind {front}\n  server origin {origin}").expect("a string");
    }
    let file = folder.path().join("haproxy.cfg");
    fs::write(&file, config).expect("a writable folder");
    let program = Program::start("haproxy", &["-db", "-f", text(&file)], lanes[0].front).await;
    Server {
        lanes,
        _running: Running::Program {
            _program: program,
            _folder: folder,
        },
    }
}

async fn lanes() -> Vec<Lane> {
    let mut lanes = Vec::new();
    for _ in 0..LANES {
        lanes.push(Lane {
            front: free_address(),
            origin: Recorder::start().await,
        });
    }
    lanes
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}
