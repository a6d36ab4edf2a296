//! The running server under control: signals, reload, upgrade, the end.
//!
//! All of it on one thread beside Pingora's, so that it never holds up a request. Names are resolved and health is checked
//! on it as well, so files are read and written aside from it.
//!
//! | signal | |
//! |---|---|
//! | SIGHUP | reads the configuration again |
//! | SIGUSR2 | starts a new process from the binary, which takes the sockets over |
//! | SIGQUIT | hands the sockets over to a process that waits for them, then as SIGTERM |
//! | SIGTERM | finishes what is in flight, within `graceful_timeout`; a second one as SIGINT |
//! | SIGINT | ends at once |

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use log::{debug, error, info, warn};
use pingora::{
    server::{RunArgs, Server as PingoraServer},
    services::background::background_service,
};
use sd_notify::NotifyState;
use tokio::{
    net::TcpStream,
    sync::{Mutex, mpsc},
    task::{JoinHandle, spawn_blocking},
    time::{Instant, interval_at, timeout},
};

use super::{
    error::ServerError,
    manifests,
    parts::{ListenerError, ServerParts, warn_of},
    process::PidFile,
    signals::{Drained, EndStage, ObeyedSignals, Signals, signals_of_the_end},
};
use crate::{
    config::{self, Config, Problems},
    listen::OpenConnections,
};

/// Why a reload changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The file is wrong.
    #[error("{0}")]
    Config(Problems),
    /// A listener cannot be made ready.
    #[error(transparent)]
    Listener(#[from] ListenerError),
    /// Reading it has failed in a way that it must not.
    #[error("the configuration could not be read to its end")]
    Panicked,
    /// The server was not started from a file.
    #[error("this server has no configuration file")]
    NoFile,
}

/// What is needed to change a running server.
pub(super) struct SignalControl {
    /// What is served; settings that cannot change keep their first value.
    config: Config,
    source: Option<PathBuf>,
    parts: Arc<ServerParts>,
    /// As it was started: by now the file may be another.
    binary: Option<PathBuf>,
    /// A process was started that is to take over.
    successor: bool,
    /// The task that writes the manifests to their file, while it runs.
    saving: Option<JoinHandle<()>>,
}

impl SignalControl {
    pub(super) fn new(config: Config, source: Option<PathBuf>, parts: Arc<ServerParts>) -> Self {
        Self {
            config,
            source,
            parts,
            binary: started_as(),
            successor: false,
            saving: None,
        }
    }

    /// Runs Pingora on a thread of its own, obeys signals, returns when the server has ended.
    pub(super) async fn run(
        mut self,
        pingora: PingoraServer,
        connections: OpenConnections,
        pid_file: Option<&PidFile>,
        addresses: &[SocketAddr],
    ) -> Result<(), ServerError> {
        let ended = self.obey(pingora, connections, pid_file, addresses).await;
        // A successor has its own by now.
        if pid_file.is_none_or(PidFile::is_ours) {
            self.save_manifests().await;
        }
        ended
    }

