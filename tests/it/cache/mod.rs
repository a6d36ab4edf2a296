//! Answers kept in memory.
//!
//! `kept` (which, and for whom), `filling` (one on its way), `whole` (every byte to everybody), `stale` (past its time),
//! `unchanged` (what a 304 says), `pushed` (assets from memory), `changed` and `purge` (what is forgotten). In tables
//! (`table`), over HTTP/1.1 and HTTP/2: `ages` (how old, and until when), `parts` (what of an answer), `variants` (which one).

mod ages;
mod changed;
mod filling;
mod kept;
mod parts;
mod purge;
mod pushed;
mod stale;
mod table;
mod unchanged;
mod variants;
mod whole;

use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::support::{
    client::{Client, Page},
    edge::{Edge, config},
    http1::Http1,
    origin::Origin,
};

/// An edge whose only route keeps answers like this.
async fn keeping(origin: &Origin, cache: &str) -> Edge {
    Edge::with(&config(origin.address, &routes(cache))).await
}

fn routes(cache: &str) -> String {
    format!(
        "server: {{ pid_file: '{{folder}}/linkpush.pid', cache: {{ object: 64KiB }} }}\n\
         routes: [{{ name: pages, upstream: app, cache: {cache} }}]"
    )
}

/// Fetches with these fields.
async fn get(client: &Client, path: &str, fields: &[(&str, &str)]) -> Page {
    client.fetch(client.get_request(path, fields)).await
}

/// The access line of a path that ends in this.
async fn line(edge: &Edge, path: &str, cache: &str) -> String {
    edge.log_line(&[&format!("{path} "), &format!("cache={cache}")]).await
}

/// A client of one version of HTTP.
#[derive(Clone)]
enum Visitor {
    /// A connection for each request.
    Http1(SocketAddr),
    Http2(Client),
}

/// What a visitor got.
struct Given {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Given {
    /// All values of a field, in order.
    fn all(&self, name: &str) -> Vec<&str> {
        let values = self.headers.get_all(name).iter();
        values.map(|value| value.to_str().expect("ASCII")).collect()
    }
}

impl Visitor {
    /// One of each version; a table of cases is run by both.
    async fn both(edge: &Edge) -> [(&'static str, Self); 2] {
        [
            ("HTTP/1.1", Self::Http1(edge.address)),
            ("HTTP/2", Self::Http2(Client::connect(edge.address).await)),
        ]
    }

    async fn get(&self, path: &str, fields: &[(&str, &str)]) -> Given {
        self.send(Method::GET, path, fields).await
    }

    /// Sends a request without content.
    async fn send(&self, method: Method, path: &str, fields: &[(&str, &str)]) -> Given {
        match self {
            Self::Http1(edge) => {
                let fields: String = fields
                    .iter()
                    .map(|(name, value)| format!("{name}: {value}\r\n"))
                    .collect();
                let request = format!("{method} {path} HTTP/1.1\r\nhost: {edge}\r\nconnection: close\r\n{fields}\r\n");
                let mut http1 = Http1::sending(*edge, request).await;
                let head = http1.head().await;
                let body = http1.rest().await;
                let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
                let headers = head.lines().skip(1).filter_map(|line| line.split_once(':'));
                Given {
                    status: status.expect("a status"),
                    headers: headers
                        .map(|(name, value)| {
                            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
                            (name, HeaderValue::from_str(value.trim()).expect("a value"))
                        })
                        .collect(),
                    body,
                }
            }
            Self::Http2(client) => {
                let mut request = client.get_request(path, fields);
                *request.method_mut() = method;
                let answer = client.fetch(request).await.answer;
                Given {
                    status: answer.status.as_u16(),
                    headers: answer.headers,
                    body: answer.body,
                }
            }
        }
    }
}
