//! Controls the running server by signals: reload, upgrade and shutdown.
//!
//! One thread beside Pingora's does all this, so that no request waits for it. DNS and health checks run on this thread
//! as well, so files are read and written on others (`spawn_blocking`).
//!
//! | signal | |
//! |---|---|
//! | SIGHUP | reads the configuration again |
//! | SIGUSR1 | opens the file of the log again |
//! | SIGUSR2 | starts a new process from the binary, which takes the sockets over |
//! | SIGQUIT | hands the listening sockets over to a process that waits for them, then acts as SIGTERM |
//! | SIGTERM | lets running requests finish within `graceful_timeout`; a second SIGTERM acts as SIGINT |
//! | SIGINT | ends at once |

use std::{error::Error, future::pending, net::SocketAddr, path::PathBuf, sync::Arc, thread, time::Duration};

use ::log::{debug, error, info, warn};
use pingora::{
    server::{RunArgs, Server as PingoraServer},
    services::background::background_service,
};
use sd_notify::NotifyState;
use tokio::{
    net::TcpStream,
    sync::{Mutex, mpsc},
    task::{JoinHandle, spawn_blocking},
    time::{Instant, interval_at, sleep_until, timeout},
};

use super::{
    error::ServerError,
    fixed::keep_fixed,
    manifests,
    observe::{LifeStage, ObservedServer},
    parts::{PartsError, ServerParts, warn_of},
    process::{ChangeKind, ChangeOutcome, OutcomeFile, PidLock},
    signals::{Drained, EndStage, ObeyedSignals, Signals, signals_of_the_end},
    successor,
};
use crate::{
    config::{self, Config, Problems},
    listen::OpenConnections,
    proxy::OpenRequests,
    telemetry::log::{self, LogChange, LogFileError},
};

/// Why a reload changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The configuration has problems.
    #[error("{0}")]
    Config(Problems),
    /// The TLS of a listener or the traces cannot be set up.
    #[error(transparent)]
    Parts(#[from] PartsError),
    /// The file of the log cannot be opened.
    #[error(transparent)]
    Log(#[from] LogFileError),
    /// The task that reads the configuration has panicked.
    #[error("the configuration could not be read to its end")]
    Panicked,
    /// The server was not started from a file.
    #[error("this server has no configuration file")]
    NoFile,
}

/// The work that a shutdown lets finish.
#[derive(Debug, Clone)]
pub(super) struct OpenWork {
    pub(super) connections: OpenConnections,
    pub(super) requests: OpenRequests,
}

impl std::fmt::Display for OpenWork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (connections, requests) = (self.connections.count(), self.requests.count());
        write!(f, "{connections} connections with {requests} running requests")
    }
}

/// The state for reloads and upgrades of a running server.
pub(super) struct SignalControl {
    /// The configuration in force; settings that take a restart have their value of the start.
    config: Config,
    source: Option<PathBuf>,
    parts: Arc<ServerParts>,
    /// The path or name by which this process was started; an upgrade starts the file that is there then.
    binary: Option<PathBuf>,
    /// The number of the upgrade whose new process was started, and still runs.
    upgrade: Option<u64>,
    /// The lock of the pid file; `None` for a server without one.
    lock: Option<PidLock>,
    /// The file that tells commands what became of them; `None` without a pid file.
    outcomes: Option<OutcomeFile>,
    /// The task that writes the manifests to their file, while it runs.
    saving: Option<JoinHandle<()>>,
}

impl SignalControl {
    pub(super) fn new(config: Config, source: Option<PathBuf>, parts: Arc<ServerParts>) -> Self {
        Self {
            config,
            source,
            parts,
            binary: successor::started_as(),
            upgrade: None,
            lock: None,
            outcomes: None,
            saving: None,
        }
    }

    /// Runs Pingora on a thread of its own and obeys signals until the server has ended; then writes the manifests.
    pub(super) async fn run(
        mut self,
        pingora: PingoraServer,
        work: OpenWork,
        lock: Option<PidLock>,
        addresses: &[SocketAddr],
        observed: &ObservedServer,
    ) -> Result<(), ServerError> {
        self.lock = lock;
        let ended = self.obey(pingora, work, addresses, observed).await;
        // If a new process has taken over, the file belongs to it.
        if self.lock.as_ref().is_none_or(PidLock::is_held) {
            self.save_manifests().await;
        }
        if let Some(spans) = self.parts.edge.load().spans.clone() {
            // On another thread: it waits for the collector.
            let _ = spawn_blocking(move || spans.end()).await;
        }
        ended
    }

