//! The application: one page that takes its time, and three assets that are there at once.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

/// The page.
pub(crate) const PAGE: &str = "/";
/// What the page's HTML names.
pub(crate) const STYLE: &str = "/main.css";
/// What the page's HTML names, too.
pub(crate) const SCRIPT: &str = "/app.js";
/// What the stylesheet names.
pub(crate) const FONT: &str = "/text.woff2";

/// What is at a path: its type, its size in bytes, further fields.
pub(crate) fn resource(path: &str) -> Option<(&'static str, usize, &'static str)> {
    match path {
        PAGE => Some((
            "text/html",
            10_000,
            "cache-control: no-cache\r\n\
             link: </main.css>; rel=preload; as=style, </app.js>; rel=preload; as=script, \
             </text.woff2>; rel=preload; as=font; crossorigin\r\n",
        )),
        STYLE => Some(("text/css", 20_000, "cache-control: max-age=3600\r\n")),
        SCRIPT => Some(("text/javascript", 60_000, "cache-control: max-age=3600\r\n")),
        FONT => Some(("font/woff2", 30_000, "cache-control: max-age=3600\r\n")),
        _ => None,
    }
}

/// Starts it; the page takes `think`.
pub(crate) async fn start(think: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, think));
        }
    });
    address
}

async fn serve(stream: TcpStream, think: Duration) -> std::io::Result<()> {
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
            if path == PAGE {
                tokio::time::sleep(think).await;
            }
            stream.write_all(&answer(&path)).await?;
            if closes {
                return Ok(());
            }
            path.clear();
        }
        line.clear();
    }
    Ok(())
}

fn answer(path: &str) -> Vec<u8> {
    let Some((kind, size, fields)) = resource(path) else {
        return b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec();
    };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{fields}content-length: {size}\r\n\r\n");
    let mut answer = head.into_bytes();
    answer.resize(answer.len() + size, b'x');
    answer
}
