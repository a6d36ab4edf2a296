//! Requests wait for the processor, never for each other's origin.

use http::StatusCode;

use crate::support::{
    client::Client,
    edge::{Edge, config},
    origin::{Origin, Step, response},
};

/// On each connection; far more in all than begin at once.
const REQUESTS: usize = 100;
const CONNECTIONS: usize = 4;

const ONE_THREAD: &str = "routes: [{ name: all, upstream: app }]\nserver: { threads: 1 }\n";

/// Many requests at a time on many connections: whether each was answered with this.
async fn burst(edge: &Edge, path: &str, body: &[u8]) -> Vec<tokio::task::JoinHandle<bool>> {
    let mut pages = Vec::new();
    for _ in 0..CONNECTIONS {
        let client = Client::connect(edge.address).await;
        for _ in 0..REQUESTS {
            let (page, body) = (client.begin(path), body.to_vec());
            pages.push(tokio::spawn(async move {
                let page = page.await.expect("no panic").expect("an answer");
                page.answer.status == StatusCode::OK && page.answer.body == body
            }));
        }
    }
    pages
}

#[tokio::test]
async fn a_slow_origin_keeps_nobody_waiting() {
    let origin = Origin::start().await;
    origin.on(
        "/slow",
        [Step::Gate("slow"), Step::Send(response("200 OK", &[], b"slow"))],
    );
    origin.serve_ok("/quick", &[], b"quick");
    let edge = Edge::with(&config(origin.address, ONE_THREAD)).await;
    let slow = burst(&edge, "/slow", b"slow").await;
    // All of them have begun, though none is done.
    origin.requests("/slow", CONNECTIONS * REQUESTS).await;
    let other = Client::connect(edge.address).await;
    assert_eq!(other.get("/quick").await.answer.body, b"quick");
    for _ in &slow {
        origin.open("slow");
    }
    for page in slow {
        assert!(page.await.expect("no panic"));
    }
}

#[tokio::test]
async fn all_of_a_burst_are_answered() {
    let origin = Origin::start().await;
    origin.serve_ok("/a", &[], &[7; 20_000]);
    let edge = Edge::with(&config(origin.address, ONE_THREAD)).await;
    for page in burst(&edge, "/a", &[7; 20_000]).await {
        assert!(page.await.expect("no panic"));
    }
    assert_eq!(origin.count("/a"), CONNECTIONS * REQUESTS);
}
