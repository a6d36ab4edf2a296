//! Finds the cookies, identities and parts of queries that say nothing of a visitor, since many visitors have them:
//! `lang=en`, `consent=yes`.
//!
//! A value is common once [`MANY`] networks had it within [`WINDOW`] seconds: a visitor who moves does not get to that
//! many in that time. A name with more than [`MAX_VALUES`] values is one by which the application tells visitors, so none
//! of its values is common, whoever has it. Values that one network alone invents change nothing: of a name, the first
//! two of a network count.
//!
//! Memory is bounded: names that are seen often stay (W-TinyLFU), and hashes stand for names, values and networks.

use std::sync::{Arc, Mutex, PoisonError};

use moka::sync::Cache;

/// Counts, for each name, of the networks that had each of its values.
#[derive(Debug)]
pub(super) struct CommonPairs(Cache<u64, Arc<Mutex<Values>>>);

/// A visitor's value of a name, each as a hash; the name's is that of one site.
#[derive(Debug, Clone, Copy)]
pub(super) struct VisitorValue {
    pub(super) name: u64,
    pub(super) value: u64,
    pub(super) network: u64,
}

/// The values of one name.
#[derive(Debug, Default)]
struct Values {
    /// Whether there were too many.
    are_personal: bool,
    known: Vec<SeenValue>,
}

#[derive(Debug)]
struct SeenValue {
    value: u64,
    /// The network that had it first.
    introduced_by: u64,
    is_common: bool,
    /// The time of the first of `networks`, in seconds since 1970.
    since: u64,
    networks: Vec<u64>,
}

/// Networks that make a value common, and the seconds within which they must have it.
const MANY: usize = 8;
const WINDOW: u64 = 10 * 60;

/// Most values of a name that tells no visitors.
const MAX_VALUES: usize = 16;

/// Most values of a name that count by the network that had them first.
const MAX_INTRODUCED: usize = 2;

/// Names that are known: 2 KiB each at most.
const MAX_NAMES: u64 = 2000;

impl Default for CommonPairs {
    fn default() -> Self {
        Self(Cache::new(MAX_NAMES))
    }
}

impl CommonPairs {
    /// Notes that a visitor has this value; returns whether it is common.
    pub(super) fn note(&self, seen: VisitorValue, now: u64) -> bool {
        let values = self.0.get_with(seen.name, Arc::default);
        let mut values = values.lock().unwrap_or_else(PoisonError::into_inner);
        values.note(seen, now)
    }
}

impl Values {
    fn note(&mut self, seen: VisitorValue, now: u64) -> bool {
        if self.are_personal {
            return false;
        }
        let Some(known) = self.known.iter_mut().find(|known| known.value == seen.value) else {
            self.introduce(seen, now);
            return false;
        };
        known.note(seen.network, now)
    }

    fn introduce(&mut self, seen: VisitorValue, now: u64) {
        let of_network = self.known.iter().filter(|known| known.introduced_by == seen.network);
        if of_network.count() >= MAX_INTRODUCED {
            return;
        }
        if self.known.len() == MAX_VALUES {
            self.are_personal = true;
            self.known = Vec::new();
            return;
        }
        self.known.push(SeenValue {
            value: seen.value,
            introduced_by: seen.network,
            is_common: false,
            since: now,
            networks: vec![seen.network],
        });
    }
}

impl SeenValue {
    fn note(&mut self, network: u64, now: u64) -> bool {
        if self.is_common {
            return true;
        }
        if self.networks.is_empty() || now.saturating_sub(self.since) > WINDOW {
            self.networks.clear();
            self.since = now;
        }
        if !self.networks.contains(&network) {
            self.networks.push(network);
        }
        if self.networks.len() >= MANY {
            self.is_common = true;
            self.networks = Vec::new();
        }
        self.is_common
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes (value, network, time) in turn, and returns whether the last is common.
    fn last(seen: impl IntoIterator<Item = (u64, u64, u64)>) -> bool {
        let pairs = CommonPairs::default();
        let note = |(value, network, now)| {
            let name = 1;
            pairs.note(VisitorValue { name, value, network }, now)
        };
        seen.into_iter().map(note).last().unwrap_or_default()
    }

    #[test]
    fn a_value_is_common_that_many_networks_have_at_a_time() {
        for (what, seen, expected) in [
            ("seven networks", (1..=7).map(|n| (1, n, 0)).collect::<Vec<_>>(), false),
            ("eight networks", (1..=8).map(|n| (1, n, 0)).collect(), true),
            (
                "the ninth is another page's",
                (1..=8).map(|n| (1, n, 0)).chain([(1, 1, 90_000)]).collect(),
                true,
            ),
            ("one network", (1..=100).map(|_| (1, 1, 0)).collect(), false),
            (
                "a visitor who moves",
                (1..=100).map(|n| (1, n, n * 120)).collect(),
                false,
            ),
            ("a value each", (1..=100).map(|n| (n, n, 0)).collect(), false),
            ("two values of many", (1..=16).map(|n| (n % 2, n, 0)).collect(), true),
            (
                "an identifier, then one of them from many networks",
                (1..=17).map(|n| (n, n, 0)).chain((1..=50).map(|n| (1, n, 0))).collect(),
                false,
            ),
            (
                "a common value, then an identifier",
                (1..=8)
                    .map(|n| (1, n, 0))
                    .chain((1..=17).map(|n| (n, n, 0)))
                    .chain([(1, 1, 0)])
                    .collect(),
                false,
            ),
            (
                "values that one network invents",
                (1..=100)
                    .map(|n| (n, 1, 0))
                    .chain((1..=8).map(|n| (1000, n + 1, 0)))
                    .collect(),
                true,
            ),
        ] {
            assert_eq!(last(seen), expected, "{what}");
        }
    }
}
