//! The settings of upstreams, as the configuration gives them. Past here nothing of them is wrong.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    time::Duration,
};

use http::HeaderName;

use super::CaBundle;

/// The settings of one upstream.
///
/// # Defaults
///
/// Servers in turn; 5 s to connect, 60 s for everything else; two retries; no health checks;
/// ejection for 10 s after three failures; cleartext.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolPolicy {
    /// Its name, unique.
    pub name: Box<str>,
    /// Its servers, at least one.
    pub servers: Vec<ServerPolicy>,
    /// Which server a request goes to.
    pub balance: Balance,
    /// What `Balance::Hash` looks at.
    pub hash_key: HashKey,
    /// How long a connect may take, TLS included.
    pub connect_timeout: Duration,
    /// How long the final response header may take from when the request is sent; at most
    /// `read_timeout`, which holds as well.
    pub first_byte_timeout: Option<Duration>,
    /// How long the origin may be silent while an answer is awaited or read.
    pub read_timeout: Duration,
    /// How long a write to the origin may block.
    pub write_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// Further attempts after a failed one.
    pub max_retries: u32,
    /// Whether and how servers are asked if they can serve.
    pub health_check: Option<HealthCheckPolicy>,
    /// When a server that fails requests is left alone for a while.
    pub ejection: Option<EjectionPolicy>,
    /// TLS to the servers.
    pub tls: Option<TlsPolicy>,
}

impl PoolPolicy {
    /// A pool of these servers with the default settings.
    #[must_use]
    pub fn new(name: &str, servers: Vec<ServerPolicy>) -> Self {
        Self {
            name: name.into(),
            servers,
            balance: Balance::RoundRobin,
            hash_key: HashKey::ClientAddress,
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: None,
            read_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(60),
            max_retries: 2,
            health_check: None,
            ejection: Some(EjectionPolicy::default()),
            tls: None,
        }
    }
}

/// One entry of the list of servers; a name may stand for several addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerPolicy {
    /// Where it is.
    pub host: Host,
    /// Its port.
    pub port: u16,
    /// Its share of requests against that of others, 1 to 100; each address of a name has it.
    pub weight: u32,
}

impl From<SocketAddr> for ServerPolicy {
    fn from(address: SocketAddr) -> Self {
        Self {
            host: Host::Address(address.ip()),
            port: address.port(),
            weight: 1,
        }
    }
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// An address, which stays.
    Address(IpAddr),
    /// A name in lower case, which is resolved again and again.
    Name(Box<str>),
}

/// Which server a request goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// Each in turn, as often as its weight says.
    RoundRobin,
    /// The one with the fewest requests under way for its weight.
    LeastConnections,
    /// The same one for the same key, as long as it is there.
    Hash,
}

/// What of a request decides its server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashKey {
    /// The client's IP address.
    ClientAddress,
    /// The path with its query.
    Path,
    /// The value of a request header; the client's address where it is absent.
    Header(HeaderName),
}

/// How servers are asked if they can serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheckPolicy {
    /// What is asked for, with GET.
    pub path: Box<str>,
    /// The `Host` of the request; the server's name or address if none.
    pub host: Option<Box<str>>,
    /// From one check of a server to the next.
    pub interval: Duration,
    /// How long one check may take.
    pub timeout: Duration,
    /// Good answers in a row after which a server is used again.
    pub healthy_after: u32,
    /// Failures in a row after which a server is not used.
    pub unhealthy_after: u32,
    /// Statuses that are good answers.
    pub expect: RangeInclusive<u16>,
}

impl HealthCheckPolicy {
    /// Checks of a path, the rest as by default.
    #[must_use]
    pub fn new(path: &str) -> Self {
        Self {
            path: path.into(),
            host: None,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            healthy_after: 2,
            unhealthy_after: 3,
            expect: 200..=299,
        }
    }
}

/// When a server that fails requests is left alone.
///
/// # Defaults
///
/// For 10 s after 3 failures in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EjectionPolicy {
    /// Failures in a row.
    pub failures: u32,
    /// For how long; then one request tries it.
    pub period: Duration,
}

impl Default for EjectionPolicy {
    fn default() -> Self {
        Self {
            failures: 3,
            period: Duration::from_secs(10),
        }
    }
}

/// TLS to the servers of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsPolicy {
    /// The name that is asked for and that the certificate must have; the server's own if none.
    pub sni: Option<Box<str>>,
    /// Who may have signed the certificate; the system's authorities if none.
    pub ca_bundle: Option<CaBundle>,
    /// Whether the certificate is looked at.
    pub verify: Verify,
}

/// Whether a server's certificate is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// It must be valid for the name.
    On,
    /// Any is taken: whoever is on the way can read and change everything.
    Off,
}

/// How names are resolved.
///
/// # Defaults
///
/// The system's resolvers; 2 s for an answer; TTLs of 1 s to 5 minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolverPolicy {
    /// Name servers; those of `/etc/resolv.conf` if empty.
    pub servers: Vec<SocketAddr>,
    /// How long one question to a name server may take; each is asked twice.
    pub timeout: Duration,
    /// An answer is used at least this long.
    pub min_ttl: Duration,
    /// An answer is used at most this long.
    pub max_ttl: Duration,
}

impl Default for ResolverPolicy {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout: Duration::from_secs(2),
            min_ttl: Duration::from_secs(1),
            max_ttl: Duration::from_secs(5 * 60),
        }
    }
}
