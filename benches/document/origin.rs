//! Responds as the application: to documents after a delay, to assets and downloads at once.

use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::{
    ASSET, ASSETS, THINK,
    support::origin::{Application, NOT_FOUND},
};

/// The application, with or without a `103` before a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Early {
    Hints,
    Nothing,
}

impl Application for Early {
    /// Responds to `/document/SIZE`, `/bytes/SIZE`, and the assets.
    async fn answer(self, path: &str, stream: &mut TcpStream) -> std::io::Result<()> {
        let links: Vec<String> = (0..ASSETS)
            .map(|n| format!("</asset/{ASSET}/{n}>; rel=preload; as=image"))
            .collect();
        let links = format!("link: {}\r\n", links.join(", "));
        let mut parts = path.split('/').skip(1);
        let (kind, size) = (parts.next(), parts.next().and_then(|size| size.parse::<usize>().ok()));
        let (Some(kind), Some(mut size)) = (kind, size) else {
            return stream.write_all(NOT_FOUND).await;
        };
        let mut head = format!("HTTP/1.1 200 OK\r\ncache-control: no-cache\r\ncontent-length: {size}\r\n");
        if kind == "document" {
            if self == Self::Hints {
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
}

static PIECE: [u8; 64 * 1024] = [b'x'; 64 * 1024];
