//! What holds for the connections of one listening address, and which address a connection came to.

use std::net::SocketAddr;

use crate::{
    listen::{ClientLimits, Tls},
    peer::{ProxyProtocol, Scheme, Trusted, canonical},
};

/// What a reload replaces as a whole. A connection keeps what it began with.
#[derive(Debug)]
pub(crate) struct ListenSnapshot {
    /// How long clients may take, and how many connections they may have.
    pub limits: ClientLimits,
    /// The addresses that are listened on.
    pub listeners: Vec<Listener>,
}

/// The settings of one listening address.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether connections begin with a PROXY header.
    pub proxy_protocol: ProxyProtocol,
    /// Who may speak for others.
    pub trusted: Trusted,
    /// What clients speak, whatever connections tell; `None` leaves it to them.
    pub scheme: Option<Scheme>,
    /// HTTP/1.1 clients may change to HTTP/2 by `Upgrade: h2c`.
    pub h2c_upgrade: bool,
    /// Ends TLS here.
    pub tls: Option<Tls>,
}

/// The listener that a connection to this local address came to: the exact one, else the one on
/// every address of the port. A socket on `[::]` may take IPv4, too.
pub(in crate::listen) fn find(listeners: &[Listener], local: SocketAddr) -> Option<&Listener> {
    let local = canonical(local);
    let exact = |listener: &&Listener| canonical(listener.address) == local;
    let every =
        |listener: &&Listener| listener.address.ip().is_unspecified() && listener.address.port() == local.port();
    let same_family = |listener: &&Listener| every(listener) && listener.address.is_ipv4() == local.is_ipv4();
    let first = |which: &dyn Fn(&&Listener) -> bool| listeners.iter().find(|listener| which(listener));
    first(&exact).or_else(|| first(&same_family)).or_else(|| first(&every))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_address_goes_before_every_address() {
        let addresses = ["0.0.0.0:80", "[::]:80", "127.0.0.1:80", "[::]:81", "[::1]:82"];
        let listeners = addresses.map(|address| Listener {
            address: address.parse().expect("an address"),
            proxy_protocol: ProxyProtocol::Off,
            trusted: Trusted::default(),
            scheme: None,
            h2c_upgrade: true,
            tls: None,
        });
        let found = |local: &str| {
            let local = local.parse().expect("an address");
            find(&listeners, local).map(|listener| listener.address.to_string())
        };
        for (local, expected) in [
            ("127.0.0.1:80", Some("127.0.0.1:80")),
            ("[::ffff:127.0.0.1]:80", Some("127.0.0.1:80")),
            ("10.0.0.1:80", Some("0.0.0.0:80")),
            ("[::ffff:10.0.0.1]:80", Some("0.0.0.0:80")),
            ("[2001:db8::1]:80", Some("[::]:80")),
            ("[::ffff:10.0.0.1]:81", Some("[::]:81")),
            ("[::1]:82", Some("[::1]:82")),
            ("[::2]:82", None),
            ("127.0.0.1:83", None),
        ] {
            assert_eq!(found(local).as_deref(), expected, "{local}");
        }
    }
}