    async fn obey(
        &mut self,
        mut pingora: PingoraServer,
        connections: OpenConnections,
        pid_file: Option<&PidFile>,
        addresses: &[SocketAddr],
    ) -> Result<(), ServerError> {
        let mut signals = Signals::new().map_err(ServerError::Runtime)?;
        self.parts.keep_up();
        let (done, mut ended) = mpsc::unbounded_channel();
        let drained = Drained {
            connections,
            done: done.clone(),
        };
        pingora.add_service(background_service("drain", drained));
        let obeyed = ObeyedSignals {
            signals: Mutex::new(signals_of_the_end().map_err(ServerError::Runtime)?),
            hand_over: pid_file.map(|file| file.socket().to_owned()),
            done: done.clone(),
        };
        // Pingora waits out its whole grace period; a thread of its own lets us leave as soon as
        // the last connection has.
        let thread = thread::spawn(move || {
            pingora.run(RunArgs {
                shutdown_signal: Box::new(obeyed),
            });
            let _ = done.send(EndStage::Stopped);
        });
        let (gone, mut successors) = mpsc::unbounded_channel();
        tokio::select! {
            listening = listening(addresses) => listening?,
            // Told to end before it has begun.
            end = ended.recv() => return end.map(drop).ok_or(ServerError::Stopped),
        }
        if let Some(pid_file) = pid_file {
            pid_file.write()?;
        }
        for address in addresses {
            info!("listening on {address}");
        }
        tell_systemd(&[NotifyState::MainPid(std::process::id()), NotifyState::Ready]);
        let mut ending = false;
        let mut handed_over = false;
        let mut save = interval_at(Instant::now() + SAVE_EVERY, SAVE_EVERY);
        loop {
            tokio::select! {
                // The signals that Pingora obeys first, so that its own is not taken for a second.
                biased;
                _ = signals.terminate.recv() => if ending {
                    warn!("a second SIGTERM: what is in flight is cut");
                    return Ok(());
                },
                // After a hand-over Pingora accepts for some seconds more, and obeys nothing.
                _ = signals.interrupt.recv() => if ending || handed_over {
                    warn!("SIGINT: what is in flight is cut");
                    return Ok(());
                },
                end = ended.recv() => match end {
                    Some(EndStage::HandingOver) => handed_over = true,
                    Some(EndStage::Draining) => {
                        ending = true;
                        // The service goes on without this process: systemd would take this for the
                        // end of all of it, and kill the new one after TimeoutStopSec.
                        if !handed_over {
                            tell_systemd(&[NotifyState::Stopping]);
                        }
                    }
                    Some(EndStage::Drained) => {
                        info!("every connection has finished");
                        return Ok(());
                    }
                    Some(EndStage::Stopped) => return Ok(()),
                    None => return thread.join().map_err(|_| ServerError::Stopped),
                },
                _ = save.tick(), if !ending => self.begin_to_save(),
                _ = signals.hangup.recv(), if !ending => self.reload_and_tell().await,
                _ = signals.user2.recv(), if !ending => self.start_successor(pid_file, gone.clone()).await,
                Some(how) = successors.recv(), if !ending => {
                    self.successor = false;
                    if handed_over {
                        error!("the new process {how} after it had the sockets; this one ends all the same");
                    } else {
                        error!("no upgrade: the new process {how}; this one goes on");
                    }
                }
            }
        }
    }

    async fn reload_and_tell(&mut self) {
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            tell_systemd(&[NotifyState::Reloading, now]);
        }
        match self.reload().await {
            Ok(kept) => {
                for setting in kept {
                    warn!("{setting} has changed, which takes a restart; the rest is in force");
                }
                info!(
                    "configuration reloaded: {} upstreams, {} routes",
                    self.config.upstreams.len(),
                    self.config.routes.len()
                );
            }
            Err(e) => error!("configuration not reloaded, nothing has changed:\n{e}"),
        }
        tell_systemd(&[NotifyState::Ready]);
    }

    /// Reads the file again; returns the settings that have changed in it and cannot be applied.
    async fn reload(&mut self) -> Result<Vec<String>, ReloadError> {
        let file = self.source.clone().ok_or(ReloadError::NoFile)?;
        // Names are resolved and health is checked meanwhile, however slow the disk is.
        let reading = spawn_blocking(move || config::read(&file)).await;
        let mut config = reading
            .map_err(|_| ReloadError::Panicked)?
            .map_err(ReloadError::Config)?;
        let kept = keep_fixed(&self.config, &mut config);
        self.parts.replace(&config)?;
        self.parts.keep_up();
        warn_of(&config);
        self.config = config;
        Ok(kept)
    }

    /// Writes what was learned, aside from this thread; not while that is still being done.
    fn begin_to_save(&mut self) {
        let is_saving = self.saving.as_ref().is_some_and(|saving| !saving.is_finished());
        if let (Some(file), false) = (self.config.server.manifests.file.clone(), is_saving) {
            let store = Arc::clone(&self.parts.manifests);
            self.saving = Some(spawn_blocking(move || manifests::save(&store, &file)));
        }
    }

    /// Writes what was learned, after whatever is being written.
    async fn save_manifests(&mut self) {
        if let Some(saving) = self.saving.take() {
            // It began before the last lesson.
            let _ = saving.await;
        }
        self.begin_to_save();
        if let Some(saving) = self.saving.take()
            && saving.await.is_err()
        {
            error!("manifests: not written");
        }
    }

    async fn start_successor(&mut self, pid_file: Option<&PidFile>, gone: mpsc::UnboundedSender<String>) {
        if self.successor {
            return warn!("an upgrade is under way already");
        }
        let (Some(binary), Some(source), Some(_)) = (self.binary.clone(), self.source.clone(), pid_file) else {
            return error!("no upgrade: it takes server.pid_file and a configuration file");
        };
        self.save_manifests().await;
        match successor(&binary, &source).spawn() {
            Err(e) => error!("no upgrade: {} cannot be started: {e}", binary.display()),
            Ok(mut child) => {
                info!("process {} is to take over", child.id());
                self.successor = true;
                thread::spawn(move || {
                    let how = child
                        .wait()
                        .map_or_else(|e| format!("is lost: {e}"), |status| format!("ended with {status}"));
                    // Nobody hears of it if this process ended before.
                    let _ = gone.send(how);
                });
            }
        }
    }
}

