//! The origin's side: failures told apart, what is repeated, names whose addresses change.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{Method, Request};
use tokio::task::JoinSet;

use crate::support::{
    client::Client,
    dns::{Dns, Says},
    edge::{Edge, PAGES},
    http1::{Http1, field},
    origin::{Origin, Step},
    raw::{RST_STREAM, Raw},
    within,
};

/// An edge whose pool `app` has these settings.
async fn edge_with(app: &str, server: &str) -> Edge {
    Edge::with(&format!(
        "server: {{ {server} }}\nlisteners: [{{ address: 127.0.0.1:0 }}]\nupstreams:\n  app: {{ {app} }}\n{PAGES}"
    ))
    .await
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address")
}

fn request(client: &Client, method: Method, path: &str) -> Request<()> {
    let mut request = client.get_request(path, &[]);
    *request.method_mut() = method;
    request
}

/// An edge with an upstream for each way to fail, under `/refused`, `/unresolved`, `/silent` and
/// `/nonsense`; everything else goes to the origin.
async fn failing(origin: &Origin) -> Edge {
    let dns = Dns::start(Says::Error(3)).await;
    let (origin, nobody, dns) = (origin.address, nobody(), dns.address);
    let route = |name: &str| format!("  - {{ name: {name}, match: {{ path: ^/{name} }}, upstream: {name} }}\n");
    let routes = ["refused", "unresolved", "silent"].map(route).concat();
    Edge::with(&format!(
        "server: {{ resolver: {{ servers: ['{dns}'], timeout: 200ms }} }}
listeners: [{{ address: 127.0.0.1:0 }}]
upstreams:
  app: {{ servers: ['{origin}'] }}
  refused: {{ servers: ['{nobody}'] }}
  unresolved: {{ servers: ['app.example:80'], connect_timeout: 1s }}
  silent: {{ servers: ['{origin}'], read_timeout: 200ms }}
routes:
{routes}  - {{ name: rest, upstream: app }}
"
    ))
    .await
}

const FAILURES: [(&str, u16, &str); 4] = [
    ("/refused", 502, "connection refused"),
    ("/nonsense", 502, "not a valid HTTP/1.1 answer"),
    ("/unresolved", 503, "upstream unresolved: no server has an address"),
    ("/silent", 504, "silent for read_timeout"),
];

fn script_failures(origin: &Origin) {
    origin
        .on("/silent", [Step::Gate("never")])
        .on("/nonsense", [Step::Send(b"nonsense\r\n\r\n".to_vec()), Step::Close])
        .serve_ok("/fine", &[], b"fine");
}

#[tokio::test]
async fn each_failure_has_its_status_its_page_and_its_reason() {
    let origin = Origin::start().await;
    script_failures(&origin);
    let edge = failing(&origin).await;
    let client = Client::connect(edge.address).await;
    for (path, status, reason) in FAILURES {
        let answer = client.get(path).await.answer;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
        assert_eq!(answer.headers.contains_key("retry-after"), status == 503, "{path}");
        assert_eq!(answer.headers["content-length"], answer.body.len().to_string());
        let page = String::from_utf8(answer.body).expect("a page");
        assert!(page.contains(&status.to_string()) && page.len() < 300, "{page}");
        assert!(!page.contains("linkpush") && !page.contains("127.0.0.1"), "{page}");
        edge.log_line(&[&format!("{path} {status}"), "failure=", reason]).await;
        let head = client.fetch(request(&client, Method::HEAD, path)).await.answer;
        assert_eq!((head.status.as_u16(), head.body.len()), (status, 0), "HEAD {path}");
    }
    assert_eq!(client.get("/fine").await.answer.body, b"fine", "the connection goes on");
}

