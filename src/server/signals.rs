//! Registers the signals of a running server, passes those that end it to Pingora, and reports the stages of a
//! shutdown.

use std::{io, path::PathBuf, time::Duration};

use async_trait::async_trait;
use log::{debug, warn};
use pingora::{
    server::{ShutdownSignal, ShutdownSignalWatch, ShutdownWatch},
    services::background::BackgroundService,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{Mutex, mpsc},
};

use crate::listen::OpenConnections;

/// The signals that `control` obeys. They are registered before the pid file is written: an unregistered SIGHUP,
/// SIGUSR1 or SIGUSR2 ends a process.
pub(super) struct Signals {
    pub(super) hangup: Signal,
    pub(super) user1: Signal,
    pub(super) user2: Signal,
    pub(super) terminate: Signal,
    pub(super) interrupt: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

/// The signals that Pingora obeys. They are registered together with the others, before Pingora waits for them, so that
/// a signal in between is not lost.
pub(super) struct ObeyedSignals {
    pub(super) signals: Mutex<SignalsOfTheEnd>,
    /// The Unix socket on which a new process waits for the listening sockets; `None` without a pid file.
    pub(super) hand_over: Option<PathBuf>,
    pub(super) done: mpsc::UnboundedSender<EndStage>,
}

/// Receivers of the signals that end a process.
pub(super) struct SignalsOfTheEnd {
    pub(super) quit: Signal,
    pub(super) terminate: Signal,
    pub(super) interrupt: Signal,
}

/// Registers the signals that end a process.
pub(super) fn signals_of_the_end() -> io::Result<SignalsOfTheEnd> {
    Ok(SignalsOfTheEnd {
        quit: signal(SignalKind::quit())?,
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
    })
}

#[async_trait]
impl ShutdownSignalWatch for ObeyedSignals {
    async fn recv(&self) -> ShutdownSignal {
        let mut signals = self.signals.lock().await;
        let SignalsOfTheEnd {
            quit,
            terminate,
            interrupt,
        } = &mut *signals;
        loop {
            tokio::select! {
                _ = terminate.recv() => return ShutdownSignal::GracefulTerminate,
                _ = interrupt.recv() => return ShutdownSignal::FastShutdown,
                // Pingora would end this process even if no other takes its sockets.
                _ = quit.recv() => match &self.hand_over {
                    Some(socket) if socket.exists() => {
                        let _ = self.done.send(EndStage::HandingOver);
                        return ShutdownSignal::GracefulUpgrade;
                    }
                    _ => warn!("SIGQUIT, but no process waits for the sockets: nothing is done"),
                },
            }
        }
    }
}

/// The stages of a shutdown.
pub(super) enum EndStage {
    /// Upgrade only, first of all: another process gets the listening sockets.
    HandingOver,
    /// Running requests finish.
    Draining,
    /// No connection is open.
    Drained,
    /// Pingora's thread has ended.
    Stopped,
}

/// A background service that waits for a shutdown, then for the end of the last connection.
pub(super) struct Drained {
    pub(super) connections: OpenConnections,
    pub(super) done: mpsc::UnboundedSender<EndStage>,
}

/// Time until a connection that was accepted just before the shutdown is counted in `connections`.
const SETTLE: Duration = Duration::from_millis(50);

#[async_trait]
impl BackgroundService for Drained {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        if shutdown.wait_for(|&begun| begun).await.is_ok() {
            let _ = self.done.send(EndStage::Draining);
            tokio::time::sleep(SETTLE).await;
            debug!("waiting for connections to finish");
            self.connections.none_left().await;
            let _ = self.done.send(EndStage::Drained);
        }
    }
}
