//! What origins are told of the client: over HTTP/1.1, over HTTP/2, and for promises.

use std::net::SocketAddr;

use crate::{
    http1::{exchange, raw as raw_http1},
    support::{
        client::Client,
        edge::{Edge, PAGES, config, listening},
        origin::{Origin, Seen},
        program::free_address,
        raw::{self, Raw},
    },
};

/// What a client could say of others, in every field that some application believes.
const SPOOFED: &[(&str, &str)] = &[
    ("x-forwarded-for", "10.0.0.1"),
    ("x-forwarded-for", "10.0.0.2"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "evil.example"),
    ("x-forwarded-port", "1"),
    ("x-forwarded-prefix", "/evil"),
    ("x-forwarded-server", "evil"),
    ("x_forwarded_for", "10.0.0.3"),
    ("forwarded", "for=10.0.0.4;host=evil.example"),
    ("x-real-ip", "10.0.0.5"),
    ("true-client-ip", "10.0.0.6"),
];

/// The fields of a request that speak of its client or its way, sorted by name.
fn told(seen: &Seen) -> Vec<String> {
    let speaks = |name: &str| {
        let name = name.replace('_', "-");
        name.contains("forwarded") || name.ends_with("-ip") || name == "via"
    };
    let mut told: Vec<_> = seen
        .fields
        .iter()
        .filter(|(name, _)| speaks(name))
        .map(|(name, value)| format!("{name}: {}", without_id(value)))
        .collect();
    told.sort();
    told
}