#[tokio::test]
async fn a_client_on_http_1_gets_the_same_page() {
    let origin = Origin::start().await;
    script_failures(&origin);
    let edge = failing(&origin).await;
    for (path, status, _) in FAILURES {
        let get = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        let (head, body) = Http1::sending(edge.address, get).await.answer().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert_eq!(field(&head, "cache-control"), Some("no-store"), "{head}");
        assert_eq!(field(&head, "retry-after").is_some(), status == 503, "{head}");
        assert!(String::from_utf8_lossy(&body).contains(&status.to_string()));
        let head = format!("HEAD {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        let all = Http1::sending(edge.address, head).await.rest().await;
        assert!(all.starts_with(format!("HTTP/1.1 {status} ").as_bytes()));
        assert!(all.ends_with(b"\r\n\r\n"), "a body after HEAD: {}", all.escape_ascii());
    }
}

#[tokio::test]
async fn a_push_that_fails_is_cancelled_and_its_page_is_not_harmed() {
    let origin = Origin::start().await;
    script_failures(&origin);
    for (path, ..) in FAILURES {
        let link = format!("<{path}>; rel=preload; as=style");
        origin.serve_ok(&format!("/page{path}"), &[("link", &link)], b"page");
    }
    let edge = failing(&origin).await;
    for (path, _, reason) in FAILURES {
        let page = Client::connect(edge.address).await.get(&format!("/page{path}")).await;
        assert_eq!(
            (page.answer.status.as_u16(), &page.answer.body[..]),
            (200, &b"page"[..])
        );
        let error = page.push(path).answer.as_ref().expect_err("cancelled");
        assert_eq!(error.reason(), Some(h2::Reason::CANCEL), "{path}");
        edge.log_line(&[&format!("{path} -"), "pushed_by=", reason]).await;
    }
}

#[tokio::test]
async fn what_changes_nothing_is_repeated_elsewhere_and_a_post_is_not() {
    let (bad, good) = (Origin::start().await, Origin::start().await);
    bad.on("/", [Step::Close]);
    good.serve_ok("/", &[], b"good");
    let servers = format!("servers: ['{}', '{}'], ejection: off", bad.address, good.address);
    let edge = edge_with(&servers, "").await;
    let client = Client::connect(edge.address).await;
    for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE] {
        let before = bad.seen().len();
        for _ in 0..2 {
            let answer = client.fetch(request(&client, method.clone(), "/")).await.answer;
            assert_eq!(answer.status, 200, "{method}");
        }
        assert_eq!(bad.seen().len(), before + 1, "{method} was there once in two turns");
    }
    edge.log_line(&["GET", "/ 200", &format!("server={}", good.address), "tries=2"])
        .await;
    let asked = |origin: &Origin| {
        origin
            .seen()
            .iter()
            .filter(|seen| seen.line.starts_with("POST"))
            .count()
    };
    let mut failed = 0;
    for _ in 0..4 {
        let status = client.fetch(request(&client, Method::POST, "/")).await.answer.status;
        failed += usize::from(status == 502);
    }
    assert_eq!((failed, asked(&bad), asked(&good)), (2, 2, 2), "each was sent once");
}

#[tokio::test]
async fn a_request_that_could_not_be_sent_goes_elsewhere_whatever_it_is() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[], b"good");
    let servers = format!("servers: ['{}', '{}', '{}']", nobody(), nobody(), origin.address);
    let edge = edge_with(&servers, "").await;
    let client = Client::connect(edge.address).await;
    for _ in 0..3 {
        assert_eq!(
            client.fetch(request(&client, Method::POST, "/")).await.answer.status,
            200
        );
    }
    let edge = edge_with(&format!("{servers}, max_retries: 1"), "").await;
    let client = Client::connect(edge.address).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(client.get("/").await.answer.status.as_u16());
    }
    assert_eq!(
        statuses,
        [502, 200, 200],
        "one more attempt is not enough for the first"
    );
    edge.log_line(&["/ 502", "tries=2"]).await;
}

