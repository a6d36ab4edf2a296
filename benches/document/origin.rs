//! The application: documents that take their time, assets and downloads that do not.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

use super::{ASSET, ASSETS, THINK};

/// Whether a `103` comes before a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Early {
    Hints,
    Nothing,
}

static PIECE: [u8; 64 * 1024] = [b'x'; 64 * 1024];

/// Starts one.
pub(crate) async fn start(early: Early) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, early));
        }
    });
    address
}

async fn serve(stream: TcpStream, early: Early) -> std::io::Result<()> {
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
            answer(&mut stream, &path, early).await?;
            if closes {
                return Ok(());
            }
            path.clear();
        }
        line.clear();
    }
    Ok(())
}

/// `/document/SIZE`, `/bytes/SIZE`, and the assets.
async fn answer(stream: &mut BufReader<TcpStream>, path: &str, early: Early) -> std::io::Result<()> {
    let links: Vec<String> = (0..ASSETS)
        .map(|n| format!("</asset/{ASSET}/{n}>; rel=preload; as=image"))
        .collect();
    let links = format!("link: {}\r\n", links.join(", "));
    let mut parts = path.split('/').skip(1);
    let (kind, size) = (parts.next(), parts.next().and_then(|size| size.parse::<usize>().ok()));
    let (Some(kind), Some(mut size)) = (kind, size) else {
        return stream
            .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
            .await;
    };
    let mut head = format!("HTTP/1.1 200 OK\r\ncache-control: no-cache\r\ncontent-length: {size}\r\n");
    if kind == "document" {
        if early == Early::Hints {
            stream
                .write_all(format!("HTTP/1.1 103 Early Hints\r\n{links}\r\n").as_bytes())
                .await?;
        }
        tokio::time::sleep(THINK).await;
        head.push_str(&links);
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await?;
    while size > 0 {
        let part = size.min(PIECE.len());
        stream.write_all(&PIECE[..part]).await?;
        size -= part;
    }
    Ok(())
}
