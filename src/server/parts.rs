//! A configuration made ready to serve: what connections and requests find when they begin.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::{
    config::{Config, Limits},
    h2, listen, proxy,
    upstream::{self, Names, Pool},
};

/// What a reload replaces; each is read once per connection or request.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) edge: Arc<ArcSwap<proxy::Live>>,
    pub(super) entrance: Arc<ArcSwap<listen::Live>>,
    pub(super) http2: ArcSwap<h2::Limits>,
}

impl Parts {
    /// The parts of a configuration.
    pub(super) fn new(config: &Config) -> Self {
        let new = Ready::new(config, &[]);
        Self {
            edge: Arc::new(ArcSwap::from_pointee(new.edge)),
            entrance: Arc::new(ArcSwap::from_pointee(new.entrance)),
            http2: ArcSwap::from_pointee(new.http2),
        }
    }

    /// Replaces these by the parts of another configuration.
    pub(super) fn replace(&self, config: &Config) {
        let new = Ready::new(config, &self.edge.load().pools);
        self.edge.store(Arc::new(new.edge));
        self.entrance.store(Arc::new(new.entrance));
        self.http2.store(Arc::new(new.http2));
    }

    /// Spawns what keeps the pools up to date, for those that have none yet.
    pub(super) fn keep_up(&self) {
        for pool in &self.edge.load().pools {
            tokio::spawn(upstream::upkeep(Arc::downgrade(pool)));
        }
    }
}

struct Ready {
    edge: proxy::Live,
    entrance: listen::Live,
    http2: h2::Limits,
}

impl Ready {
    /// Pools whose settings have not changed are taken over with all they know.
    fn new(config: &Config, pools: &[Arc<Pool>]) -> Self {
        let limits = &config.server.limits;
        let names = Names::new(config.server.resolver.clone());
        let pools = upstream::renew(&config.upstreams, &names, pools);
        Self {
            edge: proxy::Live {
                routes: config.routes.clone(),
                pools,
                timeouts: proxy::Timeouts {
                    read: limits.read_timeout,
                    write: limits.write_timeout,
                },
            },
            entrance: listen::Live {
                limits: listen::Limits {
                    handshake_timeout: limits.handshake_timeout,
                    idle_timeout: limits.idle_timeout,
                },
            },
            http2: http2_limits(limits),
        }
    }
}

fn http2_limits(limits: &Limits) -> h2::Limits {
    h2::Limits {
        max_streams: limits.max_streams,
        max_header_bytes: limits.max_header_bytes,
        max_malformed: limits.max_malformed,
        diary_entries: limits.diary_entries,
        handshake_timeout: limits.handshake_timeout,
        idle_timeout: limits.idle_timeout,
        read_timeout: limits.read_timeout,
        write_timeout: limits.write_timeout,
    }
}
