//! What a route that pushes costs where there is no `Link` header: not one allocation more. Where there is
//! one, it is parsed once, whatever is done with it.
//!
//! A test binary of its own, since the allocator that counts is one of a whole process. Servers run in it
//! that differ in what their route does; the same requests go to them, and the counts are compared.

#![allow(missing_docs, clippy::panic, reason = "a test that fails panics")]

use std::{
    alloc::System,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use h2::client::SendRequest;
use linkpush::{
    config,
    server::{Server, Sockets},
};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const REQUESTS: usize = 200;
const ROUNDS: usize = 7;

/// The counts are those of the process, so one test runs at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Links in the header of one page that is parsed.
const LINKS: usize = 8;

/// A keep-alive origin whose answers have the `Link` that the first part of their path asks for.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                stream.set_nodelay(true).expect("a socket");
                let mut writer = stream.try_clone().expect("a socket");
                let mut link = String::new();
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if let Some(path) = line.strip_prefix("GET /") {
                        link = match path.split(['/', ' ']).next() {
                            Some("linked") => "link: </a.css>; rel=preload\r\n".to_owned(),
                            Some("plain") => format!("link: {}\r\n", "</b>; rel=\"next\", ".repeat(LINKS)),
                            // To take a backslash out takes an allocation, each time that it is parsed.
                            Some("escaped") => format!("link: {}\r\n", "</b>; rel=\"nex\\t\", ".repeat(LINKS)),
                            _ => String::new(),
                        };
                    }
                    if line.is_empty() {
                        let answer = format!("HTTP/1.1 200 OK\r\n{link}content-length: 4\r\n\r\npage");
                        let _ = writer.write_all(answer.as_bytes());
                    }
                }
            });
        }
    });
    address
}

fn edge(route: &str, origin: SocketAddr) -> SocketAddr {
    let text = format!(
        "server: {{ threads: 1 }}\nlisteners: [{{ address: '127.0.0.1:0' }}]\n\
         upstreams: {{ app: {{ servers: ['{origin}'] }} }}\nroutes: [{{ name: all, upstream: app, {route} }}]\n"
    );
    let config = config::parse("test.yaml", &text).expect("a valid configuration");
    let server = Server::new(config, None, Sockets::Open).expect("a server");
    let address = *server.addresses().first().expect("one listener");
    std::thread::spawn(move || server.run());
    let deadline = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "the server does not listen");
        std::thread::yield_now();
    }
    address
}

async fn connect(address: SocketAddr) -> SendRequest<Bytes> {
    let stream = tokio::net::TcpStream::connect(address).await.expect("the edge listens");
    let mut builder = h2::client::Builder::new();
    let (send, connection) = builder.enable_push(false).handshake(stream).await.expect("a handshake");
    tokio::spawn(connection);
    send
}

/// Allocations of the whole process for some requests, one after another.
async fn allocations(send: &mut SendRequest<Bytes>, url: impl Fn() -> String) -> usize {
    let before = ALLOCATOR.stats().allocations;
    for _ in 0..REQUESTS {
        let request = http::Request::builder().uri(url()).body(()).expect("a request");
        let (response, _) = send.send_request(request, true).expect("sent");
        let mut body = response.await.expect("answered").into_body();
        while let Some(data) = body.data().await {
            let length = data.expect("data").len();
            body.flow_control().release_capacity(length).expect("a window");
        }
    }
    ALLOCATOR.stats().allocations - before
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

#[test]
fn a_push_route_allocates_nothing_for_a_response_without_links() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let origin = origin();
    let (off, on) = (edge("push: off", origin), edge("push: auto", origin));
    runtime().block_on(async {
        let (mut to_off, mut to_on) = (connect(off).await, connect(on).await);
        let mut fewest = [usize::MAX; 3];
        for _ in 0..ROUNDS {
            let rounds = [
                allocations(&mut to_off, || format!("http://{off}/page")).await,
                allocations(&mut to_on, || format!("http://{on}/page")).await,
                allocations(&mut to_on, || format!("http://{on}/linked")).await,
            ];
            for (fewest, round) in fewest.iter_mut().zip(rounds) {
                *fewest = round.min(*fewest);
            }
        }
        let [off, on, linked] = fewest;
        // Timers and the runtimes allocate now and then, more on a busy machine, but never with every
        // second request; what is looked for would be one with each.
        assert!(
            on <= off + REQUESTS / 2,
            "{REQUESTS} requests: {off} allocations with push off, {on} with push on"
        );
        assert!(
            linked > on + REQUESTS,
            "the count sees what a Link header costs: {linked} against {on}"
        );
    });
}

#[test]
fn a_link_header_is_parsed_once_and_where_nothing_asks_for_it_never() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let origin = origin();
    let folders = AtomicUsize::new(1);
    let next = || folders.fetch_add(1, Ordering::Relaxed);
    let (new, old): (&dyn Fn() -> usize, &dyn Fn() -> usize) = (&next, &|| 0);
    for (route, folder, expected) in [
        ("push: auto, learn: on", new, 1),
        ("push: auto, learn: on", old, 1),
        ("push: auto", new, 1),
        ("push: off, learn: on", new, 1),
        ("push: off", new, 1),
        // What these fields name is known to be an asset.
        ("push: off", old, 0),
        ("push: off, cache: off", new, 0),
    ] {
        let edge = edge(route, origin);
        let (plain, escaped) = runtime().block_on(async {
            let mut send = connect(edge).await;
            let mut fewest = (usize::MAX, usize::MAX);
            // Two will do: a parse that is one too many makes more of them than a busy machine does.
            for _ in 0..2 {
                let mut count = async |kind: &str| {
                    let url = || format!("http://{edge}/{kind}/{:06}/page", folder());
                    allocations(&mut send, url).await
                };
                fewest.0 = count("plain").await.min(fewest.0);
                fewest.1 = count("escaped").await.min(fewest.1);
            }
            fewest
        });
        let one = REQUESTS * LINKS;
        let parses = (escaped.saturating_sub(plain) + one / 2) / one;
        assert_eq!(
            parses, expected,
            "{route}: {plain} allocations, {escaped} with what each parse costs"
        );
    }
}
