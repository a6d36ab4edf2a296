//! Resolves names to addresses and their TTL: by `/etc/hosts`, then name servers.
//!
//! The system's own resolver is not used, as it does not tell the TTL. `/etc/hosts` and `/etc/resolv.conf` are read
//! when the first name is resolved.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use hickory_resolver::{
    TokioResolver,
    config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::RecordType,
};

use once_cell::sync::OnceCell;

use crate::upstream::ResolverPolicy;

/// A resolver of names. Clones share the system's configuration that was read.
#[derive(Clone)]
pub struct Resolver(Arc<Shared>);

struct Shared {
    policy: ResolverPolicy,
    /// Made by the first lookup; after a failure the next lookup tries again.
    resolver: OnceCell<TokioResolver>,
}

/// Why a name has no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The system's configuration cannot be used.
    #[error("no resolver: {0}")]
    NoResolver(String),
    /// The name does not exist, or the name servers failed.
    #[error("{0}")]
    Lookup(String),
}

/// The addresses of a name in one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::upstream) struct Resolved {
    pub(in crate::upstream) addresses: Vec<IpAddr>,
    /// The TTL, within the policy's limits.
    pub(in crate::upstream) valid_for: Duration,
}

/// The family of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum Family {
    V4,
    V6,
}

impl Resolver {
    /// Makes a resolver, which reads no file and asks no server yet.
    #[must_use]
    pub fn new(policy: ResolverPolicy) -> Self {
        Self(Arc::new(Shared {
            policy,
            resolver: OnceCell::new(),
        }))
    }

    pub(in crate::upstream) fn policy(&self) -> &ResolverPolicy {
        &self.0.policy
    }

    /// Looks up the addresses of a name in one family; none if the name exists without such an address.
    pub(in crate::upstream) async fn resolve(&self, name: &str, family: Family) -> Result<Resolved, ResolveError> {
        let resolver = self.0.resolver.get_or_try_init(|| build(&self.0.policy))?;
        let kind = match family {
            Family::V4 => RecordType::A,
            Family::V6 => RecordType::AAAA,
        };
        match resolver.lookup(name, kind).await {
            Ok(lookup) => Ok(Resolved {
                addresses: lookup
                    .answers()
                    .iter()
                    .filter_map(|record| record.data.ip_addr())
                    .collect(),
                valid_for: self.clamp(lookup.valid_until().saturating_duration_since(Instant::now())),
            }),
            Err(e) if e.is_no_records_found() && !e.is_nx_domain() => Ok(Resolved {
                addresses: Vec::new(),
                valid_for: self.0.policy.max_ttl,
            }),
            Err(e) => Err(ResolveError::Lookup(e.to_string())),
        }
    }

    fn clamp(&self, ttl: Duration) -> Duration {
        // Not Duration::clamp, which panics if min_ttl is above max_ttl.
        ttl.min(self.0.policy.max_ttl).max(self.0.policy.min_ttl)
    }
}

impl PartialEq for Resolver {
    fn eq(&self, other: &Self) -> bool {
        self.0.policy == other.0.policy
    }
}

impl Eq for Resolver {}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Resolver").field(&self.0.policy).finish()
    }
}

fn build(policy: &ResolverPolicy) -> Result<TokioResolver, ResolveError> {
    let no_resolver = |e: NetError| ResolveError::NoResolver(e.to_string());
    let mut builder = if policy.servers.is_empty() {
        TokioResolver::builder_tokio().map_err(no_resolver)?
    } else {
        let server = |address: &std::net::SocketAddr| {
            let mut server = NameServerConfig::udp_and_tcp(address.ip());
            for connection in &mut server.connections {
                connection.port = address.port();
            }
            server
        };
        let config = ResolverConfig::from_name_servers(policy.servers.iter().map(server).collect());
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let options: &mut ResolverOpts = builder.options_mut();
    options.timeout = policy.timeout;
    options.attempts = 2;
    // A cache would be of no use: lookups come only when the TTL has passed.
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Always;
    builder.build().map_err(no_resolver)
}
