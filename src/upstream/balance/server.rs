//! Holds the state of one server at one address, as long as its pool has the address: [`OriginServer`].
//!
//! The state is atomic: requests read and write it without a lock. Times are arguments, in milliseconds since the pool
//! was made.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use crate::{
    meter::labels,
    upstream::{EjectionPolicy, HealthCheckPolicy},
};

/// One server of a pool.
#[derive(Debug)]
pub struct OriginServer {
    address: SocketAddr,
    weight: u32,
    /// Index of its entry in the policy's list of servers.
    entry: usize,
    in_flight: AtomicU32,
    /// Consecutive failed requests.
    failures: AtomicU32,
    /// End of the ejection; 0 if the server is not ejected.
    ejected_until: AtomicU64,
    unhealthy: AtomicBool,
    /// Consecutive health checks that contradict `unhealthy`.
    contradictions: AtomicU32,
}

labels! {
    /// Whether requests may go to a server.
    pub enum Health {
        /// Requests may go there.
        Up = "up",
        /// The ejection is over: one request may try the server.
        HalfOpen = "half_open",
        /// Requests failed, and the ejection lasts.
        Ejected = "ejected",
        /// Health checks say that it cannot serve.
        Unhealthy = "unhealthy",
    }
}

impl OriginServer {
    pub(in crate::upstream) fn new(address: SocketAddr, weight: u32, entry: usize) -> Self {
        Self {
            address,
            weight,
            entry,
            in_flight: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
            unhealthy: AtomicBool::new(false),
            contradictions: AtomicU32::new(0),
        }
    }

    /// Returns the address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub(in crate::upstream) fn weight(&self) -> u32 {
        self.weight
    }

    pub(in crate::upstream) fn entry(&self) -> usize {
        self.entry
    }

    pub(in crate::upstream) fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    pub(in crate::upstream) fn health(&self, now: u64) -> Health {
        if self.unhealthy.load(Relaxed) {
            return Health::Unhealthy;
        }
        match self.ejected_until.load(Relaxed) {
            0 => Health::Up,
            until if until <= now => Health::HalfOpen,
            _ => Health::Ejected,
        }
    }

    /// Claims the one trial of a server that is [`Health::HalfOpen`]; `false` if another request has claimed it. Always
    /// true for a server that is not ejected.
    pub(in crate::upstream) fn claim_trial(&self, now: u64, ejection: &EjectionPolicy) -> bool {
        let until = self.ejected_until.load(Relaxed);
        let next = end_of(now, ejection);
        until == 0
            || until <= now
                && self
                    .ejected_until
                    .compare_exchange(until, next, Relaxed, Relaxed)
                    .is_ok()
    }

    /// Notes that the server sent a response. Returns whether this ended an ejection.
    pub(in crate::upstream) fn succeeded(&self) -> bool {
        // Nearly always nothing changes: without a write, the processors keep sharing the cache line.
        if self.failures.load(Relaxed) == 0 && self.ejected_until.load(Relaxed) == 0 {
            return false;
        }
        self.failures.store(0, Relaxed);
        self.ejected_until.swap(0, Relaxed) != 0
    }

    /// Notes that a request failed. Returns whether this ejected the server.
    pub(in crate::upstream) fn failed(&self, now: u64, ejection: &EjectionPolicy) -> bool {
        let failures = self.failures.fetch_add(1, Relaxed).saturating_add(1);
        failures >= ejection.failures && self.ejected_until.swap(end_of(now, ejection), Relaxed) == 0
    }

    /// Notes the outcome of a health check. Returns whether this changed the server from healthy to unhealthy or back.
    pub(in crate::upstream) fn checked(&self, is_good: bool, policy: &HealthCheckPolicy) -> bool {
        let unhealthy = self.unhealthy.load(Relaxed);
        if is_good != unhealthy {
            self.contradictions.store(0, Relaxed);
            return false;
        }
        let limit = if is_good {
            policy.healthy_after
        } else {
            policy.unhealthy_after
        };
        if self.contradictions.fetch_add(1, Relaxed) + 1 < limit {
            return false;
        }
        self.contradictions.store(0, Relaxed);
        self.unhealthy.store(!unhealthy, Relaxed);
        if is_good {
            self.succeeded();
        }
        true
    }
}

/// Returns the end of an ejection that begins now; never 0, which stands for no ejection.
fn end_of(now: u64, ejection: &EjectionPolicy) -> u64 {
    let period = u64::try_from(ejection.period.as_millis()).unwrap_or(u64::MAX);
    now.saturating_add(period).max(1)
}

/// A request under way to a server.
#[derive(Debug)]
pub struct InFlight(Arc<OriginServer>);

impl InFlight {
    pub(in crate::upstream) fn new(server: Arc<OriginServer>) -> Self {
        server.in_flight.fetch_add(1, Relaxed);
        Self(server)
    }

    /// Returns the server.
    #[must_use]
    pub fn server(&self) -> &Arc<OriginServer> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn server() -> OriginServer {
        OriginServer::new(SocketAddr::from(([127, 0, 0, 1], 1)), 1, 0)
    }

    #[test]
    fn three_failures_in_a_row_eject_a_server_until_a_trial_succeeds() {
        let (server, ejection) = (server(), EjectionPolicy::default());
        assert!(!server.failed(0, &ejection) && !server.failed(0, &ejection));
        server.succeeded();
        assert!(!server.failed(0, &ejection) && !server.failed(0, &ejection));
        assert_eq!(server.health(0), Health::Up);
        assert!(server.failed(0, &ejection), "the third in a row");
        assert!(!server.failed(1, &ejection), "it is ejected already");
        assert_eq!(server.health(10_000), Health::Ejected);
        assert_eq!(server.health(10_001), Health::HalfOpen);
        assert!(server.claim_trial(10_001, &ejection));
        assert!(!server.claim_trial(10_001, &ejection), "one request at a time");
        assert_eq!(server.health(10_001), Health::Ejected);
        server.failed(10_002, &ejection);
        assert_eq!(server.health(20_001), Health::Ejected, "from the failure on");
        assert!(server.succeeded());
        assert_eq!(server.health(10_003), Health::Up);
    }

    #[test]
    fn consecutive_checks_change_the_health_of_a_server() {
        let server = server();
        let policy = HealthCheckPolicy {
            healthy_after: 2,
            unhealthy_after: 3,
            timeout: Duration::from_secs(1),
            ..HealthCheckPolicy::new("/")
        };
        let changes = |answers: &[bool]| -> Vec<bool> { answers.iter().map(|&a| server.checked(a, &policy)).collect() };
        assert_eq!(changes(&[true, false, false, true, false, false]), [false; 6]);
        assert_eq!(changes(&[false]), [true]);
        assert_eq!(server.health(0), Health::Unhealthy);
        assert_eq!(changes(&[true, false, true]), [false; 3]);
        assert_eq!(changes(&[true]), [true]);
        assert_eq!(server.health(0), Health::Up);
    }

    #[test]
    fn requests_under_way_are_counted() {
        let server = Arc::new(server());
        let (one, two) = (InFlight::new(Arc::clone(&server)), InFlight::new(Arc::clone(&server)));
        assert_eq!(server.in_flight(), 2);
        drop(one);
        drop(two);
        assert_eq!(server.in_flight(), 0);
    }
}