    async fn obey(
        &mut self,
        mut pingora: PingoraServer,
        work: OpenWork,
        addresses: &[SocketAddr],
        observed: &ObservedServer,
    ) -> Result<(), ServerError> {
        let mut signals = Signals::new().map_err(ServerError::Runtime)?;
        self.parts.keep_up();
        let (done, mut ended) = mpsc::unbounded_channel();
        let drained = Drained {
            connections: work.connections.clone(),
            done: done.clone(),
        };
        pingora.add_service(background_service("drain", drained));
        let obeyed = ObeyedSignals {
            signals: Mutex::new(signals_of_the_end().map_err(ServerError::Runtime)?),
            hand_over: self.lock.as_ref().map(|lock| lock.pid_file().socket().to_owned()),
            done: done.clone(),
        };
        // Pingora always waits for its whole grace period; with a thread of its own, this process can end as soon as
        // the last connection is closed.
        let thread = thread::spawn(move || {
            pingora.run(RunArgs {
                shutdown_signal: Box::new(obeyed),
            });
            let _ = done.send(EndStage::Stopped);
        });
        let (gone, mut successors) = mpsc::unbounded_channel();
        tokio::select! {
            listening = listening(addresses) => listening?,
            // A signal ended the server before it listened.
            end = ended.recv() => return end.map(drop).ok_or(ServerError::Stopped),
        }
        if let Some(lock) = &self.lock {
            // Commands look for this file once they have read the other.
            self.outcomes = Some(OutcomeFile::new(lock.pid_file(), self.source.as_deref()));
            lock.write()?;
        }
        observed.enter(LifeStage::Serving);
        for address in addresses {
            info!("listening on {address}");
        }
        tell_systemd(&[NotifyState::MainPid(std::process::id()), NotifyState::Ready]);
        let mut ending = false;
        let mut cut_at = None;
        let mut handed_over = false;
        let mut save = interval_at(Instant::now() + SAVE_EVERY, SAVE_EVERY);
        loop {
            tokio::select! {
                // Signals come before `ended`: else `ending` would be set by the first SIGTERM before it is received
                // here, and it would count as a second one.
                biased;
                _ = signals.terminate.recv() => if ending {
                    warn!("a second SIGTERM: {work} are cut");
                    return Ok(());
                },
                // Pingora obeys this signal, too, but not after a hand-over, when it still accepts for some seconds.
                _ = signals.interrupt.recv() => {
                    warn!("SIGINT: {work} are cut");
                    return Ok(());
                }
                end = ended.recv() => match end {
                    Some(EndStage::HandingOver) => {
                        handed_over = true;
                        observed.enter(LifeStage::HandedOver);
                        if let Some(lock) = &mut self.lock {
                            lock.hand_over();
                        }
                    }
                    Some(EndStage::Draining) => {
                        ending = true;
                        observed.enter(LifeStage::Draining);
                        let graceful_timeout = self.config.server.graceful_timeout;
                        cut_at = Instant::now().checked_add(graceful_timeout);
                        info!("shutting down: {work} may finish within {graceful_timeout:?}");
                        // After a hand-over the new process is the service. With STOPPING from this one, systemd would
                        // kill the new process after TimeoutStopSec.
                        if !handed_over {
                            tell_systemd(&[NotifyState::Stopping]);
                        }
                    }
                    Some(EndStage::Drained) => {
                        info!("every connection has finished, none was cut");
                        return Ok(());
                    }
                    Some(EndStage::Stopped) => return Ok(()),
                    None => return thread.join().map_err(|_| ServerError::Stopped),
                },
                () = at(cut_at) => {
                    warn!("graceful_timeout is over: {work} are cut");
                    return Ok(());
                }
                _ = save.tick(), if !ending => self.begin_to_save(),
                _ = signals.hangup.recv() => if ending {
                    self.refuse(ChangeKind::Reload, ENDING);
                } else {
                    self.reload_and_tell().await;
                },
                _ = signals.user1.recv() => reopen_log(),
                _ = signals.user2.recv() => if ending {
                    self.refuse(ChangeKind::Upgrade, ENDING);
                } else {
                    self.start_successor(gone.clone()).await;
                },
                Some(how) = successors.recv(), if !ending => self.successor_ended(&how, handed_over),
            }
        }
    }

