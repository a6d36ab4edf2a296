//! Assembles the server: makes parts from a [`Config`], and a Pingora server from the parts; then controls the process.
//!
//! Reading order: [`Server`] here, `error`, `parts` (a configuration made ready to serve), `sockets` (listening
//! sockets), `signals` (which signals end or change the server), `control` (reload, upgrade and shutdown), `manifests`
//! (the file of learned links), `process` (the pid file), `replace` (files replaced in one step), `admin` (`/purge` and
//! `/metrics`), `learned` (`/learned`).

mod admin;
mod control;
mod error;
mod learned;
mod manifests;
mod parts;
mod process;
mod replace;
mod signals;
mod sockets;

use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
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

pub use admin::{PURGE_PATH, PurgeRequest, Purged, Refused};
pub use control::ReloadError;
pub use error::ServerError;
pub use learned::{KnownLink, LEARNED_PATH, LearnedDocument, LearnedError, LearnedRequest};
pub use parts::{ListenerError, PartsError};
pub use process::{ProcessError, RunningServer};
pub use sockets::Sockets;

use crate::{
    config::Config,
    h2,
    listen::{Acceptor, OpenConnections, ServeHttp2, UpgradeRequest},
    peer::ProxyProtocol,
    proxy::{Edge, FreshResponses},
    telemetry::{Metrics, log::LogChange},
    upstream::Connector,
};
use control::{OpenWork, SignalControl};
use parts::{ServerParts, warn_of};
use process::PidFile;
use sockets::{Listening, OpenSocket};

/// A server that is ready to run.
pub struct Server {
    pingora: PingoraServer,
    work: OpenWork,
    addresses: Vec<SocketAddr>,
    control: SignalControl,
    pid_file: Option<PidFile>,
    sockets: Sockets,
}

impl Server {
    /// Assembles a server, and opens the sockets of its listeners unless `sockets` takes over those of an old process.
    ///
    /// `source` is the file that a reload reads, if there is one.
    ///
    /// # Errors
    ///
    /// An address or the admin socket cannot be listened on, TLS cannot be set up, the log's file cannot be opened, or a
    /// takeover has no pid file.
    pub fn new(config: Config, source: Option<PathBuf>, sockets: Sockets) -> Result<Self, ServerError> {
        LogChange::to(&config.server.log)?.apply();
        warn_of(&config);
        let pid_file = config.server.pid_file.clone().map(PidFile::new);
        if sockets == Sockets::TakeOver && pid_file.is_none() {
            return Err(ProcessError::NoPidFile.into());
        }
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
        let metrics = Metrics::default();
        let http2 = Http2 {
            memory: Arc::new(FreshResponses::new(
                Arc::clone(&parts.edge),
                Arc::clone(&parts.manifests),
                parts.cache,
            )),
            scheduler: Arc::new(h2::RequestScheduler::new(pingora.configuration.threads)),
            parts: Arc::clone(&parts),
            metrics: metrics.clone(),
        };
        let acceptor = Acceptor::new(http2, Arc::clone(&parts.listen), connections.clone());
        let edge = Edge::new(Arc::clone(&parts.edge), Arc::clone(&parts.manifests), parts.cache);
        let work = OpenWork {
            connections: connections.clone(),
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
                metrics,
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
            sockets,
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
            info!("taking over from process {}", old.id());
            pid_file.ask_for_sockets(old)?;
            self.pingora.bootstrap();
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ServerError::Runtime)?;
        let ended =
            runtime.block_on(
                self.control
                    .run(self.pingora, self.work, self.pid_file.as_ref(), &self.addresses),
            );
        if let Some(pid_file) = &self.pid_file {
            pid_file.remove();
        }
        ended
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
    metrics: Metrics,
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
            metrics: self.metrics.clone(),
        };
        h2::serve(stream, beginning, responder, limits, shutdown).await;
    }
}

/// Opens the listening socket of an address.
fn open_socket(address: SocketAddr) -> Result<OpenSocket, ServerError> {
    OpenSocket::new(address).map_err(|source| ServerError::Listen { address, source })
}
