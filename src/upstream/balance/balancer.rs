//! Holds the servers of a pool at one moment, and chooses one for a request: [`Balancer`].
//!
//! A choice takes no lock and no allocation: turns and ring are laid out when the balancer is made. A balancer never
//! changes its servers; the pool replaces it.
//!
//! The Ketama ring is Pingora's. Pingora's weighted round robin is not used: it gives a heavy server all its turns in a
//! run, and ignores weights once the first choice is out.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use pingora::{
    lb::{
        Backend, Extensions,
        selection::{BackendIter as _, BackendSelection as _, consistent::KetamaHashing},
    },
    protocols::l4::socket::SocketAddr as PingoraAddress,
};

use super::server::{Health, OriginServer};
use crate::upstream::{Balance, EjectionPolicy, ServerPolicy};

/// Servers, and the order in which they are chosen.
pub(in crate::upstream) struct Balancer {
    servers: Box<[Arc<OriginServer>]>,
    /// Indices of servers, each as often as its weight, spread evenly.
    turns: Box<[u16]>,
    ring: Option<Arc<KetamaHashing>>,
}

/// The arguments of a choice.
#[derive(Debug, Clone, Copy)]
pub(in crate::upstream) struct Wanted<'a> {
    pub(in crate::upstream) balance: Balance,
    /// The bytes that [`Balance::Hash`] hashes; empty for other kinds.
    pub(in crate::upstream) key: &'a [u8],
    /// Servers at which this request failed before.
    pub(in crate::upstream) tried: &'a [Arc<OriginServer>],
    pub(in crate::upstream) ejection: Option<&'a EjectionPolicy>,
    /// Milliseconds since the pool was made.
    pub(in crate::upstream) now: u64,
}

impl Balancer {
    /// Makes a balancer of the servers at `addresses`, one list for each entry of `policies`. An address of several
    /// entries belongs to the first. Servers in `previous` are taken over with their state.
    pub(in crate::upstream) fn new(
        policies: &[ServerPolicy],
        addresses: &[Vec<SocketAddr>],
        balance: Balance,
        previous: &[Arc<OriginServer>],
    ) -> Self {
        let mut servers: Vec<Arc<OriginServer>> = Vec::new();
        let mut seen = BTreeSet::new();
        for (entry, (policy, addresses)) in policies.iter().zip(addresses).enumerate() {
            for &address in addresses {
                if servers.len() == MAX_SERVERS || !seen.insert(address) {
                    continue;
                }
                let known = previous
                    .iter()
                    .find(|server| server.address() == address && server.entry() == entry);
                let server = known.map_or_else(
                    || Arc::new(OriginServer::new(address, policy.weight, entry)),
                    Arc::clone,
                );
                servers.push(server);
            }
        }
        let weights: Vec<u32> = servers.iter().map(|server| server.weight()).collect();
        Self {
            turns: turns(&weights).into(),
            ring: (balance == Balance::Hash && !servers.is_empty()).then(|| ring(&servers)),
            servers: servers.into(),
        }
    }

    pub(in crate::upstream) fn servers(&self) -> &[Arc<OriginServer>] {
        &self.servers
    }

    /// Returns the server for a request: among servers that are not unhealthy and not tried yet, one that is not
    /// ejected; if all are ejected, one of them all the same.
    pub(in crate::upstream) fn choose(&self, wanted: &Wanted<'_>, turn: &AtomicUsize) -> Option<&Arc<OriginServer>> {
        let turn = match wanted.tried {
            [] => turn.fetch_add(1, Relaxed),
            // With two servers, a retry that took a turn would make a bad server the first choice of every request.
            _ => turn.load(Relaxed),
        };
        let untried = |server: &OriginServer| {
            !wanted
                .tried
                .iter()
                .any(|tried| std::ptr::eq(&raw const **tried, server))
        };
        let may = |server: &OriginServer| {
            matches!(server.health(wanted.now), Health::Up | Health::HalfOpen) && untried(server)
        };
        // This ends: a request that loses a claim finds that server ejected in the next round.
        while let Some(server) = self.first(wanted, turn, &may) {
            if wanted
                .ejection
                .is_none_or(|ejection| server.claim_trial(wanted.now, ejection))
            {
                return Some(server);
            }
        }
        let is_not_ruled_out =
            |server: &OriginServer| server.health(wanted.now) != Health::Unhealthy && untried(server);
        self.first(wanted, turn, &is_not_ruled_out)
    }

