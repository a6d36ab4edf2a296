//! Holds the settings of listening addresses, and finds those of a connection by its local address.

use std::net::SocketAddr;

use crate::{
    listen::{ClientLimits, Tls},
    peer::{ProxyProtocol, Scheme, Trusted, canonical},
};

/// The settings that a reload replaces as a whole. A connection keeps those that it began with.
#[derive(Debug)]
pub(crate) struct ListenSnapshot {
    /// Time and size limits of clients.
    pub limits: ClientLimits,
    /// The listening addresses with their settings.
    pub listeners: Vec<Listener>,
}

/// The settings of one listening address.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    /// The listening address.
    pub address: SocketAddr,
    /// Whether connections begin with a PROXY header.
    pub proxy_protocol: ProxyProtocol,
    /// Peers whose PROXY header and `X-Forwarded-*` fields are believed.
    pub trusted: Trusted,
    /// The scheme of every request, if configured; else the connection or the request tells.
    pub scheme: Option<Scheme>,
    /// Whether HTTP/1.1 clients may change to HTTP/2 by `Upgrade: h2c`.
    pub h2c_upgrade: bool,
    /// TLS termination; `None` for cleartext connections.
    pub tls: Option<Tls>,
}

/// Returns the listener of a connection to this local address: the one on exactly that address, else the one on all
/// addresses (`0.0.0.0` or `[::]`) of the port. A socket on `[::]` may take IPv4 connections, too.
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
    fn an_exact_address_precedes_an_unspecified_one() {
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
