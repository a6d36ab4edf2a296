//! Decides whether requests may be sent to this server: [`Readiness`].

use serde::Serialize;

use super::{LifeStage, ObservedServer};
use crate::{proxy::ProxySnapshot, upstream::NoServer};

/// The answer of `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Readiness {
    /// Whether requests may be sent here.
    #[serde(rename = "ready")]
    pub(super) is_ready: bool,
    /// Why not.
    pub(super) reasons: Vec<NotReady>,
    /// The configuration in force.
    pub(super) configuration: ConfigInForce,
}

/// The configuration in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct ConfigInForce {
    /// Its number since the start, which is 1.
    pub(super) generation: u64,
    /// Whether the last reload failed, so that this configuration is not that of the file.
    pub(super) last_reload_failed: bool,
}

/// Why no requests should be sent here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub(super) enum NotReady {
    /// The listeners do not accept connections yet.
    Starting,
    /// A shutdown has begun, or another process has taken over.
    Draining,
    /// No server of an upstream may be asked.
    NoServer {
        /// The upstream.
        upstream: String,
        /// Why not.
        detail: String,
    },
}

impl ObservedServer {
    /// Returns whether requests may be sent here, and why not.
    pub(super) fn readiness(&self) -> Readiness {
        let mut reasons = Vec::new();
        match *self.stage.borrow() {
            LifeStage::Starting => reasons.push(NotReady::Starting),
            LifeStage::Draining | LifeStage::HandedOver => reasons.push(NotReady::Draining),
            LifeStage::Serving => {}
        }
        reasons.extend(without_server(&self.parts.edge.load()));
        Readiness {
            is_ready: reasons.is_empty(),
            reasons,
            configuration: ConfigInForce {
                generation: self.parts.status.generation(),
                last_reload_failed: self.parts.status.has_failed(),
            },
        }
    }
}

/// Returns the upstreams that a route uses and that have no server which may be asked.
///
/// An ejected server may be asked: failed requests are a guess, and if all servers are ejected, they get requests all
/// the same. If that counted here, one visitor could take this server out of service with requests that fail.
fn without_server(edge: &ProxySnapshot) -> Vec<NotReady> {
    let is_used = |place: usize| edge.routes.iter().any(|route| route.upstream == place);
    let used = edge.pools.iter().enumerate().filter(|(place, _)| is_used(*place));
    let without = used.filter_map(|(_, pool)| Some((pool, pool.may_serve().err()?)));
    without
        .map(|(pool, why): (_, NoServer)| NotReady::NoServer {
            upstream: pool.policy().name.to_string(),
            detail: why.to_string(),
        })
        .collect()
}
