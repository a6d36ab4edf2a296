//! An origin whose test holds each of its connections itself.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::{http1::Http1, within};

/// A listener that is an origin.
pub struct Handmade {
    pub address: SocketAddr,
    listener: TcpListener,
}

impl Handmade {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        Self { address, listener }
    }

    /// The edge's next connection.
    pub async fn accept(&self) -> Http1 {
        let (stream, _) = within("a connection to the origin", self.listener.accept())
            .await
            .expect("accepted");
        stream.set_nodelay(true).expect("a TCP socket");
        Http1 {
            stream,
            buffer: Vec::new(),
        }
    }

    /// The edge's next connection with the head of its first request.
    pub async fn request(&self) -> (Http1, String) {
        let mut connection = self.accept().await;
        let head = connection.head().await;
        (connection, head)
    }
}
