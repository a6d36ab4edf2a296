//! Reads the `server` section: threads, timeouts, limits, and what all routes share.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::{
    cache,
    decode::{At, file, integer, parse, size, time, word},
    findings::{Findings, Reported},
    learn::{self, ManifestsPolicy},
    log,
    settings::{read_settings, settings},
    upstream, value,
};
use crate::{
    cache::StoreLimits,
    telemetry::{log::LogPolicy, spans::TracesPolicy},
    trace::RequestIdPolicy,
    upstream::ResolverPolicy,
};

settings! {
    /// Settings of the process.
    #[derive(Debug, Clone, PartialEq)]
    pub struct ProcessPolicy {
        /// Worker threads; 0 is one for each processor.
        threads: usize = 0, integer(0..=1024);
        /// Time that requests in flight may take after SIGTERM.
        graceful_timeout: Duration = Duration::from_secs(30), time;
        /// The file for the process id.
        pid_file: Option<PathBuf> = None, file;
        /// The store of manifests.
        manifests: ManifestsPolicy = ManifestsPolicy::default(), learn::manifests;
        /// Limits of the store of responses.
        cache: StoreLimits = StoreLimits::default(), cache::limits;
        /// The address on which the running server takes commands; `None` for no commands.
        admin: Option<AdminEndpoint> = None, admin;
        /// The address on which metrics and health are told; `None` for none.
        metrics: Option<SocketAddr> = None, metrics;
        /// The log.
        log: LogPolicy = LogPolicy::default(), log::policy;
        /// The ids of requests.
        request_id: RequestIdPolicy = RequestIdPolicy::Off, word(REQUEST_ID);
        /// Traces for a collector; `None` for none.
        traces: Option<TracesPolicy> = None, log::traces;
        /// Limits of one client.
        limits: ClientLimits = ClientLimits::default(), ClientLimits::read;
        /// Resolution of the names of origin servers.
        resolver: ResolverPolicy = ResolverPolicy::default(), upstream::resolver;
        /// Largest number of open connections of all clients; 0 is three quarters of the files that the process may open.
        max_connections: usize = 0, integer(0..=10_000_000);
        /// Largest number of idle connections to origin servers per thread.
        idle_origin_connections: usize = 128, integer(1..=65536);
    }
}

settings! {
    /// Limits of one client, most of them per connection.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct ClientLimits {
        /// Requests in flight on one HTTP/2 connection (SETTINGS_MAX_CONCURRENT_STREAMS).
        max_streams: u32 = 128, integer(1..=1000);
        /// Size of a request's header list in bytes (SETTINGS_MAX_HEADER_LIST_SIZE).
        max_header_bytes: u32 = 64 * 1024, size("1KiB to 1MiB with its unit (B, KiB, MiB)", |text| {
            value::size(text).filter(|bytes| (1024..=1024 * 1024).contains(bytes))
        });
        /// Fields of a request, not counting `cookie` fields, which are joined (RFC 9113 section 8.2.3).
        max_header_fields: usize = 100, integer(16..=256);
        /// Malformed requests and other stream errors after which an HTTP/2 connection is closed.
        max_malformed: u32 = 32, integer(1..=1000);
        /// URLs in the diary of a connection.
        diary_entries: usize = 1024, integer(16..=65536);
        /// Open connections of one client address; 0 is no limit.
        max_connections_per_client: usize = 0, integer(0..=1_000_000);
        /// Time that a new connection may take until its protocol is known.
        handshake_timeout: Duration = Duration::from_secs(10), time;
        /// Time that a connection may stay open without a request.
        idle_timeout: Duration = Duration::from_secs(60), time;
        /// Time that a client may take to send the next bytes of a request.
        read_timeout: Duration = Duration::from_secs(60), time;
        /// Time that a client may take to accept the next bytes of a response.
        write_timeout: Duration = Duration::from_secs(60), time;
    }
}

const REQUEST_ID: &[(&str, RequestIdPolicy)] = &[
    ("off", RequestIdPolicy::Off),
    ("on", RequestIdPolicy::On),
    ("respond", RequestIdPolicy::Respond),
];

/// The address on which a server takes commands, from this machine only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminEndpoint {
    /// A loopback address: every user of this machine may give commands.
    Address(SocketAddr),
    /// A socket: its owner may give commands.
    Socket(PathBuf),
}

fn admin(at: &At<'_>, found: &mut Findings<'_>) -> Result<Option<AdminEndpoint>, Reported> {
    const ALLOWED: &str =
        "off, a loopback address with a port (127.0.0.1:9901), or the path of a socket (/run/linkpush/admin.sock)";
    parse(ALLOWED, |text| {
        if text == "off" {
            return Some(None);
        }
        if text.starts_with('/') && text.len() <= MOST_SOCKET_PATH && !text.contains('\0') {
            return Some(Some(AdminEndpoint::Socket(text.into())));
        }
        let address: SocketAddr = text.parse().ok()?;
        let is_loopback = address.ip().to_canonical().is_loopback() && address.port() != 0;
        is_loopback.then_some(Some(AdminEndpoint::Address(address)))
    })(at, found)
}

fn metrics(at: &At<'_>, found: &mut Findings<'_>) -> Result<Option<SocketAddr>, Reported> {
    parse("off, or an address with a port (0.0.0.0:9902)", |text| match text {
        "off" => Some(None),
        address => address.parse().ok().map(Some),
    })(at, found)
}

/// Largest length of a Unix socket's path in bytes (`sun_path`, without the terminating NUL).
const MOST_SOCKET_PATH: usize = 107;