    /// Returns whether `choose` would find a server.
    pub(in crate::upstream) fn has_untried(&self, tried: &[Arc<OriginServer>], now: u64) -> bool {
        self.servers.iter().any(|server| {
            server.health(now) != Health::Unhealthy && !tried.iter().any(|tried| Arc::ptr_eq(tried, server))
        })
    }

    fn first(
        &self,
        wanted: &Wanted<'_>,
        turn: usize,
        may: &impl Fn(&OriginServer) -> bool,
    ) -> Option<&Arc<OriginServer>> {
        match wanted.balance {
            Balance::RoundRobin => self.in_turn(turn).find(|server| may(server)),
            Balance::LeastConnections => self.least(turn, may),
            Balance::Hash => self
                .hashed(wanted.key, may)
                .or_else(|| self.in_turn(turn).find(|server| may(server))),
        }
    }

    /// Iterates over the servers in the order of turns, beginning with `turn`; a server with more weight comes more
    /// than once.
    fn in_turn(&self, turn: usize) -> impl Iterator<Item = &Arc<OriginServer>> {
        let start = turn.checked_rem(self.turns.len()).unwrap_or(0);
        let (before, from) = self.turns.split_at_checked(start).unwrap_or_default();
        from.iter()
            .chain(before)
            .filter_map(|&index| self.servers.get(usize::from(index)))
    }

    /// Returns the server with the fewest requests under way for its weight, this request included; among equals the
    /// next in turn, so that idle servers share the load.
    fn least(&self, turn: usize, may: &impl Fn(&OriginServer) -> bool) -> Option<&Arc<OriginServer>> {
        let start = turn.checked_rem(self.servers.len()).unwrap_or(0);
        let (before, from) = self.servers.split_at_checked(start).unwrap_or_default();
        let all = from.iter().chain(before);
        all.filter(|server| may(server)).min_by_key(|server| {
            (u64::from(server.in_flight()) + 1) * LOAD_PRECISION / u64::from(server.weight().max(1))
        })
    }

    /// Returns the first allowed server on the ring, beginning at the key's point.
    fn hashed(&self, key: &[u8], may: &impl Fn(&OriginServer) -> bool) -> Option<&Arc<OriginServer>> {
        let mut points = self.ring.as_ref()?.iter(key);
        for _ in 0..self.servers.len().saturating_mul(RING_STEPS) {
            let index = *points.next()?.ext.get::<usize>()?;
            if let Some(server) = self.servers.get(index).filter(|server| may(server)) {
                return Some(server);
            }
        }
        None
    }
}

impl std::fmt::Debug for Balancer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Balancer")
            .field("servers", &self.servers)
            .finish_non_exhaustive()
    }
}

/// Most addresses of one pool; further ones are ignored.
pub(in crate::upstream) const MAX_SERVERS: usize = 1024;

/// Points of the ring that are tried for each server before the next server in turn is taken. If all servers but one
/// are out of use, these points miss the last one less than once in a million.
const RING_STEPS: usize = 16;

/// Factor by which loads are scaled, to compare them as integers.
const LOAD_PRECISION: u64 = 1 << 16;

