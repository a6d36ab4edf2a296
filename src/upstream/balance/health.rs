//! Checks the health of servers: one request to each, whose status tells whether the server can serve.

use std::{collections::HashMap, sync::Arc};

use http::header;
use pingora::{
    Error, ErrorType,
    http::{RequestHeader, ResponseHeader},
    lb::{
        Backend, Extensions,
        health_check::{HealthCheck as _, HttpHealthCheck},
    },
    protocols::l4::socket::SocketAddr as PingoraAddress,
};
use tokio::time::timeout;

use crate::upstream::{HealthCheckPolicy, Host, OriginServer, Pool, reason};

/// The checks of one pool.
pub(super) struct Checks {
    policy: HealthCheckPolicy,
    /// The check of each entry of the policy. Entries with equal names share one, as a check of Pingora's is for one
    /// name.
    by_entry: HashMap<usize, Arc<HttpHealthCheck>>,
}

/// Why a check failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CheckError {
    /// The check took longer than its `timeout`.
    #[error("no answer in time")]
    TimedOut,
    /// The status is not an expected one, or no response came.
    #[error("{0}")]
    Failed(String),
}

impl Checks {
    /// Makes the checks of a pool; `None` if its policy has none.
    pub(super) fn new(pool: &Pool) -> Option<Self> {
        let policy = pool.policy().health_check.clone()?;
        let mut by_host: HashMap<String, Arc<HttpHealthCheck>> = HashMap::new();
        let mut by_entry = HashMap::new();
        for (entry, server) in pool.policy().servers.iter().enumerate() {
            let host = match (&policy.host, &server.host) {
                (Some(host), _) | (None, Host::Name(host)) => String::from(&**host),
                (None, Host::Address(address)) => std::net::SocketAddr::new(*address, server.port).to_string(),
            };
            // The name in TLS is the server's own, whatever Host the request has.
            let name = match &server.host {
                Host::Name(name) if pool.policy().tls.is_some() => name,
                _ => "",
            };
            let key = format!("{host} {name}");
            let check = match by_host.get(&key) {
                Some(check) => Arc::clone(check),
                None => {
                    let check = Arc::new(check(pool, &policy, entry, &host)?);
                    by_host.insert(key, Arc::clone(&check));
                    check
                }
            };
            by_entry.insert(entry, check);
        }
        Some(Self { policy, by_entry })
    }

    pub(super) fn policy(&self) -> &HealthCheckPolicy {
        &self.policy
    }

    /// Checks a server once.
    pub(super) async fn check(&self, server: &OriginServer) -> Result<(), CheckError> {
        let Some(check) = self.by_entry.get(&server.entry()) else {
            return Ok(());
        };
        let backend = Backend {
            addr: PingoraAddress::Inet(server.address()),
            weight: 1,
            ext: Extensions::new(),
        };
        match timeout(self.policy.timeout, check.check(&backend)).await {
            Ok(outcome) => outcome.map_err(|e| CheckError::Failed(reason(&e).into_owned())),
            Err(_) => Err(CheckError::TimedOut),
        }
    }
}

/// Makes the check for the servers of one entry; `None` if its request would be invalid, which the configuration rules
/// out.
fn check(pool: &Pool, policy: &HealthCheckPolicy, entry: usize, host: &str) -> Option<HttpHealthCheck> {
    let mut request = RequestHeader::build("GET", policy.path.as_bytes(), Some(3)).ok()?;
    request.insert_header(header::HOST, host).ok()?;
    request.insert_header(header::USER_AGENT, "linkpush").ok()?;
    request.insert_header(header::CONNECTION, "close").ok()?;
    let mut check = HttpHealthCheck::new("unused", false);
    // Each check replaces this address.
    let anywhere = OriginServer::new(std::net::SocketAddr::from(([0, 0, 0, 0], 1)), 1, entry);
    check.peer_template = pool.peer_to_check(&anywhere, policy.timeout);
    check.req = request;
    let expect = policy.expect.clone();
    check.validator = Some(Box::new(move |response: &ResponseHeader| {
        let status = response.status.as_u16();
        if expect.contains(&status) {
            return Ok(());
        }
        Err(Error::new(ErrorType::HTTPStatus(status)))
    }));
    Some(check)
}
