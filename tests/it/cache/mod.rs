//! Answers kept in memory.
//!
//! `kept` (which, and for whom), `filling` (one on its way), `stale` (past its time), `pushed` (assets from memory),
//! `purge` (what is forgotten). In tables (`table`), over HTTP/1.1 and HTTP/2: `ages` (how old, and until when), `parts` (what of an
//! answer), `variants` (which one).

mod ages;
mod filling;
mod kept;
mod parts;
mod purge;
mod pushed;
mod stale;
mod table;
mod variants;

use crate::support::{
    client::{Client, Page},
    edge::{Edge, config},
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
