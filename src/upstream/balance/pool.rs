//! Runs a pool: holds the servers that its names resolve to now, and gives each request one: [`Pool`].

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use log::{info, warn};
use tokio::sync::watch;

use super::balancer::{Balancer, Wanted};
use crate::{
    meter::Label as _,
    upstream::{Health, Host, InFlight, OriginServer, PoolMeter, PoolPolicy, Resolver, Verify},
};

/// A pool of servers, which a `maintenance` task updates.
#[derive(Debug)]
pub struct Pool {
    policy: PoolPolicy,
    resolver: Resolver,
    /// Number by which the pool's connections differ from those of other pools, whose TLS may be another.
    number: u64,
    made: Instant,
    turn: AtomicUsize,
    balancer: ArcSwap<Balancer>,
    /// The addresses of each entry of the policy; only `maintenance` writes here.
    addresses: Mutex<Vec<Vec<SocketAddr>>>,
    is_maintained: AtomicBool,
    /// Number of names whose first lookup has not ended. Closed when the pool is dropped.
    unresolved: watch::Sender<usize>,
    /// The counters of the upstream, which may outlive this pool.
    meter: Arc<PoolMeter>,
}

/// The number of a pool's servers by their health.
pub type ServerStates = Vec<(Health, usize)>;

/// Why a request gets no server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoServer {
    /// The pool has no address.
    #[error("no server has an address")]
    Unresolved,
    /// Each server is unhealthy, or the request failed there before.
    #[error("no healthy server")]
    Unhealthy,
}

static POOLS: AtomicU64 = AtomicU64::new(1);

impl Pool {
    /// Makes a pool whose names are not resolved yet: `maintenance` does that.
    #[must_use]
    pub fn new(policy: PoolPolicy, resolver: &Resolver) -> Self {
        let address = |host: &Host, port| match host {
            Host::Address(address) => vec![SocketAddr::new(*address, port)],
            Host::Name(_) => Vec::new(),
        };
        let addresses: Vec<_> = policy
            .servers
            .iter()
            .map(|server| address(&server.host, server.port))
            .collect();
        let unresolved = addresses.iter().filter(|addresses| addresses.is_empty()).count();
        let balancer = Balancer::new(&policy.servers, &addresses, policy.balance, &[]);
        if policy.tls.as_ref().is_some_and(|tls| tls.verify == Verify::Off) {
            warn!("upstream {}: verify is off, its servers may be anybody", policy.name);
        }
        Self {
            policy,
            resolver: resolver.clone(),
            number: POOLS.fetch_add(1, Relaxed),
            made: Instant::now(),
            turn: AtomicUsize::new(0),
            balancer: ArcSwap::from_pointee(balancer),
            addresses: Mutex::new(addresses),
            is_maintained: AtomicBool::new(false),
            unresolved: watch::Sender::new(unresolved),
            meter: Arc::default(),
        }
    }

    /// Returns the counters of the upstream.
    #[must_use]
    pub fn meter(&self) -> &PoolMeter {
        &self.meter
    }

    /// Returns the number of servers by their health, zeros included.
    #[must_use]
    pub fn states(&self) -> ServerStates {
        let (servers, now) = (self.servers(), self.now());
        let number = |health| servers.iter().filter(|server| server.health(now) == health).count();
        Health::ALL.iter().map(|&health| (health, number(health))).collect()
    }

    /// Returns the reason why no request of this moment gets a server.
    ///
    /// # Errors
    ///
    /// No server may get a request.
    pub fn may_serve(&self) -> Result<(), NoServer> {
        let balancer = self.balancer.load();
        if balancer.has_untried(&[], self.now()) {
            Ok(())
        } else if balancer.servers().is_empty() {
            Err(NoServer::Unresolved)
        } else {
            Err(NoServer::Unhealthy)
        }
    }

    /// Returns the pool's settings.
    #[must_use]
    pub fn policy(&self) -> &PoolPolicy {
        &self.policy
    }

    pub(in crate::upstream) fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    pub(in crate::upstream) fn number(&self) -> u64 {
        self.number
    }

