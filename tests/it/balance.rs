//! Several servers: who gets which request, and what becomes of one that fails.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::task::JoinSet;

use crate::support::{
    client::Client,
    edge::{Edge, PAGES},
    origin::{Origin, Step, response},
};

/// This many origins that answer everything.
async fn origins<const N: usize>() -> [Origin; N] {
    let mut origins = Vec::new();
    for _ in 0..N {
        let origin = Origin::start().await;
        origin.default_ok(b"page");
        origins.push(origin);
    }
    origins
        .try_into()
        .unwrap_or_else(|_| unreachable!("as many as asked for"))
}

fn list(origins: &[Origin]) -> String {
    let quoted: Vec<_> = origins.iter().map(|origin| format!("'{}'", origin.address)).collect();
    quoted.join(", ")
}

async fn edge_with(app: &str) -> Edge {
    Edge::with(&format!(
        "listeners: [{{ address: 127.0.0.1:0 }}]\nupstreams:\n  app: {{ {app} }}\n{PAGES}"
    ))
    .await
}

fn counts(origins: &[Origin]) -> Vec<usize> {
    origins.iter().map(|origin| origin.count("/")).collect()
}

#[tokio::test]
async fn requests_are_shared_by_weight() {
    let origins = origins::<2>().await;
    let [heavy, light] = origins.clone().map(|origin| origin.address);
    let edge = edge_with(&format!("servers: [{{ address: '{heavy}', weight: 3 }}, '{light}']")).await;
    let client = Client::connect(edge.address).await;
    for _ in 0..40 {
        client.get("/").await;
    }
    assert_eq!(counts(&origins), [30, 10]);
}

