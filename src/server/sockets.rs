//! Opens listening sockets, with options that accepted connections inherit, and passes them to Pingora.
//!
//! Pingora opens a socket itself unless its table of handed-over sockets has the address. So sockets are opened here
//! and put into that table; an upgrade hands them over to the new process with the others.

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

/// Unsent bytes above which a connection's socket accepts no more (`TCP_NOTSENT_LOWAT`); one write may exceed this.
///
/// By default Linux accepts megabytes, and an urgent response is queued behind them: at 10 Mbit/s, one megabyte takes
/// 0.8 seconds. Too small a value would leave a fast connection idle until this process is scheduled again.
const NOT_SENT: u32 = 16 * 1024;

/// A bound socket, which listens once the service is started.
#[derive(Debug)]
pub(super) struct OpenSocket {
    address: SocketAddr,
    socket: Socket,
}

impl OpenSocket {
    /// Binds a socket to an address; the system chooses the port for port 0.
    ///
    /// Pingora would panic on an address that it cannot bind, long after the start.
    pub(super) fn new(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        // tokio requires non-blocking sockets.
        socket.set_nonblocking(true)?;
        // Connections of a server that has just ended (TIME_WAIT) must not block the address.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        let address = socket.local_addr()?.as_socket().unwrap_or(address);
        // Accepted connections inherit this option on Linux, in a new process after an upgrade, too.
        if let Err(e) = socket.set_tcp_notsent_lowat(NOT_SENT) {
            warn!("{address}: what is sent cannot be kept short, so pushes may delay documents: {e}");
        }
        Ok(Self { address, socket })
    }

    /// Returns the actual address.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A service whose sockets were opened here, or are taken over.
pub(super) struct Listening<A> {
    service: Service<A>,
    open: Vec<OpenSocket>,
}

impl<A> Listening<A> {
    /// Makes a service listen on these addresses. `open` are their sockets; empty if they are taken over.
    pub(super) fn new(mut service: Service<A>, addresses: &[SocketAddr], open: Vec<OpenSocket>) -> Self {
        // Without Pingora's read buffer, which costs each idle connection 64 KiB: the readers here have buffers of
        // their own.
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

/// Where a server gets its listening sockets from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sockets {
    /// The server opens them.
    Open,
    /// The process in the pid file hands them over, then ends.
    TakeOver,
}

/// Checks that an address can be listened on; returns it, with a port of the system's choice for port 0.
///
/// Pingora would panic on such an address, long after the start.
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
    fn accepted_connections_inherit_the_limit_of_unsent_bytes() {
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
    fn an_address_in_use_is_refused() {
        let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = other.local_addr().expect("an address");
        let taken = OpenSocket::new(address).expect_err("it is in use");
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    }
}
