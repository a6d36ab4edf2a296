//! What is listened on: sockets with the options that every connection takes over from them.
//!
//! Pingora opens sockets itself, or takes those that an old process handed over, from one table. So
//! ours are opened before, put into that table, and are handed over in an upgrade with the rest.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::IntoRawFd,
};

use async_trait::async_trait;
use log::warn;
use pingora::{
    apps::ServerApp,
    listeners::ListenerConfig,
    protocols::l4::stream::L4BufferSettings,
    server::{ListenFds, ShutdownWatch},
    services::{ServiceReadyNotifier, ServiceWithDependents, listening::Service},
};
use socket2::{Domain, Socket, Type};

use super::error::ServerError;

/// Bytes that a connection takes beyond those that are on their way to the client
/// (`TCP_NOTSENT_LOWAT`, with up to one write on top).
///
/// Linux would take megabytes, and whatever becomes urgent is queued behind them: at 10 Mbit/s a
/// second for each. Less than what a fast connection sends while we are being scheduled would leave it
/// idle.
const NOT_SENT: u32 = 16 * 1024;

/// A socket that has its address, and listens once the service is started.
#[derive(Debug)]
pub(super) struct OpenSocket {
    address: SocketAddr,
    socket: Socket,
}

impl OpenSocket {
    /// Takes an address, with a port of the system's choice for port 0.
    ///
    /// Pingora panics on one that it cannot have, long after the start.
    pub(super) fn new(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        // The runtime's sockets never block.
        socket.set_nonblocking(true)?;
        // Connections of a server that has just ended are no obstacle.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        let address = socket.local_addr()?.as_socket().unwrap_or(address);
        // Linux copies it to accepted connections, and it goes where the socket goes.
        if let Err(e) = socket.set_tcp_notsent_lowat(NOT_SENT) {
            warn!("{address}: what is sent cannot be kept short, so pushes may delay documents: {e}");
        }
        Ok(Self { address, socket })
    }

    /// Its address.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A service whose sockets are open.
pub(super) struct Listening<A> {
    service: Service<A>,
    open: Vec<OpenSocket>,
}

impl<A> Listening<A> {
    /// `open` are the sockets of these addresses, where they are not taken over.
    pub(super) fn new(mut service: Service<A>, addresses: &[SocketAddr], open: Vec<OpenSocket>) -> Self {
        // What is read goes straight into the buffers of who asks for it: Pingora's own would cost an idle connection 64 KiB.
        let buffers = L4BufferSettings::default().read(0);
        for address in addresses {
            service.add_listener(ListenerConfig::tcp(address.to_string()).l4_buffer(buffers));
        }
        Self { service, open }
    }
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> ServiceWithDependents for Listening<A> {
    async fn start_service(
        &mut self,
        fds: Option<ListenFds>,
        shutdown: ShutdownWatch,
        listeners_per_fd: usize,
        ready: ServiceReadyNotifier,
    ) {
        if let Some(fds) = &fds {
            let mut fds = fds.lock();
            for socket in self.open.drain(..) {
                fds.add(socket.address.to_string(), socket.socket.into_raw_fd());
            }
        }
        ServiceWithDependents::start_service(&mut self.service, fds, shutdown, listeners_per_fd, ready).await;
    }

    fn name(&self) -> &str {
        ServiceWithDependents::name(&self.service)
    }

    fn threads(&self) -> Option<usize> {
        self.service.threads
    }

    fn listen_addresses(&self) -> Option<Vec<String>> {
        ServiceWithDependents::listen_addresses(&self.service)
    }
}

/// Where a server gets its sockets from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sockets {
    /// It opens them.
    Open,
    /// The process in the pid file hands them over, and ends.
    TakeOver,
}

/// The address itself, with a port of the system's choice for port 0.
///
/// Pingora panics on an address that it cannot listen on, long after the start; this asks before.
pub(super) fn free_address(address: SocketAddr) -> Result<SocketAddr, ServerError> {
    TcpListener::bind(address)
        .and_then(|listener| listener.local_addr())
        .map_err(|source| ServerError::Listen { address, source })
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use socket2::SockRef;

    use super::*;

    #[test]
    fn accepted_connections_take_little_that_is_not_sent() {
        let open = OpenSocket::new(([127, 0, 0, 1], 0).into()).expect("a free port");
        open.socket.set_nonblocking(false).expect("a socket");
        open.socket.listen(1).expect("a socket");
        let _client = TcpStream::connect(open.address()).expect("it listens");
        let (accepted, _) = open.socket.accept().expect("a connection");
        assert_eq!(
            SockRef::from(&accepted).tcp_notsent_lowat().expect("an option"),
            NOT_SENT
        );
    }

    #[test]
    fn an_address_that_somebody_listens_on_is_not_taken() {
        let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = other.local_addr().expect("an address");
        let taken = OpenSocket::new(address).expect_err("it is in use");
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    }
}
