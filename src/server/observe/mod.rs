//! Tells the numbers and the health of the running server.
//!
//! Reading order: [`ObservedServer`] here (all that is told), `requests`, `origins`, `clients`, `stores`, `state` (families of
//! numbers), `ready` (whether traffic may be sent here), `endpoint` (the address at which all this is asked for).

mod clients;
mod endpoint;
mod origins;
mod ready;
mod requests;
mod state;
mod stores;

use std::{sync::Arc, time::SystemTime};

use tokio::sync::watch;

pub(super) use endpoint::MetricsEndpoint;

use super::parts::ServerParts;
use crate::{
    h2::RequestScheduler,
    listen::{ListenMeter, OpenConnections},
    telemetry::{Http2Meter, MetricFamily},
};

/// The stages of the server's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LifeStage {
    /// The listeners do not accept connections yet.
    Starting,
    /// Requests are served.
    Serving,
    /// A shutdown has begun: running requests finish.
    Draining,
    /// Another process has the sockets, and is the service now.
    HandedOver,
}

/// The parts of a server whose numbers are told.
#[derive(Debug)]
pub(super) struct ObservedServer {
    pub(super) parts: Arc<ServerParts>,
    pub(super) listen: Arc<ListenMeter>,
    pub(super) connections: OpenConnections,
    pub(super) http2: Arc<Http2Meter>,
    pub(super) scheduler: Arc<RequestScheduler>,
    pub(super) stage: watch::Sender<LifeStage>,
    pub(super) started: SystemTime,
}

impl ObservedServer {
    /// Returns all numbers of this moment.
    pub(super) fn snapshot(&self) -> Vec<MetricFamily> {
        let edge = self.parts.edge.load();
        let mut families = vec![state::build(), state::ready(self.readiness().is_ready)];
        families.extend(requests::families(&edge.meters));
        families.extend(origins::families(&edge.pools));
        families.extend(clients::families(
            &self.listen,
            self.connections.count(),
            &self.http2,
            self.scheduler.waits(),
        ));
        families.extend(stores::families(self.parts.cache, &self.parts.manifests));
        families.extend(self.parts.status.families());
        families.push(state::log());
        families.extend(state::process(self.started));
        families
    }

    /// Notes that the server has come to another stage. The last stage stays.
    pub(super) fn enter(&self, stage: LifeStage) {
        self.stage.send_if_modified(|now| {
            let changes = *now != stage && *now != LifeStage::HandedOver;
            if changes {
                *now = stage;
            }
            changes
        });
    }
}
