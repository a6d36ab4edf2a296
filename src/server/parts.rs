//! Makes a configuration ready to serve: the settings that connections and requests load when they begin, which a
//! reload replaces.

use std::{net::SocketAddr, sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;
use log::warn;
use opentelemetry_otlp::ExporterBuildError;

use super::{config_status::ConfigStatus, descriptors, manifests};
use crate::{
    cache,
    config::{ClientLimits, Config, ListenerPolicy},
    h2,
    learn::ManifestStore,
    listen::{self, Tls, TlsError},
    proxy,
    telemetry::{RouteMeters, spans::Spans},
    upstream::{self, Pool, Resolver},
    url_hash::random_secret,
};

/// The TLS of a listener cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("listener {address}")]
pub struct ListenerError {
    /// The listener's address.
    address: SocketAddr,
    /// The cause.
    source: TlsError,
}

/// Why a configuration cannot be made ready to serve.
#[derive(Debug, thiserror::Error)]
pub enum PartsError {
    /// The TLS of a listener cannot be set up.
    #[error(transparent)]
    Listener(#[from] ListenerError),
    /// The collector of traces cannot be used.
    #[error("server.traces.otlp")]
    Traces(#[from] ExporterBuildError),
}

/// The settings that a reload replaces, each loaded once per connection or request; and the stores, which outlive
/// reloads.
#[derive(Debug)]
pub(super) struct ServerParts {
    pub(super) edge: Arc<ArcSwap<proxy::ProxySnapshot>>,
    pub(super) listen: Arc<ArcSwap<listen::ListenSnapshot>>,
    pub(super) http2: ArcSwap<h2::Limits>,
    /// The actual addresses of the listeners, in their order: a configured port 0 has become the system's choice.
    addresses: Vec<SocketAddr>,
    /// The links that documents had before; outlives every reload.
    pub(super) manifests: Arc<ManifestStore>,
    /// The stored responses; outlive every reload.
    pub(super) cache: &'static cache::Store,
    /// The configuration in force, as metrics tell it.
    pub(super) status: ConfigStatus,
}

impl ServerParts {
    /// Makes the parts of a configuration whose listeners have these actual addresses.
    pub(super) fn new(config: &Config, addresses: Vec<SocketAddr>) -> Result<Self, PartsError> {
        let new = Ready::new(config, &addresses, &[], (&RouteMeters::default(), None))?;
        Ok(Self {
            edge: Arc::new(ArcSwap::from_pointee(new.edge)),
            listen: Arc::new(ArcSwap::from_pointee(new.listen)),
            http2: ArcSwap::from_pointee(new.http2),
            manifests: Arc::new(manifests::load(&config.server.manifests)),
            // Pingora's cache needs a `'static` store, and the server lives as long as the process.
            cache: Box::leak(Box::new(cache::Store::new(config.server.cache, random_secret()))),
            status: ConfigStatus::new(config, &addresses),
            addresses,
        })
    }

    /// Makes the parts of another configuration, then replaces these; an error leaves everything unchanged. Its
    /// listeners must have the same addresses in the same order.
    pub(super) fn replace(&self, config: &Config) -> Result<(), PartsError> {
        let old = self.edge.load();
        let kept = (&old.meters, old.spans.as_ref());
        let new = Ready::new(config, &self.addresses, &old.pools, kept)?;
        self.edge.store(Arc::new(new.edge));
        self.listen.store(Arc::new(new.listen));
        self.http2.store(Arc::new(new.http2));
        self.status.reloaded(config, &self.addresses);
        Ok(())
    }

    /// Spawns the maintenance of each pool (DNS, health checks) that has none yet.
    pub(super) fn keep_up(&self) {
        for pool in &self.edge.load().pools {
            tokio::spawn(upstream::maintenance(Arc::downgrade(pool)));
        }
    }
}

/// The parts of one configuration, before they are put into service.
struct Ready {
    edge: proxy::ProxySnapshot,
    listen: listen::ListenSnapshot,
    http2: h2::Limits,
}

impl Ready {
    /// Makes the parts. Pools of `pools` whose settings have not changed are reused with their state, and so are `spans`;
    /// the counters of routes in `meters` whose names have not changed go on.
    fn new(
        config: &Config,
        addresses: &[SocketAddr],
        pools: &[Arc<Pool>],
        (meters, spans): (&RouteMeters, Option<&Arc<Spans>>),
    ) -> Result<Self, PartsError> {
        let limits = &config.server.limits;
        let spans = match (&config.server.traces, spans) {
            (None, _) => None,
            (Some(policy), Some(kept)) if kept.policy() == policy => Some(Arc::clone(kept)),
            (Some(policy), _) => Some(Arc::new(Spans::new(policy.clone())?)),
        };
        let names = Resolver::new(config.server.resolver.clone());
        let pools = upstream::renew(&config.upstreams, &names, pools);
        let listeners = config
            .listeners
            .iter()
            .zip(addresses)
            .map(|(listener, address)| listening(listener, *address))
            .collect::<Result<_, ListenerError>>()?;
        Ok(Self {
            edge: proxy::ProxySnapshot {
                meters: RouteMeters::renew(config.routes.iter().map(|route| &*route.name), meters),
                routes: config.routes.clone(),
                pools,
                timeouts: proxy::Timeouts {
                    read: limits.read_timeout,
                    write: limits.write_timeout,
                },
                request_ids: proxy::RequestIds {
                    policy: config.server.request_id,
                    ..proxy::RequestIds::default()
                },
                spans,
            },
            listen: listen::ListenSnapshot {
                limits: listen::ListenLimits {
                    handshake_timeout: limits.handshake_timeout,
                    idle_timeout: limits.idle_timeout,
                    max_connections: descriptors::max_connections(config.server.max_connections),
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

/// Makes a listener with this actual address.
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

/// Logs the warnings of a configuration, which do not keep it from being used.
pub(super) fn warn_of(config: &Config) {
    for warning in config.warnings(SystemTime::now()) {
        warn!("{warning}");
    }
}
