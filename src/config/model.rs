//! What a valid configuration file says, complete with defaults.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use crate::{
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

/// An address that connections arrive at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Cleartext TCP: HTTP/2 by prior knowledge, HTTP/1.x.
    pub address: SocketAddr,
}

/// Settings of the process.
///
/// # Defaults
///
/// One thread a processor; 30 s to finish what is in flight after SIGTERM; no pid file;
/// 128 unused connections to origin servers a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Worker threads; 0 is one a processor.
    pub threads: usize,
    /// After SIGTERM, how long requests in flight may take.
    pub graceful_timeout: Duration,
    /// Where to write the process id.
    pub pid_file: Option<PathBuf>,
    /// What one connection may use.
    pub limits: Limits,
    /// How names of origin servers are resolved.
    pub resolver: ResolverPolicy,
    /// Unused connections to origin servers that are kept, for each thread.
    pub idle_origin_connections: usize,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            threads: 0,
            graceful_timeout: Duration::from_secs(30),
            pid_file: None,
            limits: Limits::default(),
            resolver: ResolverPolicy::default(),
            idle_origin_connections: 128,
        }
    }
}

/// What one client connection may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests in flight on one HTTP/2 connection (SETTINGS_MAX_CONCURRENT_STREAMS), 1 to 1000.
    pub max_streams: u32,
    /// Bytes of a request's header list (SETTINGS_MAX_HEADER_LIST_SIZE), 1 KiB to 1 MiB.
    pub max_header_bytes: u32,
    /// Malformed requests after which an HTTP/2 connection is closed, 1 to 1000.
    pub max_malformed: u32,
    /// URLs that the diary of a connection remembers, 16 to 65536.
    pub diary_entries: usize,
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
            max_malformed: 32,
            diary_entries: 1024,
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            read_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
        }
    }
}