#[tokio::test]
async fn the_server_with_the_fewest_requests_under_way_is_taken() {
    let origins = origins::<2>().await;
    for origin in &origins {
        origin.on(
            "/slow",
            [Step::Gate("slow"), Step::Send(response("200 OK", &[], b"slow"))],
        );
    }
    let edge = edge_with(&format!("servers: [{}], balance: least_connections", list(&origins))).await;
    let client = Client::connect(edge.address).await;
    let mut slow = JoinSet::new();
    for n in 1..=4 {
        let client = client.clone();
        slow.spawn(async move { client.get("/slow").await.answer.status });
        // One after another: each counts when the next is placed.
        crate::support::within("a slow request", async {
            while origins.iter().map(|origin| origin.count("/slow")).sum::<usize>() < n {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    assert_eq!(origins.each_ref().map(|origin| origin.count("/slow")), [2, 2]);
    // The first has none under way any more.
    origins[0].open("slow");
    origins[0].open("slow");
    slow.join_next().await;
    slow.join_next().await;
    for _ in 0..10 {
        client.get("/").await;
    }
    assert_eq!(counts(&origins), [10, 0]);
    origins[1].open("slow");
    origins[1].open("slow");
    assert_eq!(slow.join_all().await, [200, 200]);
}

#[tokio::test]
async fn a_hash_keeps_a_key_at_its_server() {
    let origins = origins::<3>().await;
    let servers = list(&origins);
    let edge = edge_with(&format!("servers: [{servers}], balance: hash")).await;
    for _ in 0..6 {
        Client::connect(edge.address).await.get("/").await;
    }
    let mut by_client = counts(&origins);
    by_client.sort_unstable();
    assert_eq!(by_client, [0, 0, 6], "one client, one server");
    let edge = edge_with(&format!("servers: [{servers}], balance: hash, hash_key: header x-user")).await;
    let client = Client::connect(edge.address).await;
    let mut used = [false; 3];
    for user in 0..30 {
        let before = counts(&origins);
        for _ in 0..3 {
            client
                .fetch(client.get_request("/", &[("x-user", &user.to_string())]))
                .await;
        }
        let after = counts(&origins);
        let rises: Vec<usize> = before
            .iter()
            .zip(&after)
            .map(|(before, after)| after - before)
            .collect();
        let at = rises
            .iter()
            .position(|&rise| rise == 3)
            .expect("all three at one server");
        used[at] = true;
    }
    assert_eq!(used, [true; 3], "many users, every server");
}

/// Requests under way all the time, and how many of them have failed.
struct Load {
    stop: Arc<AtomicBool>,
    failed: Arc<AtomicUsize>,
    done: Arc<AtomicUsize>,
    tasks: JoinSet<()>,
}

const CLIENTS: usize = 4;

impl Load {
    async fn start(address: SocketAddr) -> Self {
        let mut load = Self {
            stop: Arc::default(),
            failed: Arc::default(),
            done: Arc::default(),
            tasks: JoinSet::new(),
        };
        for _ in 0..CLIENTS {
            let client = Client::connect(address).await;
            let (stop, failed, done) = (load.stop.clone(), load.failed.clone(), load.done.clone());
            load.tasks.spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    let status = client.get("/").await.answer.status;
                    failed.fetch_add(usize::from(status != 200), Ordering::SeqCst);
                    done.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        load
    }

    /// Waits for this many more requests.
    async fn requests(&self, count: usize) {
        let until = self.done.load(Ordering::SeqCst) + count;
        crate::support::within("requests", async {
            while self.done.load(Ordering::SeqCst) < until {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    fn failed(&self) -> usize {
        self.failed.load(Ordering::SeqCst)
    }

    async fn end(mut self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("no stream was reset");
        }
        self.failed()
    }
}

#[tokio::test]
async fn a_server_killed_under_load_costs_no_request() {
    let origins = origins::<3>().await;
    let edge = edge_with(&format!("servers: [{}]", list(&origins))).await;
    let load = Load::start(edge.address).await;
    load.requests(100).await;
    origins[1].kill().await;
    let dead = format!("server {} is left alone for 10s after 3 failures", origins[1].address);
    edge.log_line(&[&dead, "connection refused"]).await;
    load.requests(200).await;
    assert_eq!(load.end().await, 0);
    assert!(
        edge.log().iter().any(|line| line.contains("tries=2")),
        "some met the dead server first"
    );
}

#[tokio::test]
async fn without_retries_failures_end_with_the_ejection() {
    let origins = origins::<3>().await;
    let edge = edge_with(&format!(
        "servers: [{}], max_retries: 0, ejection: {{ failures: 5, period: 1h }}",
        list(&origins)
    ))
    .await;
    let load = Load::start(edge.address).await;
    load.requests(100).await;
    assert_eq!(load.failed(), 0);
    origins[1].kill().await;
    edge.log_line(&["left alone for 3600s after 5 failures"]).await;
    // What was under way when it was ejected.
    load.requests(2 * CLIENTS).await;
    let failed = load.failed();
    // Each client may have had one request at the server when it died, and one when it was ejected.
    assert!((5..=5 + 2 * CLIENTS).contains(&failed), "{failed} failed");
    load.requests(300).await;
    assert_eq!(load.end().await, failed, "none after the ejection");
}

#[tokio::test]
async fn a_server_that_comes_back_is_used_again() {
    let origins = origins::<2>().await;
    let address = origins[0].address;
    let edge = edge_with(&format!(
        "servers: [{}], ejection: {{ failures: 1, period: 300ms }}",
        list(&origins)
    ))
    .await;
    let client = Client::connect(edge.address).await;
    origins[0].kill().await;
    for _ in 0..2 {
        assert_eq!(client.get("/").await.answer.status, 200);
    }
    edge.log_line(&["is left alone", "connection refused"]).await;
    let back = Origin::at(address).await;
    back.default_ok(b"back");
    crate::support::within("the server's return", async {
        while client.get("/").await.answer.body != b"back" {}
    })
    .await;
    edge.log_line(&[&format!("server {address} answers again")]).await;
}

#[tokio::test]
async fn servers_that_all_failed_are_used_all_the_same() {
    let origins = origins::<1>().await;
    let address = origins[0].address;
    let edge = edge_with(&format!(
        "servers: ['{address}'], ejection: {{ failures: 1, period: 1h }}"
    ))
    .await;
    let client = Client::connect(edge.address).await;
    origins[0].kill().await;
    for _ in 0..3 {
        assert_eq!(client.get("/").await.answer.status, 502, "asked, not given up");
    }
    Origin::at(address).await.default_ok(b"back");
    assert_eq!(client.get("/").await.answer.body, b"back");
}

#[tokio::test]
async fn a_health_check_takes_a_server_out_and_in_again() {
    let origins = origins::<2>().await;
    let healthy = |origin: &Origin| {
        origin.serve_ok("/health?deep", &[], b"");
    };
    let sick = |origin: &Origin| {
        origin.on(
            "/health?deep",
            [Step::Send(response("503 Service Unavailable", &[], b""))],
        );
    };
    origins.iter().for_each(healthy);
    let check = "{ path: '/health?deep', host: app.example, interval: 50ms, healthy_after: 2, unhealthy_after: 2 }";
    let edge = edge_with(&format!("servers: [{}], health_check: {check}", list(&origins))).await;
    let client = Client::connect(edge.address).await;
    let asked = origins[0].request("/health?deep").await;
    assert_eq!(asked.field("host"), Some("app.example"));
    let servers = [0, 1].map(|n| format!("server {}", origins[n].address));
    for _ in 0..10 {
        client.get("/").await;
    }
    assert_eq!(counts(&origins), [5, 5]);
    sick(&origins[0]);
    edge.log_line(&[&servers[0], "is unhealthy: its status is 503"]).await;
    for _ in 0..10 {
        client.get("/").await;
    }
    assert_eq!(counts(&origins), [5, 15]);
    // None is left: certain knowledge is not acted against.
    origins[1].kill().await;
    edge.log_line(&[&servers[1], "is unhealthy: "]).await;
    assert_eq!(client.get("/").await.answer.status, 503);
    edge.log_line(&["/ 503", "upstream app: no healthy server"]).await;
    healthy(&origins[0]);
    edge.log_line(&[&servers[0], "is healthy again"]).await;
    for _ in 0..5 {
        assert_eq!(client.get("/").await.answer.status, 200);
    }
    assert_eq!(origins[0].count("/"), 10);
}
