//! Opens HTTP/2 connections as a client, and reads content.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::{RecvStream, client::SendRequest};
use tokio::{net::TcpStream, task::JoinHandle};

/// Any error.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A client's setting for pushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taking {
    /// Push is enabled.
    Pushes,
    /// Push is disabled, as in all browsers that are in use today.
    None,
}

/// Bytes of a window as large as a browser's, which never delays a load here.
pub(crate) const BROWSER_WINDOW: u32 = 16 * 1024 * 1024;

/// The task that drives a connection, and ends with the connection.
pub(crate) type Connection = JoinHandle<Result<(), h2::Error>>;

/// Opens a connection by prior knowledge. `window` is the window of each stream and of the connection, bytes.
pub(crate) async fn connect(
    address: SocketAddr,
    taking: Taking,
    window: u32,
) -> Result<(SendRequest<Bytes>, Connection), Failure> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = h2::client::Builder::new()
        .enable_push(taking == Taking::Pushes)
        .initial_window_size(window)
        .initial_connection_window_size(window)
        .handshake(stream)
        .await?;
    Ok((sender, tokio::spawn(connection)))
}

/// Reads content to its end, and returns its bytes.
pub(crate) async fn read_to_end(mut body: RecvStream) -> Result<usize, h2::Error> {
    let mut size = 0;
    while let Some(bytes) = body.data().await {
        let length = bytes?.len();
        size += length;
        body.flow_control().release_capacity(length)?;
    }
    Ok(size)
}
