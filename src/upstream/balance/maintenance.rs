//! Maintains a pool beside its requests: resolves its names again, and checks its servers.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use log::{info, warn};
use tokio::{task::JoinSet, time::sleep};

use super::{
    health::Checks,
    pool::IsFirst,
    resolver::{Family, ResolveError, Resolved},
};
use crate::upstream::{Host, Pool};

/// Maintains a pool until it is dropped; returns at once if another task maintains it. The maker of a pool spawns this
/// once for each.
pub async fn maintenance(pool: Weak<Pool>) {
    let Some(strong) = pool.upgrade().filter(|pool| pool.claim_maintenance()) else {
        return;
    };
    let dropped = strong.dropped();
    let mut tasks = JoinSet::new();
    for (entry, server) in strong.policy().servers.iter().enumerate() {
        if let Host::Name(name) = &server.host {
            tasks.spawn(resolve_again(Weak::clone(&pool), entry, name.clone(), server.port));
        }
    }
    if let Some(checks) = Checks::new(&strong) {
        tasks.spawn(check_again(Weak::clone(&pool), checks));
    }
    drop(strong);
    // Dropping `tasks` ends them.
    dropped.await;
}

/// Resolves one name whenever its TTL has passed.
async fn resolve_again(pool: Weak<Pool>, entry: usize, name: Box<str>, port: u16) {
    let mut known = KnownAddresses::default();
    let mut is_first = IsFirst::Yes;
    loop {
        let Some(resolver) = pool.upgrade().map(|pool| pool.resolver().clone()) else {
            return;
        };
        let (v4, v6) = tokio::join!(resolver.resolve(&name, Family::V4), resolver.resolve(&name, Family::V6));
        let Some(pool) = pool.upgrade() else { return };
        let resolution = known.learn(v4, v6);
        match &resolution.problem {
            Some(problem) if known.may_warn(Instant::now()) => {
                let keeps = if known.is_empty() {
                    "it has no address"
                } else {
                    "its last addresses are kept"
                };
                warn!(
                    "upstream {}: {name} does not resolve, {keeps}: {problem}",
                    pool.policy().name
                );
            }
            None if known.warned.take().is_some() => info!("upstream {}: {name} resolves again", pool.policy().name),
            Some(_) | None => {}
        }
        let found = (!known.is_empty()).then(|| known.addresses(port));
        pool.resolved(entry, found, is_first);
        is_first = IsFirst::No;
        let retry_after = RETRY.min(resolver.policy().max_ttl).max(resolver.policy().min_ttl);
        drop(pool);
        sleep(resolution.valid_for.unwrap_or(retry_after)).await;
    }
}

/// Time from a failed lookup to the next.
const RETRY: Duration = Duration::from_secs(2);

/// Time between two warnings about a name that does not resolve.
const WARN_AGAIN: Duration = Duration::from_secs(60);

/// The addresses of a name by its last successful lookups, each family by itself: a name server that fails for AAAA
/// alone must not cost the IPv6 servers.
#[derive(Debug, Default)]
struct KnownAddresses {
    v4: Vec<IpAddr>,
    v6: Vec<IpAddr>,
    warned: Option<Instant>,
}

/// The outcome of a pair of lookups.
#[derive(Debug, PartialEq, Eq)]
struct Resolution {
    /// Time until the next lookup; `None` if no address was learned.
    valid_for: Option<Duration>,
    problem: Option<ResolveError>,
}

impl KnownAddresses {
    fn learn(&mut self, v4: Result<Resolved, ResolveError>, v6: Result<Resolved, ResolveError>) -> Resolution {
        // A name without any address counts as a failure: a configured name has addresses.
        let is_empty =
            |found: &Result<Resolved, ResolveError>| found.as_ref().is_ok_and(|found| found.addresses.is_empty());
        if is_empty(&v4) && is_empty(&v6) {
            return Resolution {
                valid_for: None,
                problem: Some(ResolveError::Lookup("it has no address".to_owned())),
            };
        }
        let mut valid_for: Option<Duration> = None;
        let mut problem = None;
        for (known, found) in [(&mut self.v4, v4), (&mut self.v6, v6)] {
            match found {
                Ok(found) => {
                    // The TTL of an empty answer does not tell when the addresses of the other family change.
                    if !found.addresses.is_empty() {
                        valid_for = Some(valid_for.map_or(found.valid_for, |least| least.min(found.valid_for)));
                    }
                    *known = found.addresses;
                }
                Err(e) => problem = Some(e),
            }
        }
        // Many name servers fail for AAAA where a name has no IPv6 address: no problem if none was known.
        if !self.v4.is_empty() && self.v6.is_empty() && valid_for.is_some() {
            problem = None;
        }
        Resolution { valid_for, problem }
    }

    fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    fn addresses(&self, port: u16) -> Vec<SocketAddr> {
        self.v4
            .iter()
            .chain(&self.v6)
            .map(|&address| SocketAddr::new(address, port))
            .collect()
    }

    fn may_warn(&mut self, now: Instant) -> bool {
        let may = self
            .warned
            .is_none_or(|warned| now.duration_since(warned) >= WARN_AGAIN);
        if may {
            self.warned = Some(now);
        }
        may
    }
}

/// Checks every server at each interval.
async fn check_again(pool: Weak<Pool>, checks: Checks) {
    let checks = Arc::new(checks);
    loop {
        let Some(servers) = pool.upgrade().map(|pool| pool.servers()) else {
            return;
        };
        let mut running = JoinSet::new();
        for server in servers {
            let checks = Arc::clone(&checks);
            running.spawn(async move {
                let outcome = checks.check(&server).await;
                (server, outcome)
            });
        }
        while let Some(checked) = running.join_next().await {
            let Ok((server, outcome)) = checked else { continue };
            let Some(pool) = pool.upgrade() else { return };
            let name = &pool.policy().name;
            match (server.checked(outcome.is_ok(), checks.policy()), outcome) {
                (true, Ok(())) => info!("upstream {name}: server {} is healthy again", server.address()),
                (true, Err(e)) => warn!("upstream {name}: server {} is unhealthy: {e}", server.address()),
                (false, _) => {}
            }
        }
        sleep(checks.policy().interval).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(addresses: &[&str], seconds: u64) -> Result<Resolved, ResolveError> {
        Ok(Resolved {
            addresses: addresses
                .iter()
                .map(|address| address.parse().expect("an address"))
                .collect(),
            valid_for: Duration::from_secs(seconds),
        })
    }

    fn failure() -> Result<Resolved, ResolveError> {
        Err(ResolveError::Lookup("SERVFAIL".to_owned()))
    }

    fn ips(known: &KnownAddresses) -> Vec<String> {
        known
            .addresses(80)
            .iter()
            .map(|address| address.ip().to_string())
            .collect()
    }

    #[test]
    fn each_family_keeps_what_it_had_when_its_lookup_fails() {
        let mut known = KnownAddresses::default();
        let resolution = known.learn(found(&["192.0.2.1"], 30), found(&["2001:db8::1"], 20));
        assert_eq!(
            (resolution.valid_for, resolution.problem),
            (Some(Duration::from_secs(20)), None)
        );
        let resolution = known.learn(found(&["192.0.2.2"], 30), failure());
        assert_eq!(resolution.valid_for, Some(Duration::from_secs(30)));
        assert!(resolution.problem.is_some());
        assert_eq!(ips(&known), ["192.0.2.2", "2001:db8::1"]);
        let resolution = known.learn(failure(), failure());
        assert_eq!(resolution.valid_for, None);
        assert_eq!(ips(&known), ["192.0.2.2", "2001:db8::1"]);
        known.learn(found(&["192.0.2.2"], 30), found(&[], 30));
        assert_eq!(
            ips(&known),
            ["192.0.2.2"],
            "the name server says that the name has no IPv6 address any more"
        );
    }

    #[test]
    fn an_answer_without_any_address_changes_nothing() {
        let mut known = KnownAddresses::default();
        known.learn(found(&["192.0.2.1"], 30), found(&[], 300));
        let resolution = known.learn(found(&[], 300), found(&[], 300));
        assert!(resolution.problem.is_some() && resolution.valid_for.is_none());
        assert_eq!(ips(&known), ["192.0.2.1"]);
    }

    #[test]
    fn a_name_without_ipv6_addresses_neither_warns_nor_changes_the_ttl() {
        let mut known = KnownAddresses::default();
        let resolution = known.learn(found(&["192.0.2.1"], 30), found(&[], 5));
        assert_eq!(
            (resolution.valid_for, resolution.problem),
            (Some(Duration::from_secs(30)), None)
        );
        let resolution = known.learn(found(&["192.0.2.1"], 30), failure());
        assert_eq!(
            (resolution.valid_for, resolution.problem),
            (Some(Duration::from_secs(30)), None)
        );
    }

    #[test]
    fn a_name_that_does_not_resolve_is_warned_of_once_a_minute() {
        let (mut known, now) = (KnownAddresses::default(), Instant::now());
        assert!(known.may_warn(now));
        assert!(!known.may_warn(now + Duration::from_secs(59)));
        assert!(known.may_warn(now + Duration::from_secs(60)));
    }
}
