//! Pools of origin servers.
//!
//! Plain HTTP/1.1 with keep-alive; a request goes to the servers of its pool in turn.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// The settings of one upstream, as the configuration gives them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolPolicy {
    /// Its name, unique.
    pub name: Box<str>,
    /// `host:port` of each server, at least one; a name is resolved when the server starts.
    pub servers: Vec<Box<str>>,
    /// How long a TCP connect may take.
    pub connect_timeout: Duration,
    /// How long the origin may be silent while an answer is awaited or read.
    pub read_timeout: Duration,
    /// How long a write to the origin may block.
    pub write_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
}

impl PoolPolicy {
    /// A pool of these servers with the default limits.
    #[must_use]
    pub fn new(name: &str, servers: Vec<Box<str>>) -> Self {
        Self {
            name: name.into(),
            servers,
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(60),
        }
    }
}

/// A pool at work: resolved servers, taken in turn.
#[derive(Debug)]
pub struct Pool {
    policy: PoolPolicy,
    servers: Vec<SocketAddr>,
    turn: AtomicUsize,
}

/// Why a pool cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// A server's name has no address.
    #[error("upstream {pool}: server {server} does not resolve: {reason}")]
    Unresolved {
        /// The pool's name.
        pool: Box<str>,
        /// The server as configured.
        server: Box<str>,
        /// What the resolver said.
        reason: String,
    },
}

impl Pool {
    /// Resolves the servers of a policy. Blocks on the system's resolver where a server is a name.
    ///
    /// # Errors
    ///
    /// [`PoolError::Unresolved`] for the first server without an address.
    pub fn resolve(policy: PoolPolicy) -> Result<Self, PoolError> {
        use std::net::ToSocketAddrs;
        let mut servers = Vec::with_capacity(policy.servers.len());
        for server in &policy.servers {
            let unresolved = |reason: String| PoolError::Unresolved {
                pool: policy.name.clone(),
                server: server.clone(),
                reason,
            };
            let address = server
                .to_socket_addrs()
                .map_err(|e| unresolved(e.to_string()))?
                .next()
                .ok_or_else(|| unresolved("no address".to_owned()))?;
            servers.push(address);
        }
        Ok(Self {
            policy,
            servers,
            turn: AtomicUsize::new(0),
        })
    }

    /// The pool's settings.
    #[must_use]
    pub fn policy(&self) -> &PoolPolicy {
        &self.policy
    }

    /// How many servers it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.servers.len()
    }

    /// Whether it has no server; never so for a pool that the configuration made.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// The next server in turn.
    #[must_use]
    pub fn next(&self) -> Option<SocketAddr> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.servers.get(turn % self.servers.len().max(1)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_taken_in_turn() {
        let pool = Pool::resolve(PoolPolicy::new("app", vec!["127.0.0.1:1".into(), "127.0.0.1:2".into()]))
            .expect("addresses resolve");
        let ports: Vec<u16> = (0..4).filter_map(|_| pool.next()).map(|a| a.port()).collect();
        assert_eq!(ports, [1, 2, 1, 2]);
    }

    #[test]
    fn a_server_without_an_address_is_named() {
        let error = Pool::resolve(PoolPolicy::new("app", vec!["no-port".into()])).expect_err("no port");
        assert!(
            error
                .to_string()
                .starts_with("upstream app: server no-port does not resolve"),
            "{error}"
        );
    }
}
