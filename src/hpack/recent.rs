//! Holds the dynamic table of an encoder, and finds its entries by their names.

use std::collections::VecDeque;
use std::hash::{Hash as _, Hasher};

use http::HeaderName;

use super::FIELD_OVERHEAD;

/// Chains of entries; a response has about ten names.
const CHAINS: usize = 64;

/// The only pseudo-header that enters the table.
pub(super) const AUTHORITY: &[u8] = b":authority";

/// The multiplier of Fibonacci hashing, 2⁶⁴ over the golden ratio: the highest bits of a product depend on all bits.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

/// The prime of FNV-1a.
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// Slots for pairs of name and value that came once.
const SEEN: usize = 16;

/// The dynamic table of an encoder. Entries whose names have equal hashes are chained, newest first.
///
/// Entries are numbered in the order of insertion, and evicted in that order. So a number alone tells whether its entry
/// still exists, and an eviction need not unlink an entry from its chain.
#[derive(Debug)]
pub(super) struct Recent {
    /// The entries, newest last.
    entries: VecDeque<RecentField>,
    /// The number of the newest entry; numbers begin with 1.
    newest: u32,
    /// The heads of the chains, allocated with the first entry.
    heads: Option<Box<ChainHeads>>,
    size: usize,
    max_size: usize,
}

#[derive(Debug)]
struct ChainHeads {
    /// The number of the newest entry of each chain.
    chains: [u32; CHAINS],
    /// The hashes of pairs that came once and were not inserted.
    seen: [u32; SEEN],
}

#[derive(Debug)]
struct RecentField {
    name: EntryName,
    /// A copy of the value, which may be part of a larger buffer.
    value: Box<[u8]>,
    /// The number of the next older entry of the chain.
    older: u32,
}

/// The name of an entry.
#[derive(Debug)]
pub(super) enum EntryName {
    Field(HeaderName),
    /// `:authority`.
    Authority,
}

/// The best match for a field in the dynamic table, with the number of entries that are newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RecentMatch {
    /// An entry with the field's name and value.
    Pair(usize),
    /// An entry with the field's name only.
    Name(usize),
    Nothing,
}

impl Recent {
    /// Creates an empty table.
    pub(super) fn new(max_size: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            newest: 0,
            heads: None,
            size: 0,
            max_size,
        }
    }

    /// Returns the maximum size of the table, octets.
    pub(super) fn max_size(&self) -> usize {
        self.max_size
    }

    /// Changes the maximum size, and evicts entries beyond it.
    pub(super) fn resize(&mut self, max_size: usize) {
        self.max_size = max_size;
        self.evict(max_size);
    }

    /// Finds a regular field; `hash` is the hash of its name.
    #[inline]
    pub(super) fn find_field(&self, hash: Hash, name: &HeaderName, value: &[u8]) -> RecentMatch {
        self.find(
            hash,
            |known| matches!(known, EntryName::Field(known) if known == name),
            value,
        )
    }

    /// Finds an `:authority`.
    pub(super) fn find_authority(&self, hash: Hash, value: &[u8]) -> RecentMatch {
        self.find(hash, |known| matches!(known, EntryName::Authority), value)
    }

    /// Finds the newest entry with this name and value, or else the newest entry with this name.
    #[inline]
    fn find(&self, hash: Hash, is_name: impl Fn(&EntryName) -> bool, value: &[u8]) -> RecentMatch {
        let mut found = RecentMatch::Nothing;
        let Some(mut number) = self
            .heads
            .as_ref()
            .and_then(|heads| heads.chains.get(hash.chain()))
            .copied()
        else {
            return found;
        };
        // Each next entry must be older than the last: numbers wrap around.
        let mut least = 0;
        while let age = usize::try_from(self.newest.wrapping_sub(number)).unwrap_or(usize::MAX)
            && age >= least
            && let Some(entry) = self
                .entries
                .len()
                .checked_sub(age + 1)
                .and_then(|at| self.entries.get(at))
        {
            if is_name(&entry.name) {
                if same(&entry.value, value) {
                    return RecentMatch::Pair(age);
                }
                if found == RecentMatch::Nothing {
                    found = RecentMatch::Name(age);
                }
            }
            least = age + 1;
            number = entry.older;
        }
        found
    }

    /// Returns whether the slot of a pair of name and value already has the pair's hash, and stores the hash there.
    pub(super) fn came_before(&mut self, hash: Hash, value: &[u8]) -> bool {
        let pair = hash.with(value);
        let Some(heads) = &mut self.heads else { return false };
        let Some(seen) = heads.seen.get_mut(pair.chain() % SEEN) else {
            return false;
        };
        std::mem::replace(seen, pair.low()) == pair.low()
    }

    /// Inserts a field whose size is the table's maximum at most.
    pub(super) fn insert(&mut self, hash: Hash, name: EntryName, value: &[u8]) {
        let size = size(&name, value);
        self.evict(self.max_size.saturating_sub(size));
        self.newest = self.newest.wrapping_add(1);
        let heads = self.heads.get_or_insert_with(|| {
            Box::new(ChainHeads {
                chains: [0; CHAINS],
                seen: [0; SEEN],
            })
        });
        let Some(head) = heads.chains.get_mut(hash.chain()) else {
            return;
        };
        let older = std::mem::replace(head, self.newest);
        self.entries.push_back(RecentField {
            name,
            value: value.into(),
            older,
        });
        self.size += size;
    }

    /// Evicts the oldest entries until the rest takes `limit` octets at most.
    fn evict(&mut self, limit: usize) {
        while self.size > limit {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.size -= size(&oldest.name, &oldest.value);
        }
    }
}