    /// Reloads, and reports the outcome to the log, to systemd and to the command that asked.
    async fn reload_and_tell(&mut self) {
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            tell_systemd(&[NotifyState::Reloading, now]);
        }
        let number = self.begin(ChangeKind::Reload);
        let outcome = match self.reload().await {
            Ok(kept) => {
                for setting in &kept {
                    warn!("{setting} has changed, which takes a restart; the rest is in force");
                }
                info!(
                    "configuration reloaded: {} upstreams, {} routes",
                    self.config.upstreams.len(),
                    self.config.routes.len()
                );
                ChangeOutcome::Done(kept)
            }
            Err(e) => {
                self.parts.status.failed();
                let reason = with_causes(&e);
                error!("configuration not reloaded, nothing has changed:\n{reason}");
                ChangeOutcome::Refused(reason)
            }
        };
        self.end(ChangeKind::Reload, number, outcome);
        tell_systemd(&[NotifyState::Ready]);
    }

    /// Tells commands that a change begins; returns its number.
    fn begin(&mut self, kind: ChangeKind) -> u64 {
        self.outcomes.as_mut().map_or(0, |outcomes| outcomes.begin(kind))
    }

    /// Tells commands the outcome of a change.
    fn end(&mut self, kind: ChangeKind, number: u64, outcome: ChangeOutcome) {
        if let Some(outcomes) = &mut self.outcomes
            // A new process that serves writes the file by now.
            && self.lock.as_ref().is_some_and(|lock| lock.is_held() || lock.pid_file().is_ours())
        {
            outcomes.end(kind, number, outcome);
        }
    }

    /// Refuses a change at once.
    fn refuse(&mut self, kind: ChangeKind, reason: &str) {
        let number = self.begin(kind);
        self.end(kind, number, ChangeOutcome::Refused(reason.to_owned()));
    }

    /// Reads the configuration file again and puts it in force; returns the changed settings that take a restart.
    async fn reload(&mut self) -> Result<Vec<String>, ReloadError> {
        let file = self.source.clone().ok_or(ReloadError::NoFile)?;
        // On another thread, so that a slow disk delays no DNS or health check.
        let reading = spawn_blocking(move || config::read(&file)).await;
        let mut config = reading
            .map_err(|_| ReloadError::Panicked)?
            .map_err(ReloadError::Config)?;
        let kept = keep_fixed(&self.config, &mut config);
        let log = LogChange::to(&config.server.log)?;
        self.parts.replace(&config)?;
        log.apply();
        self.parts.keep_up();
        warn_of(&config);
        self.config = config;
        Ok(kept)
    }

    /// Begins to write the manifests on another thread, unless the last write is still running.
    fn begin_to_save(&mut self) {
        let is_saving = self.saving.as_ref().is_some_and(|saving| !saving.is_finished());
        if let (Some(file), false) = (self.config.server.manifests.file.clone(), is_saving) {
            let store = Arc::clone(&self.parts.manifests);
            self.saving = Some(spawn_blocking(move || manifests::save(&store, &file)));
        }
    }

    /// Writes the manifests; waits first for a write that is running.
    async fn save_manifests(&mut self) {
        if let Some(saving) = self.saving.take() {
            // That write may lack the latest links.
            let _ = saving.await;
        }
        self.begin_to_save();
        if let Some(saving) = self.saving.take()
            && saving.await.is_err()
        {
            error!("manifests: not written");
        }
    }

    /// Starts a new process that is to take over; its end is reported to `gone`.
    async fn start_successor(&mut self, gone: mpsc::UnboundedSender<String>) {
        if self.upgrade.is_some() {
            warn!("{UNDER_WAY}");
            return self.refuse(ChangeKind::Upgrade, UNDER_WAY);
        }
        let number = self.begin(ChangeKind::Upgrade);
        self.save_manifests().await;
        let (Some(binary), Some(source), Some(lock)) = (&self.binary, &self.source, &self.lock) else {
            let reason = "it takes server.pid_file and a configuration file";
            error!("no upgrade: {reason}");
            return self.end(ChangeKind::Upgrade, number, ChangeOutcome::Refused(reason.to_owned()));
        };
        match successor::start(binary, source, lock) {
            Err(e) => {
                let reason = format!("{} cannot be started: {e}", binary.display());
                error!("no upgrade: {reason}");
                self.end(ChangeKind::Upgrade, number, ChangeOutcome::Refused(reason));
            }
            Ok(mut child) => {
                info!("process {} is to take over", child.id());
                self.upgrade = Some(number);
                let failure = lock.pid_file().failure();
                thread::spawn(move || {
                    let how = successor::end_of(&mut child, &failure);
                    // Fails only if this process is ending.
                    let _ = gone.send(how);
                });
            }
        }
    }

    /// Tells that the new process has ended before it took over, or while both run.
    fn successor_ended(&mut self, how: &str, handed_over: bool) {
        let number = self.upgrade.take().unwrap_or_default();
        if handed_over {
            error!("the new process {how} after it had the sockets; this one ends all the same");
        } else {
            error!("no upgrade: the new process {how}; this one goes on");
        }
        let reason = format!("the new process {how}");
        self.end(ChangeKind::Upgrade, number, ChangeOutcome::Refused(reason));
    }
}

/// Why a server that ends changes nothing any more.
const ENDING: &str = "the server is ending";

/// Why a second upgrade is refused.
const UNDER_WAY: &str = "an upgrade is under way already";

/// Returns an error with its causes, which `Display` leaves out.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Waits until a time; for ever if there is none.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// Opens the file of the log again, and says so in the new one.
fn reopen_log() {
    match log::reopen() {
        Ok(Some(file)) => info!("the log {} is open again", file.display()),
        Ok(None) => info!("SIGUSR1: the log goes to standard error, nothing is opened again"),
        Err(e) => error!("the old file of the log is written on: {}", with_causes(&e)),
    }
}

/// Waits until all of these addresses accept connections: Pingora starts its listeners on its own thread, and reports
/// nothing.
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

/// Time between two writes of the manifests: a crash loses what was learned since the last one.
const SAVE_EVERY: Duration = Duration::from_secs(60);

/// Time for the listeners to start, which takes milliseconds if it succeeds.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);

/// Notifies systemd; does nothing without systemd.
fn tell_systemd(state: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(state) {
        warn!("systemd cannot be told: {e}");
    }
}
