//! What a valid configuration file says, complete with defaults.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{
    cache::StoreLimits as CacheLimits,
    certificate::Certificate,
    learn::ManifestLimits,
    peer::{ProxyProtocol, Scheme, Trusted},
    route::Route,
    upstream::{PoolPolicy, ResolverPolicy},
};

/// A whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The process: threads, timeouts, limits.
    pub server: Server,
    /// Where connections arrive, at least one.
    pub listeners: Vec<Listener>,
    /// Pools of origin servers, at least one; routes name them by index.
    pub upstreams: Vec<PoolPolicy>,
    /// Routes in the order of the file, at least one; the first match wins.
    pub routes: Vec<Route>,
}

impl Config {
    /// What an operator should know of a configuration that can be used, a line each: certificates
    /// that clients will refuse at this time.
    #[must_use]
    pub fn warnings(&self, now: SystemTime) -> Vec<String> {
        let mut warnings = Vec::new();
        for (index, listener) in self.listeners.iter().enumerate() {
            for (number, certificate) in listener.certificates.iter().enumerate() {
                if let Some(doubt) = certificate.doubt(now) {
                    let names = certificate.names().join(", ");
                    let place = format!("listeners[{index}].tls.certificates[{number}]");
                    warnings.push(format!("{place} ({names}): {doubt}"));
                }
            }
        }
        warnings
    }
}

/// An address that connections arrive at: HTTP/2 and HTTP/1.x.
///
/// # Defaults
///
/// Cleartext, without a PROXY header; nobody is trusted; the scheme is what connections tell; upgrades to HTTP/2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether connections begin with a PROXY header; then somebody is trusted.
    pub proxy_protocol: ProxyProtocol,
    /// Who may speak for others.
    pub trusted: Trusted,
    /// What clients speak; `None` is what the connection tells.
    pub scheme: Option<Scheme>,
    /// HTTP/1.1 clients may change to HTTP/2 by `Upgrade: h2c`.
    pub h2c_upgrade: bool,
    /// TLS is ended here with these; the first is the default. None: no TLS here.
    pub certificates: Vec<Arc<Certificate>>,
}

impl Listener {
    /// A listener with the defaults.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            proxy_protocol: ProxyProtocol::Off,
            trusted: Trusted::default(),
            scheme: None,
            h2c_upgrade: true,
            certificates: Vec::new(),
        }
    }
}

/// Settings of the process.
///
/// # Defaults
///
/// One thread a processor; 30 s to finish what is in flight after SIGTERM; no pid file;
/// 128 unused connections to origin servers a thread; 128 MiB of kept answers, 4 MiB each; no admin entrance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Worker threads; 0 is one a processor.
    pub threads: usize,
    /// After SIGTERM, how long requests in flight may take.
    pub graceful_timeout: Duration,
    /// Where to write the process id.
    pub pid_file: Option<PathBuf>,
    /// What was learned of documents.
    pub manifests: Manifests,
    /// How much the answers that are kept may take.
    pub cache: CacheLimits,
    /// Where commands reach the running server.
    pub admin: Option<Admin>,
    /// What one client may use.
    pub limits: Limits,
    /// How names of origin servers are resolved.
    pub resolver: ResolverPolicy,
    /// Unused connections to origin servers that are kept, for each thread.
    pub idle_origin_connections: usize,
}

/// Where a server takes commands: on this machine only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admin {
    /// At a loopback address: whoever is on this machine may.
    Address(SocketAddr),
    /// At a socket, which its owner may use.
    Socket(PathBuf),
}

/// Where manifests are kept.
///
/// # Defaults
///
/// 10,000 documents, 32 MiB, no file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifests {
    /// How much is kept.
    pub limits: ManifestLimits,
    /// Where it is kept over restarts.
    pub file: Option<PathBuf>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            threads: 0,
            graceful_timeout: Duration::from_secs(30),
            pid_file: None,
            manifests: Manifests::default(),
            cache: CacheLimits::default(),
            admin: None,
            limits: Limits::default(),
            resolver: ResolverPolicy::default(),
            idle_origin_connections: 128,
        }
    }
}

/// What one client may use, most of it on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests in flight on one HTTP/2 connection (SETTINGS_MAX_CONCURRENT_STREAMS), 1 to 1000.
    pub max_streams: u32,
    /// Bytes of a request's header list (SETTINGS_MAX_HEADER_LIST_SIZE), 1 KiB to 1 MiB.
    pub max_header_bytes: u32,
    /// Fields of a request, 16 to 256; the crumbs of a cookie are one.
    pub max_header_fields: usize,
    /// Malformed requests after which an HTTP/2 connection is closed, 1 to 1000.
    pub max_malformed: u32,
    /// URLs that the diary of a connection remembers, 16 to 65536.
    pub diary_entries: usize,
    /// Open connections of one client address, up to 1000000; 0 is no limit.
    pub max_connections_per_client: usize,
    /// How long a new connection may take to show its protocol and first bytes.
    pub handshake_timeout: Duration,
    /// How long a connection may stay without a request.
    pub idle_timeout: Duration,
    /// How long a client may take to send the next bytes of a request.
    pub read_timeout: Duration,
    /// How long a client may take to accept the next bytes of a response.
    pub write_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_streams: 128,
            max_header_bytes: 64 * 1024,
            max_header_fields: 100,
            max_malformed: 32,
            diary_entries: 1024,
            max_connections_per_client: 0,
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            read_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
        }
    }
}
