//! Whose word about others is believed. Pure.
//!
//! Made by `config`, asked by `listen` once a connection.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use ipnet::IpNet;

/// Networks whose addresses may speak for others: by a PROXY header, and in X-Forwarded-*.
///
/// # Defaults
///
/// None: nobody speaks for another. Clones share the networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trusted(Arc<[IpNet]>);

impl Trusted {
    /// These networks. An IPv4 network holds its addresses in their IPv6 form, too.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks.into())
    }

    /// Whether no address is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an address is in one of the networks.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Whether the connections of a listener begin with a PROXY header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// They do not: a header is taken for a malformed request.
    #[default]
    Off,
    /// They do; one that does not is closed.
    Required,
}

/// An address in the form that it has without a socket for both families: `::ffff:192.0.2.1`, which
/// a listener on `[::]` sees, is `192.0.2.1`.
#[must_use]
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_its_addresses_in_both_forms() {
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
