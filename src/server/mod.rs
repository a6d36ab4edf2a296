//! Assembles the server: makes parts from a [`Config`], and a Pingora server from the parts; then controls the process.
//!
//! Reading order: [`Server`] here, `error`, `config_status` (which configuration is in force), `parts` (a configuration
//! made ready to serve), `sockets` (listening sockets), `descriptors` (the limit of open files), `signals` (which signals
//! end or change the server), `fixed` (settings that a
//! reload leaves), `control` (reload, upgrade and shutdown), `manifests` (the file of learned links), `process`
//! (the pid file and its lock), `successor` (the new process of an upgrade), `replace` (files replaced in one step),
//! `writable` (paths tried before they are needed), `observe` (metrics and health), `admin` (`/purge` and `/metrics`),
//! `learned` (`/learned`).

mod admin;
mod config_status;
mod control;
mod descriptors;
mod error;
mod fixed;
mod learned;
mod manifests;
mod observe;
mod parts;
mod process;
mod replace;
mod signals;
mod sockets;
mod successor;
mod writable;

use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use log::{debug, info};
use pingora::{
    apps::HttpServerOptions,
    connectors::ConnectorOptions,
    prelude::Opt,
    protocols::Stream,
    server::{Server as PingoraServer, ShutdownWatch, configuration::ServerConf},
};
use pingora_proxy::{HttpProxy, ProcessCustomSession, ProxyServiceBuilder};
use tokio::sync::watch;

pub use admin::{PURGE_PATH, PurgeRequest, Purged, Refused};
pub use control::ReloadError;
pub use error::ServerError;
pub use learned::{KnownLink, LEARNED_PATH, LearnedDocument, LearnedError, LearnedRequest};
pub use parts::{ListenerError, PartsError};
pub use process::{ProcessError, Reloaded, RunningServer};
pub use sockets::Sockets;
pub use successor::tell_failure;
pub use writable::{Unwritable, UnwritableCause, unwritable};

use crate::{
    config::Config,
    h2,
    listen::{Acceptor, OpenConnections, ServeHttp2, UpgradeRequest},
    peer::ProxyProtocol,
    proxy::{Edge, FreshResponses},
    telemetry::{Http2Meter, log::LogChange},
    upstream::Connector,
};
use control::{OpenWork, SignalControl};
use observe::{LifeStage, MetricsEndpoint, ObservedServer};
use parts::{ServerParts, warn_of};
use process::{PidFile, PidLock};
use sockets::{Listening, OpenSocket};

/// A server that is ready to run.
pub struct Server {
    pingora: PingoraServer,
    work: OpenWork,
    addresses: Vec<SocketAddr>,
    control: SignalControl,
    pid_file: Option<PidFile>,
    /// The lock of the pid file, unless it is to be taken over.
    lock: Option<PidLock>,
    sockets: Sockets,
    observed: Arc<ObservedServer>,
    metrics: Option<MetricsEndpoint>,
}

