//! Labels stay bounded whatever clients send, and parsers that are not ours read both formats.

use std::{
    collections::BTreeSet,
    io::Write,
    process::{Command, Stdio},
};

use super::{Numbers, OPEN_METRICS, PROMETHEUS, address, ask, server};
use crate::support::{
    client::Client,
    edge::{Edge, config},
    http1::Http1,
    origin::Origin,
    raw::Raw,
};

/// Two routes, of which one has a name that needs escapes in neither format.
const ROUTES: &str = "routes:\n  - { name: pages, upstream: app, match: { path: '^/p' }, learn: on, cache: all }\n";

#[tokio::test]
async fn promtool_reads_the_text_and_has_nothing_to_remark() {
    let origin = Origin::start().await;
    origin.default_ok(b"x");
    let edge = Edge::with(&config(origin.address, &format!("{}{ROUTES}", server("")))).await;
    Client::connect(edge.address).await.get("/p").await;
    let (_, head, text) = ask(address(&edge).await, "/metrics", PROMETHEUS).await;
    assert!(head.contains("Content-Type: text/plain; version=0.0.4"), "{head}");
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tests/support/install.sh test installs promtool");
    promtool
        .stdin
        .take()
        .expect("piped")
        .write_all(text.as_bytes())
        .expect("written");
    let output = promtool.wait_with_output().expect("promtool ends");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
}

#[tokio::test]
async fn both_formats_have_the_same_series() {
    let origin = Origin::start().await;
    origin.default_ok(b"x");
    let edge = Edge::with(&config(origin.address, &format!("{}{ROUTES}", server("")))).await;
    let address = address(&edge).await;
    let (_, head, open) = ask(address, "/metrics", OPEN_METRICS).await;
    assert!(
        head.contains("Content-Type: application/openmetrics-text; version=1.0.0"),
        "{head}"
    );
    assert!(open.ends_with("\n# EOF\n"), "{open}");
    let (_, _, plain) = ask(address, "/metrics", PROMETHEUS).await;
    let series = |text: &str| Numbers::parse(text).0.into_keys().collect::<BTreeSet<_>>();
    assert_eq!(series(&open), series(&plain));
}

#[tokio::test]
async fn hostile_methods_hosts_and_paths_make_no_series() {
    let origin = Origin::start().await;
    origin.default_ok(b"x");
    let edge = Edge::with(&config(origin.address, &format!("{}{ROUTES}", server("")))).await;
    let round = async |number: usize| {
        let mark = format!("evil{number}");
        for request in [
            format!("{mark} /p HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
            format!(
                "GET /p/{mark}?{mark} HTTP/1.1\r\nHost: {mark}.example\r\nUser-Agent: {mark}\r\nConnection: close\r\n\r\n"
            ),
            format!("GET /{mark} HTTP/1.1\r\nHost: {mark}\r\nConnection: close\r\n\r\n"),
            format!("GET /{mark} HTTP/9.9\r\n\r\n"),
            format!("GET /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {mark}\r\nConnection: close\r\n\r\n"),
            format!("GET http://{mark}@a/p HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
        ] {
            Http1::sending(edge.address, request).await.rest().await;
        }
        let mut raw = Raw::connect(edge.address, &[]).await;
        let path = format!("/{mark}");
        let fields: [(&[u8], &[u8]); 4] = [
            (b":method", mark.as_bytes()),
            (b":scheme", b"http"),
            (b":authority", mark.as_bytes()),
            (b":path", path.as_bytes()),
        ];
        raw.request(1, &fields).await;
        raw.next_that("an answer", |frame| frame.stream == 1).await;
        raw.window(0, 0).await;
        raw.rest().await;
    };
    round(0).await;
    let before = Numbers::of(&edge).await;
    for number in 1..40 {
        round(number).await;
    }
    let after = Numbers::of(&edge).await;
    let series = |numbers: &Numbers| numbers.0.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(series(&before), series(&after));
    assert!(!after.0.keys().any(|series| series.contains("evil")), "{after:#?}");
    let bad = after.get("linkpush_http1_faults_total{reason=\"bad_target\"}");
    assert!(bad >= 40.0, "{after:#?}");
    let unrouted = after.get("linkpush_requests_total{route=\"\",protocol=\"http/1.1\",status=\"4xx\"}");
    assert!(unrouted >= 39.0, "{after:#?}");
}