#[tokio::test]
async fn a_kept_connection_that_is_lost_costs_a_post_but_no_get() {
    let origin = Origin::start().await;
    origin.default_ok(b"good");
    let edge = edge_with(&format!("servers: ['{}']", origin.address), "").await;
    let client = Client::connect(edge.address).await;
    for method in [Method::POST, Method::GET, Method::GET, Method::GET] {
        let mut turn = 0;
        let (status, asked) = loop {
            turn += 1;
            let path = format!("/{method}/{turn}");
            let before = origin.count(&path);
            client.get("/warm").await;
            origin.close_kept_after(Vec::new());
            let page = client.fetch(request(&client, method.clone(), &path)).await;
            // Else it was sent on a new connection, which is not lost.
            if origin.has_closed() {
                break (page.answer.status.as_u16(), origin.count(&path) - before);
            }
        };
        let expected = if method == Method::POST { (502, 1) } else { (200, 2) };
        assert_eq!((status, asked), expected, "{method}");
    }
    assert_eq!(edge.count_lines("left alone"), 0, "it is no failure of the server");
}

#[tokio::test]
async fn the_first_byte_has_a_limit_of_its_own() {
    let (slow, quick) = (Origin::start().await, Origin::start().await);
    slow.on("/", [Step::Gate("never")]);
    quick.on(
        "/",
        [
            Step::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n".to_vec()),
            // Far longer than the first byte may take: the limit ends with the header.
            Step::Think(Duration::from_millis(700)),
            Step::Send(b"page".to_vec()),
        ],
    );
    let servers = format!(
        "servers: ['{}', '{}'], first_byte_timeout: 200ms",
        slow.address, quick.address
    );
    let edge = edge_with(&servers, "").await;
    let client = Client::connect(edge.address).await;
    for _ in 0..2 {
        assert_eq!(client.get("/").await.answer.body, b"page");
    }
    assert_eq!(slow.count("/"), 1, "it was asked, and given up on");
    slow.on("/post", [Step::Gate("never")]);
    quick.on("/post", [Step::Gate("never")]);
    assert_eq!(
        client
            .fetch(request(&client, Method::POST, "/post"))
            .await
            .answer
            .status,
        504
    );
    assert_eq!(slow.count("/post") + quick.count("/post"), 1);
    edge.log_line(&["/post 504", "no answer within first_byte_timeout"])
        .await;
}

/// Two origins on the same port of different addresses.
async fn two_on_a_port() -> [Origin; 2] {
    loop {
        let first = Origin::at("127.0.0.2:0".parse().expect("an address")).await;
        let second = SocketAddr::from(([127, 0, 0, 3], first.address.port()));
        if std::net::TcpListener::bind(second).is_ok() {
            return [first, Origin::at(second).await];
        }
    }
}

const TWO: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const THREE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// Settings of a server that asks this name server.
fn resolver(dns: &Dns) -> String {
    format!("resolver: {{ servers: ['{}'], timeout: 200ms }}", dns.address)
}

#[tokio::test]
async fn requests_follow_a_name_to_its_new_address_and_none_fails() {
    let [old, new] = two_on_a_port().await;
    old.default_ok(b"old");
    new.default_ok(b"new");
    let dns = Dns::start(Says::Addresses(vec![TWO], 1)).await;
    let app = format!("servers: ['app.example:{}']", old.address.port());
    let edge = edge_with(&app, &resolver(&dns)).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut load = JoinSet::new();
    for _ in 0..4 {
        let (client, stop) = (Client::connect(edge.address).await, Arc::clone(&stop));
        load.spawn(async move {
            let mut count = 0;
            while !stop.load(Ordering::SeqCst) {
                assert_eq!(client.get("/").await.answer.status, 200);
                count += 1;
            }
            count
        });
    }
    old.request("/").await;
    dns.say(Says::Addresses(vec![THREE], 1));
    let changed = std::time::Instant::now();
    new.request("/").await;
    // The TTL is one second; the rest is for a machine that is busy with this load.
    assert!(changed.elapsed() < Duration::from_secs(8), "{:?}", changed.elapsed());
    // What had chosen its server by then may still arrive there.
    within("a lookup after the change", dns.questions(2)).await;
    old.kill().await;
    let client = Client::connect(edge.address).await;
    let before = old.seen().len();
    for _ in 0..20 {
        assert_eq!(client.get("/").await.answer.body, b"new");
    }
    stop.store(true, Ordering::SeqCst);
    let mut requests = 0;
    while let Some(count) = load.join_next().await {
        requests += count.expect("no request failed");
    }
    assert!(requests > 0 && old.seen().len() == before);
}