/// A value of Via without what tells the edge's process from others.
fn without_id(via: &str) -> String {
    let Some((before, rest)) = via.split_once("linkpush-") else {
        return via.to_owned();
    };
    let (id, after) = rest.split_at(8);
    assert!(id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{via}");
    format!("{before}linkpush{after}")
}

/// All that is told of a client on this machine that asked for the edge by its address.
fn of_this_machine(edge: SocketAddr, via: &str) -> Vec<String> {
    vec![
        format!("via: {via} linkpush"),
        "x-forwarded-for: 127.0.0.1".to_owned(),
        format!("x-forwarded-host: {edge}"),
        format!("x-forwarded-port: {}", edge.port()),
        "x-forwarded-proto: http".to_owned(),
    ]
}

/// An origin whose page names one asset.
async fn shop() -> Origin {
    let origin = Origin::start().await;
    origin
        .serve_ok("/", &[("link", "</a.css>; rel=preload; as=style")], b"page")
        .asset("/a.css", b"style");
    origin
}

#[tokio::test]
async fn nothing_that_an_http1_client_says_of_others_is_passed_on() {
    let origin = shop().await;
    let edge = Edge::start(origin.address).await;
    exchange(edge.address, "/", SPOOFED).await;
    assert_eq!(told(&origin.request("/").await), of_this_machine(edge.address, "1.1"));
}

#[tokio::test]
async fn nothing_that_an_http2_client_says_of_others_is_passed_on_not_even_to_its_promises() {
    let origin = shop().await;
    let edge = Edge::start(origin.address).await;
    let client = Client::connect(edge.address).await;
    let page = client.fetch(client.get_request("/", SPOOFED)).await;
    assert_eq!(page.promised(), ["/a.css"]);
    for path in ["/", "/a.css"] {
        assert_eq!(
            told(&origin.request(path).await),
            of_this_machine(edge.address, "2.0"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_promise_says_nothing_of_the_client_on_the_wire() {
    let origin = shop().await;
    let edge = Edge::start(origin.address).await;
    let client = Client::connect(edge.address).await;
    let page = client.fetch(client.get_request("/", SPOOFED)).await;
    let names: Vec<_> = page
        .push("/a.css")
        .request
        .headers()
        .keys()
        .map(|name| name.as_str())
        .collect();
    assert_eq!(names, ["accept"]);
}

#[tokio::test]
async fn forwarded_is_told_where_the_route_asks() {
    let origin = shop().await;
    let route = "routes:\n  - { name: pages, upstream: app, forwarded: on }\n";
    let edge = Edge::with(&config(origin.address, route)).await;
    let client = Client::connect(edge.address).await;
    client.fetch(client.get_request("/", SPOOFED)).await;
    let expected = format!("for=127.0.0.1;host=\"{}\";proto=http", edge.address);
    for path in ["/", "/a.css"] {
        let seen = origin.request(path).await;
        assert_eq!(seen.field("forwarded"), Some(expected.as_str()), "{path}");
    }
}

#[tokio::test]
async fn a_scheme_that_the_terminator_kept_is_told() {
    let origin = shop().await;
    let edge = Edge::start(origin.address).await;
    let mut client = Raw::connect(edge.address, &[]).await;
    let fields: [(&[u8], &[u8]); 4] = [
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":authority", b"shop.example"),
        (b":path", b"/"),
    ];
    client.request(1, &fields).await;
    client
        .next_that("the page", |frame| frame.kind == raw::DATA && frame.stream == 1)
        .await;
    for path in ["/", "/a.css"] {
        let seen = origin.request(path).await;
        let told = ["x-forwarded-proto", "x-forwarded-host", "x-forwarded-port"].map(|name| seen.field(name));
        assert_eq!(told, [Some("https"), Some("shop.example"), Some("443")], "{path}");
    }
}

#[tokio::test]
async fn received_via_is_kept_and_ours_comes_last() {
    let origin = shop().await;
    let edge = Edge::start(origin.address).await;
    exchange(edge.address, "/", &[("via", "1.0 fred"), ("via", "1.1 p.example")]).await;
    let seen = origin.request("/").await;
    let via: Vec<_> = seen.fields.iter().filter(|(name, _)| name == "via").collect();
    let values: Vec<_> = via.iter().map(|(_, value)| without_id(value)).collect();
    assert_eq!(values.join(", "), "1.0 fred, 1.1 p.example, 1.1 linkpush");
}

#[tokio::test]
async fn a_client_cannot_name_our_fields_as_those_of_its_connection() {
    let origin = shop().await;
    origin.serve_ok("/named", &[], b"named");
    let edge = Edge::with(&config(origin.address, PAGES)).await;
    for protected in ["X-Forwarded-For", "te, x-forwarded-proto", "X-FORWARDED-HOST", "host"] {
        let answer = exchange(edge.address, "/", &[("connection", protected)]).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{protected}: {answer}");
    }
    assert_eq!(origin.seen(), []);
    let names = "x-forwarded-port, via, forwarded, x-private";
    exchange(edge.address, "/named", &[("connection", names), ("x-private", "1")]).await;
    let seen = origin.request("/named").await;
    assert_eq!(told(&seen), of_this_machine(edge.address, "1.1"));
    assert_eq!(seen.field("x-private"), None);
}

#[tokio::test]
async fn what_belongs_to_one_hop_stays_there() {
    let origin = shop().await;
    let edge = Edge::start(origin.address).await;
    let hop = [
        ("te", "trailers"),
        ("trailer", "x-sum"),
        ("upgrade", "example/1"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic eDp5"),
        ("connection", "te, upgrade, keep-alive"),
        ("http2-settings", "AAMAAABk"),
    ];
    exchange(edge.address, "/", &hop).await;
    let client = Client::connect(edge.address).await;
    // What HTTP/2 clients may send of these.
    let fields = [hop[0], hop[1], hop[5]];
    client.fetch(client.get_request("/a.css", &fields)).await;
    for path in ["/", "/a.css"] {
        let seen = origin.request(path).await;
        let passed: Vec<_> = hop.iter().filter(|(name, _)| seen.field(name).is_some()).collect();
        assert!(passed.is_empty(), "{path}: {passed:?}");
    }
}

/// All that is told of a client of a trusted peer on this machine.
fn as_the_peer_says(via: &str) -> Vec<String> {
    let mut told: Vec<_> = SPOOFED
        .iter()
        .filter(|(name, _)| *name != "x-forwarded-for" && !name.contains('_'))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    told.push("x-forwarded-for: 10.0.0.1, 10.0.0.2, 127.0.0.1".to_owned());
    told.push(format!("via: {via} linkpush"));
    told.sort();
    told
}

#[tokio::test]
async fn a_trusted_peer_is_believed_over_http1() {
    let origin = shop().await;
    let edge = Edge::with(&listening(origin.address, "trusted: [127.0.0.0/8]", "")).await;
    exchange(edge.address, "/", SPOOFED).await;
    assert_eq!(told(&origin.request("/").await), as_the_peer_says("1.1"));
    // Of those that speak for the client, the nearest that is not trusted itself.
    edge.log_line(&["/ 200", " client=10.0.0.2 peer=127.0.0.1:"]).await;
}

#[tokio::test]
async fn a_trusted_peer_is_believed_over_http2_for_promises_too() {
    let origin = shop().await;
    let edge = Edge::with(&listening(origin.address, "trusted: [127.0.0.1, 10.0.0.2]", "")).await;
    let client = Client::connect(edge.address).await;
    let page = client.fetch(client.get_request("/", SPOOFED)).await;
    assert_eq!(page.push("/a.css").delivered().body, b"style");
    let names: Vec<_> = page.push("/a.css").request.headers().keys().collect();
    assert_eq!(names, ["accept"], "the promise itself says nothing of it");
    for path in ["/", "/a.css"] {
        assert_eq!(told(&origin.request(path).await), as_the_peer_says("2.0"), "{path}");
        edge.log_line(&[path, " 200 ", " client=10.0.0.1 peer=127.0.0.1:"])
            .await;
    }
    // Two clients of one peer are not taken for one.
    let other = [("x-forwarded-for", "10.0.0.9")];
    origin.serve_ok("/other", &[("link", "</b.css>; rel=preload; as=style")], b"page");
    origin.asset("/b.css", b"style");
    client.fetch(client.get_request("/other", &other)).await;
    let seen = origin.request("/b.css").await;
    assert_eq!(seen.field("x-forwarded-for"), Some("10.0.0.9, 127.0.0.1"));
}

#[tokio::test]
async fn a_trusted_peer_and_we_are_in_forwarded() {
    let origin = shop().await;
    let rest = "trusted: [127.0.0.1]";
    let edge = listening(origin.address, rest, "").replace("push: auto", "push: auto, forwarded: on");
    let edge = Edge::with(&edge).await;
    let client = Client::connect(edge.address).await;
    client.fetch(client.get_request("/", SPOOFED)).await;
    let expected = "for=10.0.0.4;host=evil.example, for=127.0.0.1;host=evil.example;proto=https";
    for path in ["/", "/a.css"] {
        let seen = origin.request(path).await;
        assert_eq!(seen.field("forwarded"), Some(expected), "{path}");
    }
}

#[tokio::test]
async fn an_asset_of_another_authority_is_not_told_the_documents() {
    let origin = Origin::start().await;
    let rest = "routes:\n  - { name: all, upstream: app, push: { authorities: ['cdn.example'] } }\n";
    let edge = listening(origin.address, "trusted: [127.0.0.1]", "").replace(PAGES, rest);
    let edge = Edge::with(&edge).await;
    origin
        .serve_ok(
            "/",
            &[("link", "<//cdn.example/c.css>; rel=preload; as=style")],
            b"page",
        )
        .asset("/c.css", b"style");
    let client = Client::connect(edge.address).await;
    let said = [
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-host", "shop.example"),
        ("x-forwarded-port", "443"),
        ("x-forwarded-proto", "https"),
    ];
    client.fetch(client.get_request("/", &said)).await;
    let names = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];
    let seen = origin.request("/c.css").await;
    let told = names.map(|name| seen.field(name));
    assert_eq!(
        told,
        [Some("203.0.113.7, 127.0.0.1"), Some("cdn.example"), Some("https")]
    );
    assert_eq!(seen.field("x-forwarded-port"), Some("443"), "of the scheme");
}

#[tokio::test]
async fn whom_a_proxy_header_names_is_told_and_not_believed() {
    let origin = shop().await;
    let edge = Edge::with(&listening(
        origin.address,
        "proxy_protocol: required, trusted: [127.0.0.1]",
        "",
    ))
    .await;
    let fields: String = SPOOFED
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let request = format!(
        "PROXY TCP4 203.0.113.7 192.0.2.1 4000 443\r\n\
         GET / HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n{fields}\r\n"
    );
    raw_http1(edge.address, &request).await;
    assert_eq!(
        told(&origin.request("/").await),
        [
            "via: 1.1 linkpush",
            "x-forwarded-for: 203.0.113.7",
            "x-forwarded-host: shop.example",
            "x-forwarded-port: 80",
            "x-forwarded-proto: http"
        ]
    );
    edge.log_line(&["/ 200", " client=203.0.113.7:4000"]).await;
}

#[tokio::test]
async fn a_request_that_keeps_coming_back_gets_508() {
    let address = free_address();
    let listener = format!("127.0.0.1:{}", address.port());
    let loops = config(address, PAGES).replace("127.0.0.1:0", &listener);
    let edge = Edge::with(&loops).await;
    edge.log_line(&["upstreams.app.servers[0]: this is the listener", "of linkpush itself"])
        .await;
    let answer = exchange(edge.address, "/", &[]).await;
    assert!(answer.starts_with("HTTP/1.1 508 Loop Detected"), "{answer}");
    edge.log_line(&["GET", "508", "loop: by Via"]).await;
    let client = Client::connect(edge.address).await;
    assert_eq!(client.get("/").await.answer.status, 508);
    // Each was passed on twice.
    edge.lines("/ 508", 6).await;
}

#[tokio::test]
async fn two_edges_in_a_chain_are_no_loop() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[], b"page");
    let inner = Edge::start(origin.address).await;
    let outer = Edge::start(inner.address).await;
    let answer = exchange(outer.address, "/", &[]).await;
    assert!(answer.ends_with("page"), "{answer}");
    let seen = origin.request("/").await;
    let lines = seen.fields.iter().filter(|(name, _)| name == "via");
    let via: Vec<_> = lines.map(|(_, value)| value.as_str()).collect();
    assert_eq!(via.join(", ").matches("linkpush-").count(), 2, "{via:?}");
}
