//! Who is compared.

use super::support::{
    peers::{PEERS, Peer},
    servers::{Server, Site},
};

/// One that is compared, whether it is installed or not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contestant {
    /// Without a version.
    pub(crate) name: &'static str,
    /// Whether it pushes what a response links to.
    pub(crate) pushes: bool,
    /// Whether it caches assets below `/cached/`.
    pub(crate) caches: bool,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// With these settings of its route.
    Linkpush(&'static str),
    PlainPingora,
    Peer(&'static Peer),
}

impl Contestant {
    /// linkpush as it is by default, then with less, then the others.
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

    /// Whether it is one of those that linkpush is measured against.
    pub(crate) fn is_peer(&self) -> bool {
        matches!(self.kind, Kind::Peer(_))
    }

    /// Starts it; none, and a word about it, if it cannot be.
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

/// The one whose ratios are shown.
pub(crate) const LINKPUSH: &str = "linkpush";
