//! The signals on a running server, and how far its end has come.

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

/// Signals that are obeyed here; registered before anybody knows the process id, since SIGHUP and
/// SIGUSR2 would end a process that does not expect them.
pub(super) struct Signals {
    pub(super) hangup: Signal,
    pub(super) user2: Signal,
    pub(super) terminate: Signal,
    pub(super) interrupt: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            user2: signal(SignalKind::user_defined2())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

/// The signals that Pingora obeys: registered together with the others, long before Pingora asks for
/// them, since a registered signal that nobody waits for would be lost.
pub(super) struct ObeyedSignals {
    pub(super) signals: Mutex<SignalsOfTheEnd>,
    /// Where a process waits for the sockets, if one does.
    pub(super) hand_over: Option<PathBuf>,
    pub(super) done: mpsc::UnboundedSender<EndStage>,
}

/// Those that end a process.
pub(super) struct SignalsOfTheEnd {
    pub(super) quit: Signal,
    pub(super) terminate: Signal,
    pub(super) interrupt: Signal,
}

/// Registers them.
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
                // Pingora would end the server though nobody takes its sockets.
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

/// How far the end has come.
pub(super) enum EndStage {
    /// Another process gets the sockets; what follows is an end like any other.
    HandingOver,
    Draining,
    Drained,
    Stopped,
}

/// Waits for a shutdown, then for the last connection.
pub(super) struct Drained {
    pub(super) connections: OpenConnections,
    pub(super) done: mpsc::UnboundedSender<EndStage>,
}

/// A connection that was accepted just before the shutdown is counted by then.
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