#[tokio::test]
async fn all_addresses_of_a_name_are_servers() {
    let [one, other] = two_on_a_port().await;
    one.default_ok(b"one");
    other.default_ok(b"other");
    let dns = Dns::start(Says::Addresses(vec![TWO, THREE], 60)).await;
    let edge = edge_with(
        &format!("servers: ['app.example:{}']", one.address.port()),
        &resolver(&dns),
    )
    .await;
    let client = Client::connect(edge.address).await;
    for _ in 0..10 {
        client.get("/").await;
    }
    assert_eq!((one.count("/"), other.count("/")), (5, 5));
}

#[tokio::test]
async fn a_lookup_that_fails_keeps_the_last_addresses() {
    let [old, new] = two_on_a_port().await;
    old.default_ok(b"old");
    new.default_ok(b"new");
    let dns = Dns::start(Says::Addresses(vec![TWO], 1)).await;
    let edge = edge_with(
        &format!("servers: ['app.example:{}']", old.address.port()),
        &format!(
            "resolver: {{ servers: ['{}'], timeout: 100ms, max_ttl: 1s }}",
            dns.address
        ),
    )
    .await;
    let client = Client::connect(edge.address).await;
    assert_eq!(client.get("/").await.answer.body, b"old");
    for broken in [Says::Error(2), Says::Nothing, Says::Error(3)] {
        dns.say(broken.clone());
        // Two families, and one more than was under way.
        dns.questions(4).await;
        assert_eq!(client.get("/").await.answer.body, b"old", "{broken:?}");
    }
    edge.log_line(&["app.example does not resolve, its last addresses are kept"])
        .await;
    assert_eq!(
        edge.count_lines("does not resolve"),
        1,
        "it is not said again and again"
    );
    dns.say(Says::Addresses(vec![THREE], 1));
    new_address(&edge, "127.0.0.3").await;
    assert_eq!(client.get("/").await.answer.body, b"new");
    edge.log_line(&["app.example resolves again"]).await;
}

async fn new_address(edge: &Edge, address: &str) {
    edge.log_line(&["app.example is at", address]).await;
}

#[tokio::test]
async fn a_name_that_does_not_resolve_keeps_nobody_from_starting() {
    let origin = Origin::at("127.0.0.2:0".parse().expect("an address")).await;
    origin.default_ok(b"there");
    let dns = Dns::start(Says::Error(3)).await;
    let edge = edge_with(
        &format!("servers: ['app.example:{}']", origin.address.port()),
        &resolver(&dns),
    )
    .await;
    let client = Client::connect(edge.address).await;
    assert_eq!(client.get("/").await.answer.status, 503);
    edge.log_line(&["app.example does not resolve, it has no address"])
        .await;
    dns.say(Says::Addresses(vec![TWO], 60));
    new_address(&edge, "127.0.0.2").await;
    assert_eq!(client.get("/").await.answer.body, b"there");
}

#[tokio::test]
async fn the_hosts_file_comes_before_name_servers() {
    let origin = Origin::start().await;
    origin.default_ok(b"local");
    let dns = Dns::start(Says::Error(3)).await;
    let edge = edge_with(
        &format!("servers: ['localhost:{}']", origin.address.port()),
        &resolver(&dns),
    )
    .await;
    assert_eq!(Client::connect(edge.address).await.get("/").await.answer.body, b"local");
}

#[tokio::test]
async fn a_reload_with_another_name_fails_no_request() {
    let [old, new] = two_on_a_port().await;
    old.default_ok(b"old");
    new.default_ok(b"new");
    let dns = Dns::start(Says::Addresses(vec![THREE], 60)).await;
    let config = |server: &str| {
        format!(
            "server: {{ {} }}\nlisteners: [{{ address: 127.0.0.1:0 }}]\nupstreams: {{ app: {{ servers: ['{server}:{}'] }} }}\n{PAGES}",
            resolver(&dns),
            old.address.port()
        )
    };
    let edge = Edge::with(&config("127.0.0.2")).await;
    let client = Client::connect(edge.address).await;
    assert_eq!(client.get("/").await.answer.body, b"old");
    edge.rewrite(&config("app.example"));
    edge.signal("HUP");
    edge.lines("configuration reloaded", 1).await;
    assert_eq!(
        client.get("/").await.answer.body,
        b"new",
        "it waits for the first answer"
    );
}

