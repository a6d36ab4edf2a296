//! A server with few file descriptors: it raises its limit, keeps some for origins, and names the lack of them.

use std::{net::SocketAddr, os::unix::fs::PermissionsExt as _, path::Path};

use tokio::{io::AsyncReadExt as _, net::TcpStream};

use crate::{
    http1::exchange,
    support::{
        edge::{BINARY, Edge, PAGES, config},
        origin::Origin,
        within,
    },
};

/// A program that sets limits of open files, then becomes the server.
fn limited(folder: &Path, limits: &str) -> std::path::PathBuf {
    let script = folder.join("limited");
    std::fs::write(&script, format!("#!/bin/sh\n{limits}\nexec {BINARY} \"$@\"\n")).expect("a file");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("a file");
    script
}

async fn start(limits: &str, config: &str) -> (Edge, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let edge = Edge::of_binary(&limited(folder.path(), limits), config).await;
    (edge, folder)
}

/// Opens connections that ask nothing.
async fn connections(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut open = Vec::new();
    for _ in 0..count {
        open.push(TcpStream::connect(address).await.expect("it listens"));
    }
    open
}

#[tokio::test]
async fn the_soft_limit_is_raised_to_the_hard_one() {
    let origin = Origin::start().await;
    let (edge, _folder) = start("ulimit -S -n 300; ulimit -H -n 400", &config(origin.address, PAGES)).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", edge.pid())).expect("a process");
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .expect("a limit");
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words.get(3..5), Some(&["400", "400"][..]), "{line}");
}

#[tokio::test]
async fn clients_have_three_quarters_of_the_descriptors_unless_the_file_says_otherwise() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[], b"page");
    let set = format!("server: {{ max_connections: 20 }}\n{PAGES}");
    for (rest, most) in [(PAGES, 150), (&set, 20)] {
        let (edge, _folder) = start("ulimit -n 200", &config(origin.address, rest)).await;
        let mut open = connections(edge.address, most).await;
        let mut one_more = TcpStream::connect(edge.address).await.expect("it listens");
        let mut byte = [0];
        let read = within("the end of one more", one_more.read(&mut byte)).await;
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
        let closed = format!("closed a new connection: {most} are open, which is server.max_connections");
        edge.log_line(&[&closed]).await;
        open.pop();
        within("a place", async {
            while !exchange_if_served(edge.address).await {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

/// Whether a new connection is served: the end of another one is noticed a little later.
async fn exchange_if_served(address: SocketAddr) -> bool {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let sent = tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await;
    let mut answer = String::new();
    sent.is_ok() && stream.read_to_string(&mut answer).await.is_ok() && answer.ends_with("page")
}

#[tokio::test]
async fn the_lack_of_descriptors_is_named_and_no_server_is_blamed_for_it() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[], b"page");
    let rest = format!("server: {{ max_connections: 1000 }}\n{PAGES}");
    let (edge, _folder) = start("ulimit -n 64", &config(origin.address, &rest)).await;
    let open = connections(edge.address, 100).await;
    let line = edge.log_line(&["the file descriptors have run out"]).await;
    for advice in ["WARN", "server.max_connections", "LimitNOFILE", "ulimit -n"] {
        assert!(line.contains(advice), "{advice}: {line}");
    }
    drop(open);
    within("an answer", async {
        while !exchange_if_served(edge.address).await {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let answer = exchange(edge.address, "/", &[]).await;
    assert!(answer.ends_with("page"), "{answer}");
    assert_eq!(
        edge.count_lines("the file descriptors have run out"),
        1,
        "within a limit"
    );
    assert_eq!(edge.count_lines("Accept() failed"), 0, "said in words of its own");
}
