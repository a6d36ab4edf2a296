//! `linkpush purge` on a running server.

use std::{
    net::SocketAddr,
    process::{Command, Output},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    client::Client,
    edge::{BINARY, Edge, config},
    http1::Http1,
    origin::{Origin, Step, response},
    program::free_address,
    raw::Raw,
    within,
};

const FRESH: (&str, &str) = ("cache-control", "max-age=600");

async fn edge(origin: &Origin, admin: &str) -> Edge {
    let routes = format!(
        "server: {{ admin: '{admin}' }}\nroutes: [{{ name: pages, upstream: app, cache: {{ caching: all, wait: 1m }} }}]"
    );
    Edge::with(&config(origin.address, &routes)).await
}

/// Waits until something takes connections at an address: the log tells it of the clients' one only.
async fn listens(address: SocketAddr) {
    within("a listener", async {
        while TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

fn purge(edge: &Edge, what: &[&str]) -> Output {
    Command::new(BINARY)
        .args(["purge", "--config"])
        .arg(edge.config_file())
        .args(what)
        .output()
        .expect("the binary starts")
}

fn said(output: &Output) -> (bool, String) {
    let text = [&*output.stdout, &output.stderr].concat();
    let text = String::from_utf8(text).expect("UTF-8");
    (output.status.success(), text.trim_end().to_owned())
}

#[tokio::test]
async fn what_is_named_is_asked_for_again() {
    let origin = Origin::start().await;
    for path in ["/static/a", "/static/b", "/c", "/d?q"] {
        origin.serve_ok(path, &[FRESH, ("vary", "accept-encoding")], b"content");
    }
    let edge = edge(&origin, "{folder}/admin.sock").await;
    let url = |path: &str| format!("http://{}{path}", edge.address);
    let client = Client::connect(edge.address).await;
    let visit = async || {
        for path in ["/static/a", "/static/b", "/c", "/d?q"] {
            for codings in ["gzip", "br"] {
                super::get(&client, path, &[("accept-encoding", codings)]).await;
            }
        }
        ["/static/a", "/static/b", "/c", "/d?q"].map(|path| origin.count(path))
    };
    assert_eq!(visit().await, [2, 2, 2, 2]);
    assert_eq!(visit().await, [2, 2, 2, 2]);
    let purged = |count: u32| (true, format!("{count} answers purged"));
    assert_eq!(said(&purge(&edge, &[&url("/d?q")])), purged(2));
    assert_eq!(said(&purge(&edge, &[&url("/d")])), purged(0));
    assert_eq!(visit().await, [2, 2, 2, 4]);
    assert_eq!(said(&purge(&edge, &["--prefix", &url("/static/")])), purged(4));
    assert_eq!(visit().await, [4, 4, 2, 4]);
    assert_eq!(said(&purge(&edge, &["--all"])), purged(8));
    assert_eq!(visit().await, [6, 6, 4, 6]);
}

#[tokio::test]
async fn what_is_on_its_way_is_not_kept() {
    let origin = Origin::start().await;
    let answer = response("200 OK", &[FRESH], b"old content");
    let (begin, rest) = answer.split_at(answer.len() - 4);
    origin.on(
        "/asked",
        [Step::Gate("asked"), Step::Send(response("200 OK", &[FRESH], b"old"))],
    );
    origin.on(
        "/half",
        [
            Step::Send(begin.to_vec()),
            Step::Gate("half"),
            Step::Send(rest.to_vec()),
        ],
    );
    let edge = edge(&origin, "{folder}/admin.sock").await;
    let mut visits = Vec::new();
    for path in ["/asked", "/half"] {
        let client = Client::connect(edge.address).await;
        visits.push(tokio::spawn(async move { client.get(path).await }));
        origin.request(path).await;
    }
    let (is_done, _) = said(&purge(&edge, &["--prefix", &format!("http://{}/", edge.address)]));
    assert!(is_done);
    origin.serve_ok("/asked", &[FRESH], b"new");
    origin.serve_ok("/half", &[FRESH], b"new");
    origin.open("asked");
    origin.open("half");
    let mut bodies = Vec::new();
    for visit in visits {
        bodies.push(within("an answer", visit).await.expect("no panic").answer.body);
    }
    assert_eq!(
        bodies,
        [b"old".to_vec(), b"old content".to_vec()],
        "who waited got what was asked for"
    );
    let client = Client::connect(edge.address).await;
    for path in ["/asked", "/half"] {
        for _ in 0..2 {
            assert_eq!(client.get(path).await.answer.body, b"new", "{path}");
        }
        assert_eq!(origin.count(path), 2, "{path}");
    }
}

#[tokio::test]
async fn the_entrance_takes_purges_and_tells_counters_and_nothing_else() {
    let origin = Origin::start().await;
    let admin = free_address();
    let edge = edge(&origin, &admin.to_string()).await;
    listens(admin).await;
    let ask = async |method: &str, path: &str, fields: &str, body: &str| {
        let host = if fields.contains("host:") {
            ""
        } else {
            "host: localhost\r\n"
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\n{host}{fields}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let (head, answer) = Http1::sending(admin, request).await.answer().await;
        let status: u16 = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .expect("a status");
        (status, String::from_utf8(answer).expect("UTF-8"))
    };
    assert_eq!(
        ask("POST", "/purge", "", "{\"all\":true}").await,
        (200, "{\"purged\":0}".to_owned())
    );
    assert_eq!(ask("GET", "/purge", "", "").await.0, 405);
    // A client that breaks the rules of HTTP/2 is counted, by its reason.
    let mut raw = Raw::connect(edge.address, &[]).await;
    raw.window(0, 0).await;
    raw.rest().await;
    let (status, counters) = ask("GET", "/metrics", "accept: application/openmetrics-text\r\n", "").await;
    let counted = "linkpush_http2_faults_total{reason=\"zero_window_update\",scope=\"connection\"} 1\n";
    assert!(
        status == 200 && counters.contains(counted) && counters.ends_with("# EOF\n"),
        "{counters}"
    );
    assert_eq!(ask("POST", "/metrics", "", "").await.0, 405);
    assert_eq!(ask("POST", "/", "", "{\"all\":true}").await.0, 404);
    assert_eq!(
        ask("POST", "/purge", "origin: http://x\r\n", "{\"all\":true}").await.0,
        403
    );
    for host in ["host: evil.example\r\n", "host: localhost.evil.example:80\r\n"] {
        assert_eq!(ask("GET", "/metrics", host, "").await.0, 421, "{host}");
    }
    for site in ["cross-site", "same-site", "same-origin"] {
        let fields = format!("sec-fetch-site: {site}\r\n");
        assert_eq!(ask("GET", "/metrics", &fields, "").await.0, 403, "{site}");
    }
    assert_eq!(ask("GET", "/metrics", "sec-fetch-site: none\r\n", "").await.0, 200);
    assert_eq!(ask("POST", "/purge", "", &" ".repeat(20_000)).await.0, 413);
    for body in ["", "{}", "{\"all\":false}", "{\"url\":\"/a\"}", "{\"file\":1}"] {
        let (status, answer) = ask("POST", "/purge", "", body).await;
        assert_eq!(status, 400, "{body}: {answer}");
    }
    let (is_done, text) = said(&purge(&edge, &["/main.css"]));
    assert!(
        !is_done && text.contains("the server refuses: must be an absolute http"),
        "{text}"
    );
}

#[tokio::test]
async fn half_a_request_is_closed() {
    let origin = Origin::start().await;
    let admin = free_address();
    let _edge = edge(&origin, &admin.to_string()).await;
    listens(admin).await;
    let half = "POST /purge HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{";
    let mut halves = Vec::new();
    for half in ["", "GET /metrics HTTP/1.1\r\n", half] {
        let client = Http1::sending(admin, half).await;
        // Bytes that drip do not keep it open.
        halves.push(tokio::spawn(async move {
            let (mut from, mut to) = client.stream.into_split();
            let mut answer = Vec::new();
            let dripping = async {
                loop {
                    let _ = to.write_all(b"x").await;
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            };
            tokio::select! {
                read = from.read_to_end(&mut answer) => drop(read),
                () = dripping => {}
            }
        }));
    }
    for half in halves {
        within("the end of half a request", half).await.expect("no panic");
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_told_of() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "off").await;
    let (is_done, text) = said(&purge(&edge, &["--all"]));
    assert!(!is_done && text.contains("server.admin is not set"), "{text}");
    let unused = format!(
        "server: {{ admin: '{{folder}}/none.sock' }}\n{}",
        crate::support::edge::PAGES
    );
    edge.rewrite(&config(origin.address, &unused));
    let (is_done, text) = said(&purge(&edge, &["--all"]));
    assert!(!is_done && text.contains("cannot reach the server at"), "{text}");
    assert_eq!(purge(&edge, &[]).status.code(), Some(2));
    assert_eq!(purge(&edge, &["--all", "--prefix", "http://a/"]).status.code(), Some(2));
}
