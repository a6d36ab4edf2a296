//! A configuration made ready to serve: what connections and requests find when they begin.

use std::{net::SocketAddr, sync::Arc};

use arc_swap::ArcSwap;

use super::manifests;
use crate::{
    cache,
    config::{ClientLimits, Config, ListenerPolicy},
    h2,
    learn::Store,
    listen::{self, Tls, TlsError},
    proxy,
    upstream::{self, Names, Pool},
    url_hash::random_secret,
};

/// Why a listener cannot be made ready: its TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("listener {address}")]
pub struct ListenerError {
    /// Where it listens.
    address: SocketAddr,
    /// What is wrong.
    source: TlsError,
}

/// What a reload replaces; each is read once per connection or request.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) edge: Arc<ArcSwap<proxy::ProxySnapshot>>,
    pub(super) entrance: Arc<ArcSwap<listen::Live>>,
    pub(super) http2: ArcSwap<h2::Limits>,
    /// Where the listeners really listen, in their order.
    addresses: Vec<SocketAddr>,
    /// Outlives every reload.
    pub(super) manifests: Arc<Store>,
    /// The same.
    pub(super) cache: &'static cache::Store,
}

impl Parts {
    /// The parts of a configuration whose listeners really listen on these addresses.
    pub(super) fn new(config: &Config, addresses: Vec<SocketAddr>) -> Result<Self, ListenerError> {
        let new = Ready::new(config, &addresses, &[])?;
        Ok(Self {
            edge: Arc::new(ArcSwap::from_pointee(new.edge)),
            entrance: Arc::new(ArcSwap::from_pointee(new.entrance)),
            http2: ArcSwap::from_pointee(new.http2),
            manifests: Arc::new(manifests::load(&config.server.manifests)),
            // Pingora's cache wants it for as long as the process lives, and so does the server.
            cache: Box::leak(Box::new(cache::Store::new(config.server.cache, random_secret()))),
            addresses,
        })
    }

    /// Makes the parts of another configuration, then replaces these at once: what fails, fails
    /// before anything is replaced. Its listeners must be as many, and in the same order.
    pub(super) fn replace(&self, config: &Config) -> Result<(), ListenerError> {
        let new = Ready::new(config, &self.addresses, &self.edge.load().pools)?;
        self.edge.store(Arc::new(new.edge));
        self.entrance.store(Arc::new(new.entrance));
        self.http2.store(Arc::new(new.http2));
        Ok(())
    }

    /// Spawns what keeps the pools up to date, for those that have none yet.
    pub(super) fn keep_up(&self) {
        for pool in &self.edge.load().pools {
            tokio::spawn(upstream::upkeep(Arc::downgrade(pool)));
        }
    }
}

struct Ready {
    edge: proxy::ProxySnapshot,
    entrance: listen::Live,
    http2: h2::Limits,
}

impl Ready {
    /// Pools whose settings have not changed are taken over with all they know.
    fn new(config: &Config, addresses: &[SocketAddr], pools: &[Arc<Pool>]) -> Result<Self, ListenerError> {
        let limits = &config.server.limits;
        let names = Names::new(config.server.resolver.clone());
        let pools = upstream::renew(&config.upstreams, &names, pools);
        let listeners = config
            .listeners
            .iter()
            .zip(addresses)
            .map(|(listener, address)| listening(listener, *address))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            edge: proxy::ProxySnapshot {
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
                    max_connections_per_client: limits.max_connections_per_client,
                    max_header_bytes: limits.max_header_bytes as usize,
                    max_header_fields: limits.max_header_fields,
                    write_timeout: limits.write_timeout,
                    graceful_timeout: config.server.graceful_timeout,
                },
                listeners,
            },
            http2: http2_limits(limits),
        })
    }
}

/// What holds for the connections that come to an address.
fn listening(listener: &ListenerPolicy, address: SocketAddr) -> Result<listen::Listener, ListenerError> {
    let tls = match &listener.certificates[..] {
        [] => None,
        some => Some(Tls::new(some.to_vec()).map_err(|source| ListenerError { address, source })?),
    };
    Ok(listen::Listener {
        address,
        proxy_protocol: listener.proxy_protocol,
        trusted: listener.trusted.clone(),
        scheme: listener.scheme,
        h2c_upgrade: listener.h2c_upgrade,
        tls,
    })
}

fn http2_limits(limits: &ClientLimits) -> h2::Limits {
    h2::Limits {
        max_streams: limits.max_streams,
        max_header_bytes: limits.max_header_bytes,
        max_header_fields: limits.max_header_fields,
        max_malformed: limits.max_malformed,
        diary_entries: limits.diary_entries,
        handshake_timeout: limits.handshake_timeout,
        idle_timeout: limits.idle_timeout,
        read_timeout: limits.read_timeout,
        write_timeout: limits.write_timeout,
    }
}
