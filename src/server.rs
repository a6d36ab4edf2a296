//! Assembly: a [`Config`] becomes parts, the parts a Pingora server.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use log::{info, warn};
use pingora::{
    protocols::Stream,
    server::{RunArgs, Server as PingoraServer, ShutdownWatch, configuration::ServerConf},
    services::{
        background::{BackgroundService, background_service},
        listening::Service,
    },
};
use pingora_proxy::{HttpProxy, http_proxy};

use crate::{
    config::{Config, Limits},
    h2,
    listen::{self, Connections, Entrance, ServeHttp2},
    proxy::{Edge, Live, Timeouts},
    upstream::{Pool, PoolError},
};

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address as configured.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// An upstream cannot be made.
    #[error(transparent)]
    Upstream(#[from] PoolError),
    /// The pid file cannot be written.
    #[error("cannot write the pid file {}", path.display())]
    PidFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The server's thread is gone.
    #[error("the server stopped unexpectedly")]
    Stopped,
}

/// A server that is ready to run.
pub struct Server {
    pingora: PingoraServer,
    connections: Connections,
    addresses: Vec<SocketAddr>,
    pid_file: Option<PathBuf>,
}

impl Server {
    /// Resolves upstreams, checks that the listeners' addresses are free, puts the parts together.
    ///
    /// # Errors
    ///
    /// What keeps this configuration from running on this machine.
    pub fn new(config: Config) -> Result<Self, ServerError> {
        let limits = config.server.limits;
        let pools = config
            .upstreams
            .into_iter()
            .map(|policy| Pool::resolve(policy).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        let conf = conf(config.server.threads, config.server.graceful_timeout);
        let mut pingora = PingoraServer::new_with_opt_and_conf(None, conf);
        let timeouts = Timeouts {
            read: limits.read_timeout,
            write: limits.write_timeout,
        };
        let app = Arc::new(http_proxy(
            &pingora.configuration,
            Edge::new(Arc::new(ArcSwap::from_pointee(Live {
                routes: config.routes,
                pools,
                timeouts,
            }))),
        ));
        let connections = Connections::default();
        let entrance = Entrance::new(
            Arc::clone(&app),
            Http2 {
                app,
                limits: http2_limits(&limits),
            },
            Arc::new(ArcSwap::from_pointee(listen::Live {
                limits: listen::Limits {
                    handshake_timeout: limits.handshake_timeout,
                    idle_timeout: limits.idle_timeout,
                },
            })),
            connections.clone(),
        );
        let mut service = Service::new("edge".to_owned(), entrance);
        let mut addresses = Vec::with_capacity(config.listeners.len());
        for listener in &config.listeners {
            let address = free_address(listener.address)?;
            service.add_tcp(&address.to_string());
            addresses.push(address);
        }
        pingora.add_service(service);
        Ok(Self {
            pingora,
            connections,
            addresses,
            pid_file: config.server.pid_file,
        })
    }

    /// The addresses that will be listened on, in the order of the configuration.
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
    /// The pid file cannot be written, or the server's thread panicked.
    pub fn run(mut self) -> Result<(), ServerError> {
        if let Some(path) = &self.pid_file {
            std::fs::write(path, format!("{}\n", std::process::id())).map_err(|source| ServerError::PidFile {
                path: path.clone(),
                source,
            })?;
        }
        for address in &self.addresses {
            info!("listening on {address}");
        }
        let (done, finished) = mpsc::channel();
        let drained = Drained {
            connections: self.connections.clone(),
            done: done.clone(),
        };
        self.pingora.add_service(background_service("drain", drained));
        let pingora = self.pingora;
        // Pingora waits out its whole grace period; a thread of its own lets us leave as soon as
        // the last connection has.
        let thread = thread::spawn(move || {
            pingora.run(RunArgs::default());
            let _ = done.send(End::Stopped);
        });
        let end = finished.recv();
        if let Some(path) = &self.pid_file
            && let Err(e) = std::fs::remove_file(path)
        {
            warn!("pid file {}: {e}", path.display());
        }
        match end {
            Ok(End::Drained) => {
                info!("every connection has finished");
                Ok(())
            }
            Ok(End::Stopped) => Ok(()),
            Err(_) => thread.join().map_err(|_| ServerError::Stopped),
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

fn conf(threads: usize, graceful_timeout: Duration) -> ServerConf {
    let processors = || thread::available_parallelism().map_or(1, usize::from);
    ServerConf {
        threads: if threads == 0 { processors() } else { threads },
        grace_period_seconds: Some(graceful_timeout.as_secs() + u64::from(graceful_timeout.subsec_nanos() > 0)),
        // The grace period is over by then; what is left is cut.
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
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

/// The address itself, with a port of the system's choice for port 0.
///
/// Pingora panics on an address that it cannot listen on, long after the start; this asks before.
fn free_address(address: SocketAddr) -> Result<SocketAddr, ServerError> {
    TcpListener::bind(address)
        .and_then(|listener| listener.local_addr())
        .map_err(|source| ServerError::Listen { address, source })
}

/// HTTP/2 connections go to our own session layer, under the same proxy.
struct Http2 {
    app: Arc<HttpProxy<Edge>>,
    limits: h2::Limits,
}

#[async_trait]
impl ServeHttp2 for Http2 {
    async fn serve(&self, stream: Stream, shutdown: ShutdownWatch) {
        h2::serve(stream, Arc::clone(&self.app), self.limits, shutdown).await;
    }
}

/// Why a server ends.
enum End {
    Drained,
    Stopped,
}

/// Waits for a shutdown, then for the last connection.
struct Drained {
    connections: Connections,
    done: mpsc::Sender<End>,
}

/// A connection that was accepted just before the shutdown is counted by then.
const SETTLE: Duration = Duration::from_millis(50);

#[async_trait]
impl BackgroundService for Drained {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        if shutdown.wait_for(|&begun| begun).await.is_ok() {
            tokio::time::sleep(SETTLE).await;
            self.connections.none_left().await;
            let _ = self.done.send(End::Drained);
        }
    }
}