/// Lists each index as often as its weight, in lowest terms, and spreads the turns evenly as nginx does: the server
/// most behind is next.
fn turns(weights: &[u32]) -> Vec<u16> {
    let divisor = weights
        .iter()
        .copied()
        .reduce(greatest_common_divisor)
        .unwrap_or(1)
        .max(1);
    let weights: Vec<i64> = weights.iter().map(|weight| i64::from(weight / divisor)).collect();
    let total: i64 = weights.iter().sum();
    let mut behind = vec![0_i64; weights.len()];
    let mut turns = Vec::new();
    for _ in 0..total {
        for (behind, weight) in behind.iter_mut().zip(&weights) {
            *behind += weight;
        }
        let most = behind.iter_mut().enumerate().rev().max_by_key(|(_, behind)| **behind);
        if let Some((index, most)) = most {
            *most -= total;
            turns.extend(u16::try_from(index));
        }
    }
    turns
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

fn ring(servers: &[Arc<OriginServer>]) -> Arc<KetamaHashing> {
    let backends = servers.iter().enumerate().map(|(index, server)| {
        let mut ext = Extensions::new();
        ext.insert(index);
        Backend {
            addr: PingoraAddress::Inet(server.address()),
            weight: usize::try_from(server.weight()).unwrap_or(1),
            ext,
        }
    });
    Arc::new(KetamaHashing::build(&backends.collect()))
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test that fails panics")]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::upstream::{HealthCheckPolicy, InFlight};

    fn addresses(count: u8) -> Vec<SocketAddr> {
        (1..=count).map(|n| SocketAddr::from(([127, 0, 0, n], 80))).collect()
    }

    fn balancer(weights: &[u32], balance: Balance) -> Balancer {
        let addresses = addresses(u8::try_from(weights.len()).expect("few"));
        let policies: Vec<ServerPolicy> = addresses
            .iter()
            .zip(weights)
            .map(|(&address, &weight)| ServerPolicy {
                weight,
                ..ServerPolicy::from(address)
            })
            .collect();
        let addresses: Vec<_> = addresses.into_iter().map(|address| vec![address]).collect();
        Balancer::new(&policies, &addresses, balance, &[])
    }

    const EJECTION: EjectionPolicy = EjectionPolicy {
        failures: 1,
        period: Duration::from_millis(100),
    };

    fn wanted(balance: Balance, key: &[u8]) -> Wanted<'_> {
        Wanted {
            balance,
            key,
            tried: &[],
            ejection: Some(&EJECTION),
            now: 1,
        }
    }

    /// The last number of the address of each choice.
    fn chosen(balancer: &Balancer, wanted: &Wanted<'_>, times: usize) -> Vec<u8> {
        let turn = AtomicUsize::new(0);
        let one = || match balancer.choose(wanted, &turn)?.address() {
            SocketAddr::V4(address) => Some(address.ip().octets()[3]),
            SocketAddr::V6(_) => None,
        };
        (0..times).filter_map(|_| one()).collect()
    }

    fn make_unhealthy(server: &OriginServer) {
        let policy = HealthCheckPolicy {
            unhealthy_after: 1,
            ..HealthCheckPolicy::new("/")
        };
        server.checked(false, &policy);
    }

    #[test]
    fn turns_follow_weights_and_are_spread() {
        assert_eq!(turns(&[1, 1, 1]), [0, 1, 2]);
        assert_eq!(turns(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(turns(&[100, 50]), [0, 1, 0]);
        assert_eq!(turns(&[7]), [0]);
        assert_eq!(turns(&[]), Vec::<u16>::new());
    }

    #[test]
    fn round_robin_takes_servers_in_turn_by_weight() {
        let balancer = balancer(&[2, 1], Balance::RoundRobin);
        assert_eq!(
            chosen(&balancer, &wanted(Balance::RoundRobin, b""), 6),
            [1, 2, 1, 1, 2, 1]
        );
    }

    #[test]
    fn the_least_loaded_server_is_taken_and_idle_ones_share() {
        let uneven = balancer(&[1, 1, 2], Balance::LeastConnections);
        let wanted = wanted(Balance::LeastConnections, b"");
        assert_eq!(
            chosen(&uneven, &wanted, 2),
            [3, 3],
            "half the load for the same requests"
        );
        let busy: Vec<InFlight> = [0, 2, 2, 2]
            .map(|n| InFlight::new(Arc::clone(&uneven.servers()[n])))
            .into();
        assert_eq!(chosen(&uneven, &wanted, 2), [2, 2]);
        drop(busy);
        let even = balancer(&[1, 1, 1], Balance::LeastConnections);
        let mut shares = chosen(&even, &wanted, 6);
        shares.sort_unstable();
        assert_eq!(shares, [1, 1, 2, 2, 3, 3]);
    }

    #[test]
    fn when_a_server_is_out_only_its_keys_move_to_others() {
        let balancer = balancer(&[1, 1, 1], Balance::Hash);
        let keys: Vec<[u8; 1]> = (0..50).map(|n| [n]).collect();
        let all = || -> Vec<u8> {
            keys.iter()
                .flat_map(|key| chosen(&balancer, &wanted(Balance::Hash, key), 1))
                .collect()
        };
        let before = all();
        assert_eq!(before, all());
        for server in 1..=3 {
            assert!(before.contains(&server), "{before:?}");
        }
        make_unhealthy(&balancer.servers()[0]);
        for (before, after) in before.iter().zip(all()) {
            assert!(after != 1 && (*before == 1 || *before == after));
        }
    }

    #[test]
    fn every_balance_passes_over_ejected_unhealthy_and_tried_servers() {
        for balance in [Balance::RoundRobin, Balance::LeastConnections, Balance::Hash] {
            let balancer = balancer(&[1, 1, 1, 1], balance);
            let servers = balancer.servers();
            servers[0].failed(1, &EJECTION);
            make_unhealthy(&servers[1]);
            let tried = [Arc::clone(&servers[2])];
            let wanted = Wanted {
                tried: &tried,
                ..wanted(balance, b"key")
            };
            assert_eq!(chosen(&balancer, &wanted, 3), [4, 4, 4], "{balance:?}");
            // Only an ejected server is left: better than none.
            let tried = [Arc::clone(&servers[2]), Arc::clone(&servers[3])];
            let wanted = Wanted {
                tried: &tried,
                ..wanted
            };
            assert_eq!(chosen(&balancer, &wanted, 2), [1, 1], "{balance:?}");
            assert!(balancer.has_untried(&tried, 1));
            // An unhealthy server is never taken.
            let tried = [0, 2, 3].map(|n| Arc::clone(&servers[n]));
            let wanted = Wanted {
                tried: &tried,
                ..wanted
            };
            assert_eq!(chosen(&balancer, &wanted, 2), [0_u8; 0], "{balance:?}");
            assert!(!balancer.has_untried(&tried, 1));
        }
    }

    #[test]
    fn a_server_gets_one_request_as_a_trial_after_its_ejection() {
        let balancer = balancer(&[1, 1], Balance::RoundRobin);
        balancer.servers()[0].failed(1, &EJECTION);
        let later = Wanted {
            now: 101,
            ..wanted(Balance::RoundRobin, b"")
        };
        assert_eq!(chosen(&balancer, &later, 4), [1, 2, 2, 2]);
    }

    #[test]
    fn a_server_whose_address_stays_keeps_its_state() {
        let policies = [ServerPolicy::from(SocketAddr::from(([127, 0, 0, 1], 80)))];
        let at = |addresses: &[SocketAddr], previous: &[Arc<OriginServer>]| {
            Balancer::new(&policies, &[addresses.to_vec()], Balance::RoundRobin, previous)
        };
        let three = addresses(3);
        let before = at(&three[..2], &[]);
        let after = at(&three[1..], before.servers());
        assert!(Arc::ptr_eq(&before.servers()[1], &after.servers()[0]));
        assert_eq!(after.servers().len(), 2);
        assert_eq!(
            at(&[three[0], three[0]], &[]).servers().len(),
            1,
            "one server an address"
        );
    }

    #[test]
    fn without_servers_nothing_is_chosen() {
        for balance in [Balance::RoundRobin, Balance::LeastConnections, Balance::Hash] {
            let empty = Balancer::new(&[], &[], balance, &[]);
            assert_eq!(chosen(&empty, &wanted(balance, b"key"), 1), [0_u8; 0]);
        }
    }
}
