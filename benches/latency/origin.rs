//! Responds as the application: to a page after a delay, to three assets at once.

use std::time::Duration;

use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::support::origin::{Application, NOT_FOUND};

/// The page.
pub(crate) const PAGE: &str = "/";
/// The stylesheet, named by the page's HTML.
pub(crate) const STYLE: &str = "/main.css";
/// The script, named by the page's HTML.
pub(crate) const SCRIPT: &str = "/app.js";
/// The font, named by the stylesheet.
pub(crate) const FONT: &str = "/text.woff2";

/// Returns the resource at a path: type, size in bytes, further fields.
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

/// The application, which takes this long for the page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Thinking(pub(crate) Duration);

impl Application for Thinking {
    async fn answer(self, path: &str, stream: &mut TcpStream) -> std::io::Result<()> {
        if path == PAGE {
            tokio::time::sleep(self.0).await;
        }
        stream.write_all(&answer(path)).await
    }
}

fn answer(path: &str) -> Vec<u8> {
    let Some((kind, size, fields)) = resource(path) else {
        return NOT_FOUND.to_vec();
    };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{fields}content-length: {size}\r\n\r\n");
    let mut answer = head.into_bytes();
    answer.resize(answer.len() + size, b'x');
    answer
}