#[tokio::test]
async fn the_first_byte_is_awaited_from_the_end_of_the_request() {
    let origin = Origin::start().await;
    origin
        .serve_ok("/upload", &[], b"thanks")
        .on("/never", [Step::Gate("never")]);
    let app = format!("servers: ['{}'], first_byte_timeout: 200ms", origin.address);
    let edge = edge_with(&app, "").await;
    let stream = tokio::net::TcpStream::connect(edge.address)
        .await
        .expect("the edge listens");
    let (mut send, connection) = h2::client::handshake(stream).await.expect("a handshake");
    tokio::spawn(connection);
    for (path, status) in [("/upload", 200), ("/never", 504)] {
        let request = Request::post(format!("http://{}{path}", edge.address)).header("content-length", 8);
        let request = request.body(()).expect("a request");
        let (response, mut body) = send.send_request(request, false).expect("sent");
        for n in 0..4 {
            // Models a slow link: longer in all than the first byte may take.
            tokio::time::sleep(Duration::from_millis(150)).await;
            body.send_data("ab".into(), n == 3).expect("sent");
        }
        assert_eq!(
            within("an answer", response).await.expect("answered").status(),
            status,
            "{path}"
        );
    }
    edge.log_line(&["/never 504", "first_byte_timeout"]).await;
}

#[tokio::test]
async fn a_response_that_falls_silent_is_no_failure_of_its_server() {
    let origin = Origin::start().await;
    origin.serve_ok("/page", &[], b"page");
    let header = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n";
    origin.on("/events", [Step::Send(header.to_vec()), Step::Gate("never")]);
    let text = format!(
        "listeners: [{{ address: '127.0.0.1:0' }}]\n\
         upstreams: {{ app: {{ servers: ['{}'], read_timeout: 200ms, ejection: {{ failures: 1, period: 1h }} }} }}\n{PAGES}",
        origin.address
    );
    let edge = Edge::with(&text).await;
    for _ in 0..2 {
        let mut raw = Raw::connect(edge.address, &[]).await;
        raw.get(1, "/events").await;
        let reset = raw.next_that("a reset", |frame| frame.kind == RST_STREAM).await;
        assert_eq!(reset.error_code(), 8, "CANCEL: a time limit of ours");
    }
    edge.log_line(&["/events 200", "failure=\"", "silent for read_timeout"])
        .await;
    assert_eq!(edge.count_lines("is left alone"), 0);
    let page = Client::connect(edge.address).await.get("/page").await;
    assert_eq!(page.answer.status, 200);
}

#[tokio::test]
async fn a_request_whose_client_has_left_ends_though_its_response_might_be_stored() {
    let origin = Origin::start().await;
    origin.on("/slow", [Step::Gate("never")]);
    let text = format!(
        "listeners: [{{ address: '127.0.0.1:0' }}]\n\
         upstreams: {{ app: {{ servers: ['{}'], ejection: {{ failures: 1, period: 1h }} }} }}\n\
         routes: [{{ name: all, upstream: app, cache: all }}]\n",
        origin.address
    );
    let edge = Edge::with(&text).await;
    let mut raw = Raw::connect(edge.address, &[]).await;
    raw.get(1, "/slow").await;
    origin.requests("/slow", 1).await;
    raw.send(RST_STREAM, 0, 1, &8_u32.to_be_bytes()).await;
    origin.connections_at_most(0).await;
    edge.log_line(&["/slow", "failure=\"the client left\""]).await;
    // The connection's end is every stream's.
    raw.get(3, "/slow").await;
    origin.requests("/slow", 2).await;
    drop(raw);
    origin.connections_at_most(0).await;
    assert_eq!(edge.count_lines("is left alone"), 0, "no failure of its server");
}
