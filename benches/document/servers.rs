//! Starts the servers that are compared: linkpush and the other proxies that are installed. Their configurations are in
//! `benches/support`.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
};

use super::{
    origin::Early,
    support::{
        peers::PEERS,
        servers::{Server, Site},
    },
};

/// The compared peers, and whether the origin sends them a `103`.
const PUSHING: [(&str, Early); 4] = [
    ("nginx", Early::Nothing),
    ("nghttpx", Early::Hints),
    ("h2o", Early::Hints),
    ("Apache", Early::Hints),
];

/// Starts linkpush and each installed peer on this address, and prints which are not installed.
pub(crate) fn start_all(folder: &Path, host: IpAddr, origin: impl Fn(Early) -> SocketAddr) -> Vec<Server> {
    let site = |early| Site::new(folder, host, origin(early));
    let linkpush = site(Early::Nothing).linkpush("linkpush", "push: auto, learn: on");
    let mut servers = vec![linkpush.expect("linkpush starts")];
    for peer in &PEERS {
        let early = PUSHING.iter().find(|(name, _)| *name == peer.name);
        servers.extend(early.and_then(|(_, early)| site(*early).peer(peer)));
    }
    servers
}