/// Resolves once all of these take connections: Pingora opens them on a thread of its own and tells
/// nobody.
async fn listening(addresses: &[SocketAddr]) -> Result<(), ServerError> {
    for &address in addresses {
        let connected = async {
            loop {
                match TcpStream::connect(address).await {
                    Ok(_) => return,
                    Err(e) => debug!("{address} takes no connection yet: {e}"),
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LISTEN_TIMEOUT, connected)
            .await
            .map_err(|_| ServerError::NotListening { address })?;
    }
    Ok(())
}

/// What is learned in this time may be lost with the machine.
const SAVE_EVERY: Duration = Duration::from_secs(60);

/// Sockets are opened in milliseconds, or not at all.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);

/// Without systemd there is nobody to tell.
fn tell_systemd(state: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(state) {
        warn!("systemd cannot be told: {e}");
    }
}

/// The path or name that this process was started by. Not what it was then: where a link is switched
/// to a new version, the new one is meant.
fn started_as() -> Option<PathBuf> {
    let name = PathBuf::from(std::env::args_os().next()?);
    match name.components().count() {
        // Looked up in PATH, again.
        1 => Some(name),
        _ => std::path::absolute(name).ok(),
    }
}

fn successor(binary: &Path, source: &Path) -> Command {
    let mut command = Command::new(binary);
    command
        .args(["run", "--take-over", "--config"])
        .arg(source)
        .stdin(Stdio::null());
    command
}

/// Settings that take a restart keep their value in `new`; returns the names of those that differ.
fn keep_fixed(old: &Config, new: &mut Config) -> Vec<String> {
    let mut kept = Vec::new();
    let mut keep = |name: &str, differs: bool| {
        if differs {
            kept.push(name.to_owned());
        }
    };
    keep("server.threads", old.server.threads != new.server.threads);
    keep("server.manifests", old.server.manifests != new.server.manifests);
    keep("server.cache", old.server.cache != new.server.cache);
    keep("server.admin", old.server.admin != new.server.admin);
    keep("server.pid_file", old.server.pid_file != new.server.pid_file);
    keep(
        "server.graceful_timeout",
        old.server.graceful_timeout != new.server.graceful_timeout,
    );
    keep(
        "server.idle_origin_connections",
        old.server.idle_origin_connections != new.server.idle_origin_connections,
    );
    let addresses = |config: &Config| config.listeners.iter().map(|l| l.address).collect::<Vec<_>>();
    keep("listeners[].address", addresses(old) != addresses(new));
    new.server.threads = old.server.threads;
    new.server.manifests.clone_from(&old.server.manifests);
    new.server.cache = old.server.cache;
    new.server.admin.clone_from(&old.server.admin);
    new.server.pid_file.clone_from(&old.server.pid_file);
    new.server.graceful_timeout = old.server.graceful_timeout;
    new.server.idle_origin_connections = old.server.idle_origin_connections;
    // Each that listens keeps its place, with what the file says of it now.
    let mut changed = std::mem::take(&mut new.listeners);
    new.listeners = old
        .listeners
        .iter()
        .map(|listener| {
            let found = changed.iter().position(|new| new.address == listener.address);
            found.map_or_else(|| listener.clone(), |index| changed.remove(index))
        })
        .collect();
    kept
}