    /// Returns the server for a request: `Balance::Hash` hashes `key`, and the request
    /// failed before at the servers `tried`.
    ///
    /// # Errors
    ///
    /// No server may get the request.
    pub fn choose(&self, key: &[u8], tried: &[Arc<OriginServer>]) -> Result<InFlight, NoServer> {
        let balancer = self.balancer.load();
        let wanted = Wanted {
            balance: self.policy.balance,
            key,
            tried,
            ejection: self.policy.ejection.as_ref(),
            now: self.now(),
        };
        match balancer.choose(&wanted, &self.turn) {
            Some(server) => Ok(InFlight::new(Arc::clone(server))),
            None if balancer.servers().is_empty() => Err(NoServer::Unresolved),
            None => Err(NoServer::Unhealthy),
        }
    }

    /// Returns whether there is a server for a request that failed at these.
    #[must_use]
    pub fn has_other_than(&self, tried: &[Arc<OriginServer>]) -> bool {
        self.balancer.load().has_untried(tried, self.now())
    }

    /// Waits until the first lookup of every name has ended, at most `connect_timeout`.
    pub async fn first_answers(&self) {
        let mut unresolved = self.unresolved.subscribe();
        let all = unresolved.wait_for(|&unresolved| unresolved == 0);
        // Timeout or not, the caller chooses again.
        let _ = tokio::time::timeout(self.policy.connect_timeout, all).await;
    }

    /// Notes that a server sent a response.
    pub fn succeeded(&self, server: &OriginServer) {
        if server.succeeded() {
            info!(
                "upstream {}: server {} answers again",
                self.policy.name,
                server.address()
            );
        }
    }

    /// Notes that a request to a server failed, for this reason.
    pub fn failed(&self, server: &OriginServer, reason: &str) {
        let Some(ejection) = &self.policy.ejection else {
            return;
        };
        if server.failed(self.now(), ejection) {
            self.meter.ejections.increment();
            warn!(
                "upstream {}: server {} is left alone for {:?} after {} failures: {reason}",
                self.policy.name,
                server.address(),
                ejection.period,
                ejection.failures,
            );
        }
    }

    /// Returns whether this is the first call: a pool has one `maintenance` task.
    pub(in crate::upstream) fn claim_maintenance(&self) -> bool {
        !self.is_maintained.swap(true, Relaxed)
    }

    /// Waits until the pool is dropped.
    pub(in crate::upstream) fn dropped(&self) -> impl Future<Output = ()> + use<> {
        let mut unresolved = self.unresolved.subscribe();
        async move { while unresolved.changed().await.is_ok() {} }
    }

    pub(in crate::upstream) fn servers(&self) -> Vec<Arc<OriginServer>> {
        self.balancer.load().servers().to_vec()
    }

    /// Takes over the addresses that an entry's name has now; `None`, for a name that did not resolve, leaves the old
    /// ones.
    pub(in crate::upstream) fn resolved(&self, entry: usize, found: Option<Vec<SocketAddr>>, is_first: IsFirst) {
        if let Some(mut found) = found {
            found.sort_unstable();
            found.dedup();
            let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = addresses.get_mut(entry)
                && *known != found
            {
                known.clone_from(&found);
                let previous = self.balancer.load();
                let balancer = Balancer::new(
                    &self.policy.servers,
                    &addresses,
                    self.policy.balance,
                    previous.servers(),
                );
                self.balancer.store(Arc::new(balancer));
                info!("upstream {}: {} is at {found:?}", self.policy.name, self.name_of(entry));
            }
        }
        if is_first == IsFirst::Yes {
            self.unresolved
                .send_modify(|unresolved| *unresolved = unresolved.saturating_sub(1));
        }
    }

    /// Returns the name of an entry of the policy in logs.
    pub(in crate::upstream) fn name_of(&self, entry: usize) -> &str {
        match self.policy.servers.get(entry).map(|server| &server.host) {
            Some(Host::Name(name)) => name,
            _ => "an address",
        }
    }

