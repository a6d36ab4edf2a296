//! Lists the servers that are compared.

use super::support::{
    peers::{PEERS, Peer},
    servers::{Server, Site},
};

/// A server that is compared, whether or not it is installed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contestant {
    /// Its name in the table, without a version.
    pub(crate) name: &'static str,
    /// Whether it pushes the assets that a response links to.
    pub(crate) pushes: bool,
    /// Whether it caches assets below `/cached/`.
    pub(crate) caches: bool,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// linkpush, with these settings of its route.
    Linkpush(&'static str),
    PlainPingora,
    Peer(&'static Peer),
}

impl Contestant {
    /// Returns all: linkpush by default, linkpush without cache and push, plain Pingora, the peers.
    pub(crate) fn all() -> Vec<Self> {
        let linkpush = |name, settings, pushes, caches| Self {
            name,
            pushes,
            caches,
            kind: Kind::Linkpush(settings),
        };
        let mut all = vec![
            linkpush(LINKPUSH, "push: auto, cache: assets", true, true),
            linkpush("cache off", "push: auto, cache: off", true, false),
            linkpush("push off", "push: off, cache: off", false, false),
            Self {
                name: "plain Pingora",
                pushes: false,
                caches: false,
                kind: Kind::PlainPingora,
            },
        ];
        all.extend(PEERS.iter().map(|peer| Self {
            name: peer.name,
            pushes: peer.pushes,
            caches: peer.caches,
            kind: Kind::Peer(peer),
        }));
        all
    }

    /// Returns whether it is another project's server.
    pub(crate) fn is_peer(&self) -> bool {
        matches!(self.kind, Kind::Peer(_))
    }

    /// Starts the server. Prints why and returns `None` if it cannot start.
    pub(crate) fn start(&self, site: &Site) -> Option<Server> {
        match self.kind {
            Kind::Linkpush(settings) => site.linkpush(self.name, settings),
            Kind::PlainPingora => site.this_program(self.name, |address| {
                ["--serve-plain".to_owned(), address.to_string(), site.origin.to_string()].to_vec()
            }),
            Kind::Peer(peer) => site.peer(peer),
        }
    }
}

/// The contestant whose ratios to the others are shown.
pub(crate) const LINKPUSH: &str = "linkpush";