/// Returns the size of an entry (RFC 7541 section 4.1), octets.
fn size(name: &EntryName, value: &[u8]) -> usize {
    let name_len = match name {
        EntryName::Field(name) => name.as_str().len(),
        EntryName::Authority => AUTHORITY.len(),
    };
    name_len + value.len() + FIELD_OVERHEAD
}

/// Returns whether values are equal. Most values have 8 to 32 octets: two overlapping chunks are compared inline, which
/// costs less than a call of `memcmp`.
#[inline]
fn same(one: &[u8], other: &[u8]) -> bool {
    fn ends<const N: usize>(one: &[u8], other: &[u8]) -> bool {
        one.first_chunk::<N>() == other.first_chunk() && one.last_chunk::<N>() == other.last_chunk()
    }
    one.len() == other.len()
        && match one.len() {
            8..=16 => ends::<8>(one, other),
            17..=32 => ends::<16>(one, other),
            _ => one == other,
        }
}

/// A cheap hash of a name. Names with equal hashes may differ.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hash(u64);

/// Hashes a name as the http crate presents it: the number of a well-known name, or else the octets.
struct NameHasher(u64);

impl Hasher for NameHasher {
    #[inline]
    fn write(&mut self, name: &[u8]) {
        self.0 ^= ends(name);
    }

    #[inline]
    fn write_isize(&mut self, number: isize) {
        self.0 = (self.0 << 8) ^ number.unsigned_abs() as u64;
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0.wrapping_mul(MIX)
    }
}

/// Returns the first and last four octets of a name, and its length mixed in: enough to tell usual names apart.
const fn ends(name: &[u8]) -> u64 {
    let (head, tail) = match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        (Some(head), Some(tail)) => (u32::from_le_bytes(*head), u32::from_le_bytes(*tail)),
        _ => match name {
            [a, b, c] => (u32::from_le_bytes([*a, *b, *c, 0]), 0),
            [a, b] => (u32::from_le_bytes([*a, *b, 0, 0]), 0),
            [a] => (*a as u32, 0),
            _ => (0, 0),
        },
    };
    (((head as u64) << 32) | tail as u64).wrapping_add(name.len() as u64)
}

impl Hash {
    /// The hash of `:authority`.
    pub(super) const AUTHORITY: Self = Self::of_octets(AUTHORITY);

    /// Hashes the name of a regular field.
    #[inline]
    pub(super) fn of(name: &HeaderName) -> Self {
        let mut hasher = NameHasher(0);
        name.hash(&mut hasher);
        Self(hasher.finish())
    }

    /// Hashes the octets of a name; usable at compile time.
    pub(super) const fn of_octets(name: &[u8]) -> Self {
        Self(ends(name).wrapping_mul(MIX))
    }

    /// Returns the hash of the pair of the hashed name and a value.
    fn with(self, value: &[u8]) -> Self {
        // The whole value counts: values of one name may differ in the middle only. Only literals pay for the loop.
        Self(
            value
                .iter()
                .fold(self.0, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
                .wrapping_mul(MIX),
        )
    }

    /// Returns the index of a chain.
    #[inline]
    fn chain(self) -> usize {
        self.slot() % CHAINS
    }

    /// Returns the highest 8 bits, which depend on all bits of the name.
    #[inline]
    pub(super) const fn slot(self) -> usize {
        let [high, ..] = self.0.to_be_bytes();
        high as usize
    }

    /// Returns 32 bits that `slot` does not use.
    fn low(self) -> u32 {
        let [_, a, b, c, d, ..] = self.0.to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}
