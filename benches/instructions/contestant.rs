//! Lists the servers that are compared.

use std::path::{Path, PathBuf};

use super::{
    measure::Mode,
    support::{
        peers::{PEERS, Peer},
        servers::{Server, Site, installed},
    },
};

/// A server that is compared, whether or not it is installed.
#[derive(Debug)]
pub(crate) struct Contestant {
    /// Its name in the table, without a version.
    pub(crate) name: &'static str,
    /// Whether it pushes the assets that a response links to.
    pub(crate) pushes: bool,
    /// Whether it caches assets below `/cached/`.
    pub(crate) caches: bool,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Linkpush(PathBuf),
    Peer(Peer),
}

impl Contestant {
    /// Returns all: the linkpush that was built, another build of linkpush if one is given, and the peers.
    pub(crate) fn all(site: &Site, beside: Option<&Path>) -> Vec<Self> {
        let linkpush = |name, program: &Path| Self {
            name,
            pushes: true,
            caches: true,
            kind: Kind::Linkpush(program.to_owned()),
        };
        let builds = [
            Some(linkpush(LINKPUSH, &site.linkpush)),
            beside.map(|program| linkpush(OTHER, program)),
        ];
        let peers = SINGLE.into_iter().filter_map(|(name, args)| {
            let peer = PEERS.iter().find(|peer| peer.name == name)?;
            if installed(peer.program).is_none() {
                eprintln!("{name} is left out: {} is not installed", peer.program);
                return None;
            }
            Some(Self {
                name,
                pushes: peer.pushes,
                caches: peer.caches,
                kind: Kind::Peer(Peer { args, ..*peer }),
            })
        });
        builds.into_iter().flatten().chain(peers).collect()
    }

    /// Returns whether it is a build of linkpush, whose sources are known.
    pub(crate) const fn is_linkpush(&self) -> bool {
        matches!(self.kind, Kind::Linkpush(_))
    }

    /// Starts the server. Prints why and returns `None` if it cannot start.
    pub(crate) fn start(&self, site: &mut Site, mode: Mode) -> Option<Server> {
        match &self.kind {
            Kind::Peer(peer) => site.peer(peer),
            Kind::Linkpush(program) => {
                site.linkpush.clone_from(program);
                let settings = match mode {
                    Mode::Plain => "push: auto, cache: off",
                    Mode::CachedAssets => "push: auto, cache: assets",
                    Mode::Learning => "push: auto, cache: off, learn: on",
                };
                site.linkpush(self.name, settings)
            }
        }
    }
}

/// The name of the build under test.
pub(crate) const LINKPUSH: &str = "linkpush";

/// The name of the build that is measured beside it.
pub(crate) const OTHER: &str = "the other linkpush";

/// The peers, and the arguments with which the started process itself serves, without workers.
const SINGLE: [(&str, &[&str]); 3] = [
    ("nginx", &["-c", "CONFIG", "-g", "master_process off;"]),
    ("nghttpx", &["--conf=CONFIG", "--single-process"]),
    ("HAProxy", &["-f", "CONFIG"]),
];