impl Server {
    /// Assembles a server, and opens the sockets of its listeners unless `sockets` takes over those of an old process.
    ///
    /// `source` is the file that a reload reads, if there is one.
    ///
    /// # Errors
    ///
    /// An address or the admin socket cannot be listened on, TLS cannot be set up, the log's file cannot be opened,
    /// another server has the pid file, or a takeover has none.
    pub fn new(config: Config, source: Option<PathBuf>, sockets: Sockets) -> Result<Self, ServerError> {
        LogChange::to(&config.server.log)?.apply();
        warn_of(&config);
        descriptors::raise();
        let pid_file = config.server.pid_file.clone().map(PidFile::new);
        if sockets == Sockets::TakeOver && pid_file.is_none() {
            return Err(ProcessError::NoPidFile.into());
        }
        // First of all, so that a second server with this file touches nothing of the first one.
        let lock = match (&pid_file, sockets) {
            (Some(pid_file), Sockets::Open) => Some(PidLock::take(pid_file)?),
            _ => None,
        };
        let mut pingora = PingoraServer::new_with_opt_and_conf(opt(sockets), conf(&config, pid_file.as_ref()));
        let open = match sockets {
            Sockets::Open => {
                let open = config.listeners.iter().map(|listener| open_socket(listener.address));
                open.collect::<Result<Vec<_>, _>>()?
            }
            Sockets::TakeOver => Vec::new(),
        };
        let addresses: Vec<SocketAddr> = match sockets {
            Sockets::Open => open.iter().map(OpenSocket::address).collect(),
            Sockets::TakeOver => config.listeners.iter().map(|listener| listener.address).collect(),
        };
        let parts = Arc::new(ServerParts::new(&config, addresses.clone())?);
        let connections = OpenConnections::default();
        let observed = Arc::new(ObservedServer {
            parts: Arc::clone(&parts),
            listen: Arc::default(),
            connections: connections.clone(),
            http2: Arc::default(),
            scheduler: Arc::new(h2::RequestScheduler::new(pingora.configuration.threads)),
            stage: watch::Sender::new(LifeStage::Starting),
            started: SystemTime::now(),
        });
        let metrics = config
            .server
            .metrics
            .map(|address| match sockets {
                Sockets::Open => {
                    MetricsEndpoint::open(address).map_err(|source| ServerError::Listen { address, source })
                }
                Sockets::TakeOver => Ok(MetricsEndpoint::TakeOver(address)),
            })
            .transpose()?;
        let http2 = Http2 {
            memory: Arc::new(FreshResponses::new(
                Arc::clone(&parts.edge),
                Arc::clone(&parts.manifests),
                parts.cache,
            )),
            scheduler: Arc::clone(&observed.scheduler),
            parts: Arc::clone(&parts),
            meter: Arc::clone(&observed.http2),
        };
        let acceptor = Acceptor::new(
            http2,
            Arc::clone(&parts.listen),
            connections.clone(),
            Arc::clone(&observed.listen),
        );
        let edge = Edge::new(Arc::clone(&parts.edge), Arc::clone(&parts.manifests), parts.cache);
        let work = OpenWork {
            connections,
            requests: edge.running(),
        };
        let service = ProxyServiceBuilder::new(&pingora.configuration, edge)
            .name("edge")
            .custom(
                Connector::new(ConnectorOptions::from_server_conf(&pingora.configuration)),
                every_connection(acceptor),
            )
            .server_options(all_custom())
            .build();
        pingora.add_service(Listening::new(service, &addresses, open));
        if let Some(entrance) = &config.server.admin {
            pingora.add_service(admin::service(
                entrance,
                admin::AdminParts::of(&parts),
                Arc::clone(&observed),
                sockets,
            )?);
        }
        info!(
            "{}",
            started(&config, source.as_deref(), &pingora.configuration, &addresses)
        );
        Ok(Self {
            pingora,
            work,
            addresses,
            control: SignalControl::new(config, source, parts),
            pid_file,
            lock,
            sockets,
            observed,
            metrics,
        })
    }

    /// Returns the addresses of the listeners, in the order of the configuration.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Adds another Pingora service to the same process.
    pub fn add_service(&mut self, service: impl pingora::services::ServiceWithDependents + 'static) {
        self.pingora.add_service(service);
    }

