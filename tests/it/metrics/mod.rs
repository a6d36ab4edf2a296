//! What `server.metrics` tells of a running server.
//!
//! `counts` (numbers), `bounds` (labels and formats), `health` (`/healthz`, `/readyz`, hostile callers), `prometheus`
//! (the table of the documentation, the dashboard, and the alerts, in a real Prometheus).

mod bounds;
mod counts;
mod health;
mod prometheus;

use std::{collections::BTreeMap, net::SocketAddr};

use crate::support::{edge::Edge, http1::Http1};

const PROMETHEUS: &str = "text/plain";
const OPEN_METRICS: &str = "application/openmetrics-text";

/// The settings of a server whose metrics are on a free port; `more` are further settings of the process.
fn server(more: &str) -> String {
    format!("server: {{ pid_file: '{{folder}}/linkpush.pid', metrics: '127.0.0.1:0', {more} }}\n")
}

/// Where a server tells its metrics.
async fn address(edge: &Edge) -> SocketAddr {
    let line = edge.log_line(&["metrics at http://"]).await;
    let (_, rest) = line.split_once("http://").expect("an address");
    let address = rest.trim_end_matches("/metrics").trim();
    address.parse().unwrap_or_else(|e| panic!("{line}: {e}"))
}

/// Asks for a path; returns the status, the head and the content.
async fn ask(address: SocketAddr, path: &str, accept: &str) -> (u16, String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: metrics\r\nAccept: {accept}\r\n\r\n");
    let (head, content) = Http1::sending(address, request).await.answer().await;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let content = String::from_utf8(content).expect("UTF-8");
    (status.expect("a status"), head, content)
}

/// The numbers of a server, by name and labels as they are written.
#[derive(Debug)]
pub(crate) struct Numbers(BTreeMap<String, f64>);

impl Numbers {
    pub(crate) async fn of(edge: &Edge) -> Self {
        let (status, _, text) = ask(address(edge).await, "/metrics", PROMETHEUS).await;
        assert_eq!(status, 200);
        Self::parse(&text)
    }

    fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let numbers = samples.map(|line| {
            let (name, number) = line.rsplit_once(' ').expect("a sample");
            (
                name.to_owned(),
                number.parse().unwrap_or_else(|e| panic!("{line}: {e}")),
            )
        });
        let all: Vec<_> = numbers.collect();
        let numbers: BTreeMap<_, _> = all.iter().cloned().collect();
        assert_eq!(all.len(), numbers.len(), "a series comes twice");
        Self(numbers)
    }

    /// The number of a series; 0 if there is none.
    fn get(&self, series: &str) -> f64 {
        self.0.get(series).copied().unwrap_or(0.0)
    }

    pub(crate) fn assert(&self, series: &str, expected: f64) {
        let number = self.get(series);
        assert!(
            (number - expected).abs() < 1e-9,
            "{series}: {number}, not {expected}\n{self:#?}"
        );
    }
}
