//! Limits the open connections of each client.
//!
//! The table has an entry for each client with an open connection and no others, so it never has more entries than the
//! server has connections.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Open connections by client; clones share the table.
#[derive(Debug, Clone, Default)]
pub(super) struct ConnectionLimit(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// The right of a client to one open connection; dropping it gives the right back.
#[derive(Debug)]
pub(super) struct Permit {
    table: ConnectionLimit,
    client: IpAddr,
}

/// The client has reached its limit; holds the number of its open connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} connections are open from there already")]
pub(super) struct TooMany(pub(in crate::listen) usize);

impl ConnectionLimit {
    /// Counts one more connection of a client, or fails if `limit` connections are open. A limit of 0 is none: nothing
    /// is counted, and no permit returned.
    pub(super) fn enter(&self, address: IpAddr, limit: usize) -> Result<Option<Permit>, TooMany> {
        if limit == 0 {
            return Ok(None);
        }
        let client = client(address);
        let mut table = self.table();
        let open = table.entry(client).or_insert(0);
        if *open >= limit {
            return Err(TooMany(*open));
        }
        *open += 1;
        Ok(Some(Permit {
            table: self.clone(),
            client,
        }))
    }

    /// Locks the table, even after a panic of another thread: no panic leaves an entry half changed.
    fn table(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut table = self.table.table();
        if let Entry::Occupied(mut open) = table.entry(self.client) {
            match open.get().saturating_sub(1) {
                0 => drop(open.remove()),
                left => drop(open.insert(left)),
            }
        }
    }
}

/// Returns the address under which a client is counted: an IPv4 address itself; for IPv6 its /64 network, since one
/// client usually owns all addresses of a /64.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_client_has_no_more_connections_than_the_limit() {
        let clients = ConnectionLimit::default();
        let enter = |text| clients.enter(address(text), 2);
        let first = enter("192.0.2.1").expect("room");
        let _second = enter("::ffff:192.0.2.1").expect("room");
        assert_eq!(enter("192.0.2.1").expect_err("full"), TooMany(2));
        let _other = enter("192.0.2.2").expect("another client");
        drop(first);
        enter("192.0.2.1").expect("room again");
    }

    #[test]
    fn all_addresses_of_an_ipv6_64_network_are_one_client() {
        let clients = ConnectionLimit::default();
        let _one = clients.enter(address("2001:db8::1"), 1).expect("room");
        assert!(clients.enter(address("2001:db8::ffff:0:0:2"), 1).is_err());
        assert!(clients.enter(address("2001:db8:0:1::1"), 1).is_ok());
    }

    #[test]
    fn an_entry_is_removed_with_the_last_connection_of_its_client() {
        let clients = ConnectionLimit::default();
        let permits: Vec<_> = (0..100_u8)
            .map(|n| clients.enter(IpAddr::from([192, 0, 2, n]), 1).expect("room"))
            .collect();
        assert_eq!(clients.table().len(), 100);
        assert!(clients.enter(address("192.0.2.7"), 1).is_err());
        drop(permits);
        assert!(clients.table().is_empty());
        assert!(clients.enter(address("192.0.2.7"), 0).expect("no limit").is_none());
        assert!(clients.table().is_empty());
    }
}