    /// Runs until SIGTERM (requests in flight finish first), SIGINT, or a failure.
    ///
    /// # Errors
    ///
    /// The pid file cannot be written, sockets are not handed over, or the server's thread panicked.
    pub fn run(mut self) -> Result<(), ServerError> {
        if let (Sockets::TakeOver, Some(pid_file)) = (self.sockets, &self.pid_file) {
            let old = pid_file.running()?;
            info!("taking over from process {}", process::number(old));
            pid_file.ask_for_sockets(old)?;
            // Pingora ends this process if the sockets do not come.
            tell_failure("the old process did not hand its sockets over in time; the log says more");
            self.pingora.bootstrap();
            successor::forget_failure();
            self.lock = Some(PidLock::take_over(pid_file)?);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ServerError::Runtime)?;
        if let Some(metrics) = self.metrics.take() {
            metrics
                .start(Arc::clone(&self.observed))
                .map_err(ServerError::Runtime)?;
        }
        let control = self
            .control
            .run(self.pingora, self.work, self.lock, &self.addresses, &self.observed);
        runtime.block_on(control)
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

fn opt(sockets: Sockets) -> Option<Opt> {
    (sockets == Sockets::TakeOver).then(|| Opt {
        upgrade: true,
        ..Opt::default()
    })
}

fn conf(config: &Config, pid_file: Option<&PidFile>) -> ServerConf {
    let processors = || thread::available_parallelism().map_or(1, usize::from);
    let threads = config.server.threads;
    let mut conf = ServerConf {
        threads: if threads == 0 { processors() } else { threads },
        // Requests that still run after `graceful_timeout` are cut by the end of the process, which `control` brings
        // about and logs. Pingora's own period begins with the hand-over of an upgrade.
        grace_period_seconds: Some(whole_seconds(config.server.graceful_timeout) + PINGORA_LATER),
        graceful_shutdown_timeout_seconds: Some(1),
        upstream_keepalive_pool_size: config.server.idle_origin_connections,
        ..ServerConf::default()
    };
    // A single thread has no other to steal work from, and a runtime without work stealing is cheaper.
    conf.work_stealing = conf.threads > 1;
    if let Some(pid_file) = pid_file {
        conf.upgrade_sock = pid_file.socket().display().to_string();
    }
    conf
}

/// Seconds after the end of `graceful_timeout` at which Pingora would cut what still runs.
const PINGORA_LATER: u64 = 5;

/// Returns what the log says of a server that starts: version, file, threads and listeners.
fn started(config: &Config, source: Option<&Path>, conf: &ServerConf, addresses: &[SocketAddr]) -> String {
    let mut text = format!("linkpush {} starts", env!("CARGO_PKG_VERSION"));
    if let Some(source) = source {
        // Writing to a String never fails.
        let _ = write!(text, " by {}", source.display());
    }
    let _ = write!(text, " with {} threads on", conf.threads);
    for (listener, address) in config.listeners.iter().zip(addresses) {
        let layer = if listener.certificates.is_empty() {
            "cleartext"
        } else {
            "TLS"
        };
        let header = match listener.proxy_protocol {
            ProxyProtocol::Off => "",
            ProxyProtocol::Required => ", PROXY protocol",
        };
        let _ = write!(text, " {address} ({layer}{header})");
    }
    text
}

/// Returns a time in seconds, rounded up.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// Pingora's proxy with the rules of [`Edge`] and origin connections of [`Connector`].
type Proxy = HttpProxy<Edge, Connector>;

/// Returns the hook by which Pingora passes each accepted connection to `acceptor`.
fn every_connection(acceptor: Acceptor<Http2>) -> ProcessCustomSession<Edge, Connector> {
    let acceptor = Arc::new(acceptor);
    Arc::new(move |proxy: Arc<Proxy>, stream, shutdown: &ShutdownWatch| {
        let acceptor = Arc::clone(&acceptor);
        let shutdown = shutdown.clone();
        Box::pin(async move {
            acceptor.enter(&proxy, stream, &shutdown).await;
            None
        })
    })
}

/// Returns the options that have Pingora call this hook for every connection.
fn all_custom() -> HttpServerOptions {
    let mut options = HttpServerOptions::default();
    options.force_custom = true;
    options
}

/// Serves HTTP/2 connections with the crate's own server, above the same proxy.
struct Http2 {
    memory: Arc<FreshResponses>,
    scheduler: Arc<h2::RequestScheduler>,
    meter: Arc<Http2Meter>,
    parts: Arc<ServerParts>,
}

#[async_trait]
impl ServeHttp2<Proxy> for Http2 {
    type Beginning = h2::Beginning;

    fn upgrade(&self, request: UpgradeRequest) -> Option<h2::Beginning> {
        h2::Beginning::new(&request.head, &request.settings, &self.parts.http2.load())
            .inspect_err(|e| debug!("a request for an upgrade is served as HTTP/1.1: {e}"))
            .ok()
    }

    async fn serve(
        &self,
        proxy: &Arc<Proxy>,
        stream: Stream,
        beginning: Option<h2::Beginning>,
        shutdown: ShutdownWatch,
    ) {
        let limits = **self.parts.http2.load();
        let responder = h2::Responder {
            stored: Arc::<FreshResponses>::clone(&self.memory),
            app: Arc::clone(proxy),
            scheduler: Arc::clone(&self.scheduler),
            meter: Arc::clone(&self.meter),
        };
        h2::serve(stream, beginning, responder, limits, shutdown).await;
    }
}

/// Opens the listening socket of an address.
fn open_socket(address: SocketAddr) -> Result<OpenSocket, ServerError> {
    OpenSocket::new(address).map_err(|source| ServerError::Listen { address, source })
}
