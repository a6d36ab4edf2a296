//! Serves as an origin with persistent connections: reads requests, and has an application respond.
//!
//! `benches/edge` has an origin of its own with as few allocations as possible, since it shares processors with the
//! load.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

/// An application.
pub(crate) trait Application: Copy + Send + Sync + 'static {
    /// Writes the response to a request of this path.
    fn answer(self, path: &str, stream: &mut TcpStream) -> impl Future<Output = io::Result<()>> + Send;
}

/// The whole response for a path without a resource.
pub(crate) const NOT_FOUND: &[u8] = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";

/// Starts an origin, and returns the address on which it listens.
pub(crate) async fn start(application: impl Application) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, application));
        }
    });
    address
}

async fn serve(stream: TcpStream, application: impl Application) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    let mut path = String::new();
    let mut closes = false;
    while stream.read_line(&mut line).await? > 0 {
        if path.is_empty() {
            path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        } else if line.to_ascii_lowercase().trim() == "connection: close" {
            closes = true;
        } else if line == "\r\n" {
            application.answer(&path, stream.get_mut()).await?;
            if closes {
                return Ok(());
            }
            path.clear();
        }
        line.clear();
    }
    Ok(())
}