    /// Returns the milliseconds since the pool was made.
    fn now(&self) -> u64 {
        u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Whether this was the first lookup of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum IsFirst {
    Yes,
    No,
}

/// The `Retry-After` of a response to a request that no server may get.
pub const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Returns the pools for new policies. A previous pool with an equal policy and resolver is taken over with its state; of
/// one with an equal name only, the counters go on.
#[must_use]
pub fn renew(policies: &[PoolPolicy], resolver: &Resolver, previous: &[Arc<Pool>]) -> Vec<Arc<Pool>> {
    let one = |policy: &PoolPolicy| {
        let known = previous
            .iter()
            .find(|pool| pool.policy == *policy && pool.resolver == *resolver);
        known.map(Arc::clone).unwrap_or_else(|| {
            let mut pool = Pool::new(policy.clone(), resolver);
            if let Some(namesake) = previous.iter().find(|pool| pool.policy.name == policy.name) {
                pool.meter = Arc::clone(&namesake.meter);
            }
            Arc::new(pool)
        })
    };
    policies.iter().map(one).collect()
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test that fails panics")]
mod tests {
    use super::*;
    use crate::upstream::{ResolverPolicy, ServerPolicy};

    fn resolver() -> Resolver {
        Resolver::new(ResolverPolicy::default())
    }

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, last], 80))
    }

    fn policy(name: &str) -> PoolPolicy {
        PoolPolicy::new(name, vec![address(1).into(), address(2).into()])
    }

    fn named() -> PoolPolicy {
        let server = ServerPolicy {
            host: Host::Name("app.example".into()),
            port: 80,
            weight: 1,
        };
        PoolPolicy::new("app", vec![server])
    }

    #[test]
    fn an_unchanged_pool_is_taken_over() {
        let resolver = resolver();
        let before = renew(&[policy("a"), policy("b")], &resolver, &[]);
        let mut changed = policy("a");
        changed.max_retries = 0;
        let after = renew(&[policy("b"), changed], &resolver, &before);
        assert!(Arc::ptr_eq(&before[1], &after[0]));
        assert!(!before.iter().any(|pool| Arc::ptr_eq(pool, &after[1])));
        let other = Resolver::new(ResolverPolicy {
            max_ttl: Duration::from_secs(1),
            ..ResolverPolicy::default()
        });
        let after = renew(&[policy("b")], &other, &before);
        assert!(!Arc::ptr_eq(&before[1], &after[0]), "names are resolved differently");
    }

    #[test]
    fn a_request_goes_to_a_server_that_it_has_not_tried() {
        let pool = Pool::new(policy("app"), &resolver());
        let first = pool.choose(b"", &[]).expect("a server");
        let mut tried = vec![Arc::clone(first.server())];
        let second = pool.choose(b"", &tried).expect("another server");
        assert!(!Arc::ptr_eq(first.server(), second.server()));
        tried.push(Arc::clone(second.server()));
        assert!(!pool.has_other_than(&tried));
        assert_eq!(pool.choose(b"", &tried).map(|_| ()), Err(NoServer::Unhealthy));
    }

    #[tokio::test]
    async fn addresses_of_a_name_stay_when_a_lookup_fails() {
        let pool = Pool::new(named(), &resolver());
        let chosen = || pool.choose(b"", &[]).map(|chosen| chosen.server().address());
        assert_eq!(chosen(), Err(NoServer::Unresolved));
        pool.resolved(0, None, IsFirst::Yes);
        pool.first_answers().await;
        assert_eq!(chosen(), Err(NoServer::Unresolved));
        pool.resolved(0, Some(vec![address(1)]), IsFirst::No);
        assert_eq!(chosen(), Ok(address(1)));
        pool.resolved(0, None, IsFirst::No);
        assert_eq!(chosen(), Ok(address(1)));
        pool.resolved(0, Some(vec![address(2)]), IsFirst::No);
        assert_eq!(chosen(), Ok(address(2)));
    }

    #[tokio::test]
    async fn the_task_that_maintains_a_pool_learns_that_it_was_dropped() {
        let pool = Pool::new(named(), &resolver());
        let dropped = pool.dropped();
        drop(pool);
        dropped.await;
    }
}
