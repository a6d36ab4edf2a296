//! Decides which peers are believed about their clients, and whether a PROXY header is required. Pure.
//!
//! `config` makes the values; `listen` checks each connection once.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use ipnet::IpNet;

/// Networks whose addresses are believed about their clients: in a PROXY header and in X-Forwarded-*.
///
/// # Defaults
///
/// No network: no peer is believed. Clones share the networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trusted(Arc<[IpNet]>);

impl Trusted {
    /// Returns these networks. An IPv4 network contains IPv4-mapped IPv6 addresses, too.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks.into())
    }

    /// Returns whether no address is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether an address is in one of the networks.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Whether the connections of a listener begin with a PROXY header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// Connections begin without one; a PROXY header is a malformed request.
    #[default]
    Off,
    /// Connections must begin with one, and are closed otherwise.
    Required,
}

/// Returns an IPv4-mapped IPv6 address as IPv4, others unchanged: a listener on `[::]` sees the client 192.0.2.1 as
/// `::ffff:192.0.2.1`.
#[must_use]
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_network_contains_ipv4_mapped_addresses() {
        let networks = ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"].map(|text| text.parse().expect("a network"));
        let trusted = Trusted::new(networks.to_vec());
        let holds = |text: &str| trusted.contains(text.parse().expect("an address"));
        for inside in ["10.255.0.1", "::ffff:10.1.2.3", "192.0.2.7", "2001:db8:1::1"] {
            assert!(holds(inside), "{inside}");
        }
        for outside in ["11.0.0.1", "192.0.2.8", "::ffff:11.0.0.1", "2001:db9::1", "::10.1.2.3"] {
            assert!(!holds(outside), "{outside}");
        }
        assert!(!Trusted::default().contains(IpAddr::from([127, 0, 0, 1])));
    }
}
