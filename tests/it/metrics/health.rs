//! `/healthz` and `/readyz`, and callers who mean no good.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{io::AsyncReadExt, net::TcpStream};

use super::{Numbers, address, ask, server};
use crate::support::{
    client::Client,
    edge::{Edge, config},
    http1::Http1,
    origin::{Origin, Step, response},
    program::free_address,
    within,
};

const ROUTES: &str = "routes: [{ name: pages, upstream: app }]\n";

/// The answer of `/readyz`: its status and its reasons.
async fn readiness(address: SocketAddr) -> (u16, Value) {
    let (status, head, content) = ask(address, "/readyz", "*/*").await;
    assert!(head.contains("Content-Type: application/json"), "{head}");
    let content: Value = serde_json::from_str(&content).unwrap_or_else(|e| panic!("{e}: {content}"));
    assert_eq!(content["ready"], Value::Bool(status == 200), "{content}");
    (status, content)
}

/// Waits until `/readyz` has this status.
async fn becomes(address: SocketAddr, expected: u16) -> Value {
    within(&format!("/readyz to be {expected}"), async {
        loop {
            let (status, content) = readiness(address).await;
            if status == expected {
                return content;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_server_that_serves_is_healthy_and_ready() {
    let origin = Origin::start().await;
    let unused = format!(
        "  unused: {{ servers: ['does-not-resolve.invalid:80'] }}\n{}{ROUTES}",
        server("")
    );
    let edge = Edge::with(&config(origin.address, &unused)).await;
    let address = address(&edge).await;
    let (status, _, content) = ask(address, "/healthz", "*/*").await;
    assert_eq!((status, &*content), (200, "{\"healthy\":true}\n"));
    let (status, content) = readiness(address).await;
    assert_eq!((status, &content["reasons"]), (200, &serde_json::json!([])));
    assert_eq!(content["configuration"]["generation"], 1);
}

#[tokio::test]
async fn a_server_without_an_origin_is_healthy_but_not_ready() {
    let dead = free_address();
    let config = format!(
        "listeners: [{{ address: '127.0.0.1:0' }}]\nupstreams:\n  app:\n    servers: ['{dead}']\n    \
         health_check: {{ path: /, interval: 100ms, unhealthy_after: 1, healthy_after: 1 }}\n{}{ROUTES}",
        server("")
    );
    let edge = Edge::with(&config).await;
    let address = address(&edge).await;
    let content = becomes(address, 503).await;
    assert_eq!(
        content["reasons"],
        serde_json::json!([{ "reason": "no_server", "upstream": "app", "detail": "no healthy server" }])
    );
    let (status, ..) = ask(address, "/healthz", "*/*").await;
    assert_eq!(status, 200);
    Numbers::of(&edge).await.assert("linkpush_ready", 0.0);
    let origin = Origin::at(dead).await;
    origin.default_ok(b"well");
    becomes(address, 200).await;
}

#[tokio::test]
async fn a_name_without_an_address_is_no_server() {
    let config = format!(
        "listeners: [{{ address: '127.0.0.1:0' }}]\nupstreams: {{ app: {{ servers: ['does-not-resolve.invalid:80'] }} }}\n{}{ROUTES}",
        server("")
    );
    let edge = Edge::with(&config).await;
    let content = becomes(address(&edge).await, 503).await;
    assert_eq!(content["reasons"][0]["detail"], "no server has an address");
}

#[tokio::test]
async fn a_server_that_drains_is_not_ready_and_still_tells_its_numbers() {
    let origin = Origin::start().await;
    origin.on(
        "/",
        [Step::Gate("answer"), Step::Send(response("200 OK", &[], b"late"))],
    );
    let mut edge = Edge::with(&config(origin.address, &format!("{}{ROUTES}", server("")))).await;
    let address = address(&edge).await;
    let client = Client::connect(edge.address).await;
    let transfer = client.begin("/");
    origin.request("/").await;
    edge.signal("TERM");
    let content = becomes(address, 503).await;
    assert_eq!(content["reasons"], serde_json::json!([{ "reason": "draining" }]));
    Numbers::of(&edge).await.assert("linkpush_client_connections_open", 1.0);
    assert_eq!(ask(address, "/healthz", "*/*").await.0, 200);
    origin.open("answer");
    let page = within("the transfer", transfer)
        .await
        .expect("no panic")
        .expect("an answer");
    assert_eq!(page.answer.body, b"late");
    drop(client);
    assert!(edge.ended().await);
}

#[tokio::test]
async fn a_failed_reload_leaves_a_server_ready() {
    let origin = Origin::start().await;
    let edge = Edge::with(&config(origin.address, &format!("{}{ROUTES}", server("")))).await;
    let address = address(&edge).await;
    edge.rewrite("nonsense");
    edge.signal("HUP");
    edge.lines("configuration not reloaded", 1).await;
    let (status, content) = readiness(address).await;
    assert_eq!(
        (status, &content["configuration"]["last_reload_failed"]),
        (200, &Value::Bool(true))
    );
    edge.rewrite(&config(origin.address, &format!("{}{ROUTES}", server(""))));
    edge.signal("HUP");
    edge.lines("configuration reloaded", 1).await;
    let (_, content) = readiness(address).await;
    assert_eq!(
        content["configuration"],
        serde_json::json!({ "generation": 2, "last_reload_failed": false })
    );
}

#[tokio::test]
async fn an_upgrade_takes_the_address_over() {
    let origin = Origin::start().await;
    let (edge_address, metrics) = (free_address(), free_address());
    let config = format!(
        "listeners: [{{ address: '{edge_address}' }}]\nupstreams: {{ app: {{ servers: ['{}'] }} }}\n\
         server: {{ pid_file: '{{folder}}/linkpush.pid', metrics: '{metrics}' }}\n{ROUTES}",
        origin.address
    );
    let mut edge = Edge::with(&config).await;
    let start = Numbers::of(&edge).await.get("process_start_time_seconds");
    edge.signal("USR2");
    edge.lines("metrics at http://", 2).await;
    let (status, content) = within("the new process to be ready", async {
        loop {
            let (status, content) = readiness(metrics).await;
            if status == 200 {
                return (status, content);
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(
        (status, &content["configuration"]["generation"]),
        (200, &Value::from(1))
    );
    let new_start = Numbers::of(&edge).await.get("process_start_time_seconds");
    assert!(new_start > start, "{new_start} {start}");
    assert!(edge.ended().await);
}

#[tokio::test]
async fn an_address_in_use_is_an_error_at_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let config = format!(
        "listeners: [{{ address: '127.0.0.1:0' }}]\nupstreams: {{ app: {{ servers: ['127.0.0.1:1'] }} }}\nserver: {{ metrics: '{address}' }}\n{ROUTES}"
    );
    let mut edge = Edge::spawn(&config);
    edge.log_line(&[&address.to_string(), "in use"]).await;
    assert!(!edge.ended().await);
}

#[tokio::test]
async fn hostile_callers_get_errors_and_hold_little() {
    let origin = Origin::start().await;
    let edge = Edge::with(&config(origin.address, &format!("{}{ROUTES}", server("")))).await;
    let address = address(&edge).await;
    for (request, status) in [
        (
            "POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc".to_owned(),
            "405",
        ),
        ("POST /purge HTTP/1.1\r\n\r\n".to_owned(), "405"),
        ("GET /purge HTTP/1.1\r\n\r\n".to_owned(), "404"),
        ("GET /learned HTTP/1.1\r\n\r\n".to_owned(), "404"),
        ("nonsense\r\n\r\n".to_owned(), "400"),
        (
            format!("GET /metrics HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(100_000)),
            "431",
        ),
        (
            format!("GET /metrics HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(100)),
            "431",
        ),
    ] {
        let answer = Http1::sending(address, &request).await.rest().await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let begin = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&begin), "{}: {answer}", &request[..20]);
    }
    let answer = Http1::sending(address, "HEAD /metrics HTTP/1.1\r\n\r\n")
        .await
        .rest()
        .await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
    // Callers who say nothing take all places, until their time is over.
    let mut silent = Vec::new();
    for _ in 0..64 {
        silent.push(TcpStream::connect(address).await.expect("a connection"));
    }
    let mut one_more = TcpStream::connect(address).await.expect("a connection");
    let read = within("the end of one connection too many", one_more.read(&mut [0; 1])).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    for mut caller in silent {
        let read = within("the end of a silent connection", caller.read(&mut [0; 1])).await;
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
    assert_eq!(readiness(address).await.0, 200);
}
