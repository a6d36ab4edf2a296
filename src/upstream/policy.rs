//! Holds the settings of upstreams. The configuration has validated them.

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
/// Round robin; 5 s to connect, 60 s for reads, writes and idle connections; two retries; no health checks; ejection
/// for 10 s after three failures; cleartext.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolPolicy {
    /// The name, unique.
    pub name: Box<str>,
    /// The servers, at least one.
    pub servers: Vec<ServerPolicy>,
    /// The way in which a server is chosen.
    pub balance: Balance,
    /// The key of `Balance::Hash`.
    pub hash_key: HashKey,
    /// Time limit of a connect, TLS included.
    pub connect_timeout: Duration,
    /// Time limit from sending the request to the final response header; at most `read_timeout`, which applies as well.
    pub first_byte_timeout: Option<Duration>,
    /// Time for which the origin may be silent while the response is awaited or read.
    pub read_timeout: Duration,
    /// Time limit of one write to the origin.
    pub write_timeout: Duration,
    /// Time for which an unused connection stays open.
    pub idle_timeout: Duration,
    /// Further attempts after a failed one.
    pub max_retries: u32,
    /// Health checks; none if `None`.
    pub health_check: Option<HealthCheckPolicy>,
    /// Ejection of servers at which requests fail; none if `None`.
    pub ejection: Option<EjectionPolicy>,
    /// TLS to the servers; cleartext if `None`.
    pub tls: Option<TlsPolicy>,
}

impl PoolPolicy {
    /// Makes the policy of a pool of these servers with the default settings.
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
    /// The address or name.
    pub host: Host,
    /// The port.
    pub port: u16,
    /// The share of requests in proportion to other servers, 1 to 100; each address of a name has this weight.
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

/// The address or name of a server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A fixed address.
    Address(IpAddr),
    /// A name in lower case, resolved again whenever its TTL has passed.
    Name(Box<str>),
}

/// The way in which the server of a request is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// Each server in turn, as often as its weight.
    RoundRobin,
    /// The server with the fewest requests under way for its weight.
    LeastConnections,
    /// One server for each key, while that server may get requests.
    Hash,
}

/// The part of a request by which [`Balance::Hash`] chooses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashKey {
    /// The client's IP address.
    ClientAddress,
    /// The path with its query.
    Path,
    /// The value of a request field; the client's address if the field is absent.
    Header(HeaderName),
}

/// Settings of health checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheckPolicy {
    /// The path of the GET request.
    pub path: Box<str>,
    /// The `Host` of the request; the server's name or address if `None`.
    pub host: Option<Box<str>>,
    /// Time from the end of one round of checks to the next.
    pub interval: Duration,
    /// Time limit of one check.
    pub timeout: Duration,
    /// Consecutive successful checks after which a server gets requests again.
    pub healthy_after: u32,
    /// Consecutive failed checks after which a server gets no requests.
    pub unhealthy_after: u32,
    /// Statuses of a successful check.
    pub expect: RangeInclusive<u16>,
}

impl HealthCheckPolicy {
    /// Makes the settings of checks of a path, with defaults for the rest.
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

/// Settings of the ejection of servers at which requests fail.
///
/// # Defaults
///
/// For 10 s after 3 failures in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EjectionPolicy {
    /// Consecutive failures that eject a server.
    pub failures: u32,
    /// Length of the ejection; then one request tries the server.
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
    /// The name sent as SNI, which the certificate must have; the server's own if `None`.
    pub sni: Option<Box<str>>,
    /// The authorities that may have signed the certificate; the system's if `None`.
    pub ca_bundle: Option<CaBundle>,
    /// Whether the certificate is verified.
    pub verify: Verify,
}

/// Whether a server's certificate is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// The certificate must be valid for the name.
    On,
    /// Any certificate is accepted: an attacker on the network can read and change everything.
    Off,
}

/// Settings of the resolver of names.
///
/// # Defaults
///
/// The system's name servers; 2 s for one query; TTLs of 1 s to 5 minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolverPolicy {
    /// The name servers; the ones in `/etc/resolv.conf` if empty.
    pub servers: Vec<SocketAddr>,
    /// Time limit of one query to a name server; each server gets two queries.
    pub timeout: Duration,
    /// Time for which addresses are used at least.
    pub min_ttl: Duration,
    /// Time for which addresses are used at most.
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
