//! Events and the numbers that they make.

use super::{Numbers, server};
use crate::support::{
    client::Client,
    edge::{Edge, config},
    http1::Http1,
    origin::{Origin, Step, early_hints, response},
    program::free_address,
    raw::{RST_STREAM, Raw},
    tls::issue,
    within,
};

const ROUTES: &str = "routes:\n  - { name: cached, upstream: app, match: { path: '^/cached' }, cache: all }\n  \
                      - { name: pages, upstream: app, learn: on }\n";

async fn edge(origin: &Origin) -> Edge {
    Edge::with(&config(origin.address, &format!("{}{ROUTES}", server("")))).await
}

/// The numbers once this series has this number: a response may reach its client before the request is counted.
async fn numbers_with(edge: &Edge, series: &str, expected: f64) -> Numbers {
    within(&format!("{series} to be {expected}"), async {
        loop {
            let numbers = Numbers::of(edge).await;
            if (numbers.get(series) - expected).abs() < 1e-9 {
                return numbers;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test]
async fn requests_are_counted_by_route_protocol_and_status() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[], b"0123456789");
    origin.on("/bad", [Step::Send(response("500 Oh", &[], b"bad"))]);
    let edge = edge(&origin).await;
    let client = Client::connect(edge.address).await;
    client.get("/").await;
    client.get("/").await;
    client.get("/bad").await;
    let http1 = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", edge.address);
    Http1::sending(edge.address, http1).await.answer().await;
    let numbers = numbers_with(&edge, "linkpush_request_duration_seconds_count{route=\"pages\"}", 4.0).await;
    let requests = |protocol: &str, status: &str| {
        format!("linkpush_requests_total{{route=\"pages\",protocol=\"{protocol}\",status=\"{status}\"}}")
    };
    numbers.assert(&requests("h2", "2xx"), 2.0);
    numbers.assert(&requests("h2", "5xx"), 1.0);
    numbers.assert(&requests("http/1.1", "2xx"), 1.0);
    numbers.assert("linkpush_response_bytes_total{route=\"pages\"}", 33.0);
    numbers.assert("linkpush_origin_first_byte_seconds_count{upstream=\"app\"}", 4.0);
    let connections = |kind: &str| {
        numbers.get(&format!(
            "linkpush_origin_connections_total{{upstream=\"app\",kind=\"{kind}\"}}"
        ))
    };
    assert!(connections("made") >= 1.0, "{numbers:#?}");
    assert!(
        (connections("made") + connections("reused") - 4.0).abs() < 1e-9,
        "{numbers:#?}"
    );
    numbers.assert("linkpush_client_connections_total{protocol=\"h2\"}", 1.0);
    numbers.assert("linkpush_client_connections_total{protocol=\"http/1\"}", 1.0);
    numbers.assert("linkpush_origin_servers{upstream=\"app\",state=\"up\"}", 1.0);
    numbers.assert("linkpush_build_info{version=\"0.1.0\"}", 1.0);
    numbers.assert("linkpush_ready", 1.0);
    for positive in [
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
        "process_open_fds",
        "process_max_fds",
        "process_threads",
        "process_start_time_seconds",
    ] {
        assert!(numbers.get(positive) > 0.0, "{positive}: {numbers:#?}");
    }
}

#[tokio::test]
async fn pushes_and_their_bytes_are_counted() {
    let origin = Origin::start().await;
    let links = "</a.css>; rel=preload; as=style, </b.css>; rel=preload; as=style; nopush, \
                 </gone.css>; rel=preload; as=style";
    origin.serve_ok("/", &[("link", links)], b"page");
    origin.asset("/a.css", b"0123456789");
    origin.on("/gone.css", [Step::Send(response("404 Not Found", &[], b"gone"))]);
    let edge = edge(&origin).await;
    Client::connect(edge.address).await.get("/").await;
    let numbers = numbers_with(&edge, "linkpush_pushed_bytes_total{route=\"pages\"}", 10.0).await;
    numbers.assert("linkpush_promises_total{route=\"pages\",source=\"response\"}", 2.0);
    numbers.assert(
        "linkpush_pushes_cancelled_total{route=\"pages\",reason=\"status\"}",
        1.0,
    );
    numbers.assert("linkpush_links_skipped_total{route=\"pages\",reason=\"nopush\"}", 1.0);
    numbers.assert("linkpush_pushed_wasted_bytes_total{route=\"pages\"}", 0.0);
    // A promise is no request of the client.
    numbers.assert(
        "linkpush_requests_total{route=\"pages\",protocol=\"h2\",status=\"2xx\"}",
        1.0,
    );
}

#[tokio::test]
async fn bytes_that_a_client_did_not_want_are_wasted() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[("link", "</a.css>; rel=preload; as=style")], b"page");
    origin.asset("/a.css", &[b'x'; 200_000]);
    let edge = edge(&origin).await;
    let mut raw = Raw::connect(edge.address, &[]).await;
    raw.get(1, "/").await;
    let promised = raw.next_promise().await;
    // The window of a stream fills before the client resets it.
    raw.next_that("pushed bytes", |frame| frame.stream == promised && frame.kind == 0)
        .await;
    raw.send(RST_STREAM, 0, promised, &8_u32.to_be_bytes()).await;
    let numbers = numbers_with(
        &edge,
        "linkpush_pushes_cancelled_total{route=\"pages\",reason=\"client\"}",
        1.0,
    )
    .await;
    let wasted = numbers.get("linkpush_pushed_wasted_bytes_total{route=\"pages\"}");
    assert!(wasted > 0.0 && wasted < 200_000.0, "{wasted}");
    numbers.assert("linkpush_pushed_bytes_total{route=\"pages\"}", wasted);
}

#[tokio::test]
async fn hints_are_counted_with_their_use() {
    let origin = Origin::start().await;
    let early = early_hints(&["</a.css>; rel=preload; as=style", "</b.css>; rel=preload; as=style"]);
    origin.on("/", [Step::Send(early), Step::Send(response("200 OK", &[], b"page"))]);
    origin.asset("/a.css", b"a").asset("/b.css", b"b");
    let edge = edge(&origin).await;
    {
        let client = Client::without_push(edge.address).await;
        client.navigate("/").await;
        client.get("/a.css").await;
    }
    // Whether a link is used is known for sure when the connection has ended.
    let numbers = numbers_with(
        &edge,
        "linkpush_hints_unused_total{route=\"pages\",source=\"early\"}",
        1.0,
    )
    .await;
    numbers.assert("linkpush_hints_total{route=\"pages\",source=\"early\"}", 2.0);
    numbers.assert("linkpush_hints_used_total{route=\"pages\",source=\"early\"}", 1.0);
    numbers.assert("linkpush_hints_total{route=\"pages\",source=\"learned\"}", 0.0);
}

#[tokio::test]
async fn learned_links_are_judged() {
    let origin = Origin::start().await;
    let page = |link: &str| origin.serve_ok("/", &[("link", link)], b"page");
    origin.asset("/a.css", b"a").asset("/b.css", b"b");
    let edge = edge(&origin).await;
    for link in [
        "</a.css>; rel=preload; as=style",
        "</a.css>; rel=preload; as=style",
        "</b.css>; rel=preload; as=style",
    ] {
        page(link);
        Client::connect(edge.address).await.get("/").await;
    }
    let numbers = numbers_with(
        &edge,
        "linkpush_learned_links_total{route=\"pages\",verdict=\"wrong\"}",
        1.0,
    )
    .await;
    numbers.assert("linkpush_learned_links_total{route=\"pages\",verdict=\"right\"}", 1.0);
    numbers.assert("linkpush_promises_total{route=\"pages\",source=\"learned\"}", 2.0);
    numbers.assert("linkpush_learned_documents", 1.0);
    numbers.assert("linkpush_learning_paused_documents", 0.0);
}

#[tokio::test]
async fn the_cache_counts_hits_and_what_it_holds() {
    let origin = Origin::start().await;
    origin.serve_ok("/cached", &[("cache-control", "max-age=600")], &[b'x'; 1000]);
    origin.serve_ok("/cached/not", &[("cache-control", "no-store")], b"x");
    let edge = edge(&origin).await;
    let client = Client::connect(edge.address).await;
    for path in ["/cached", "/cached", "/cached", "/cached/not"] {
        client.get(path).await;
    }
    let outcome = |outcome: &str| format!("linkpush_cache_requests_total{{route=\"cached\",outcome=\"{outcome}\"}}");
    let numbers = numbers_with(&edge, "linkpush_request_duration_seconds_count{route=\"cached\"}", 4.0).await;
    numbers.assert(&outcome("hit"), 2.0);
    numbers.assert(&outcome("miss"), 1.0);
    numbers.assert(&outcome("pass"), 1.0);
    numbers.assert("linkpush_response_bytes_total{route=\"cached\"}", 3001.0);
    numbers.assert("linkpush_cache_objects", 1.0);
    assert!(numbers.get("linkpush_cache_bytes") > 1000.0, "{numbers:#?}");
    assert!(numbers.get("linkpush_cache_limit_bytes") > 1e8, "{numbers:#?}");
}

#[tokio::test]
async fn failures_of_origins_are_counted_by_kind() {
    let (dead, origin) = (free_address(), Origin::start().await);
    origin.on("/cut", [Step::Close]);
    let more = format!(
        "  dead: {{ servers: ['{dead}'], max_retries: 0, ejection: {{ failures: 1 }} }}\n{}routes:\n  \
         - {{ name: dead, upstream: dead, match: {{ path: '^/dead' }} }}\n  - {{ name: pages, upstream: app }}\n",
        server("")
    );
    let edge = Edge::with(&config(origin.address, &more)).await;
    let client = Client::connect(edge.address).await;
    client.get("/dead").await;
    client.get("/cut").await;
    let numbers = numbers_with(
        &edge,
        "linkpush_requests_total{route=\"pages\",protocol=\"h2\",status=\"5xx\"}",
        1.0,
    )
    .await;
    numbers.assert(
        "linkpush_origin_failures_total{upstream=\"dead\",kind=\"connection_refused\"}",
        1.0,
    );
    numbers.assert("linkpush_origin_ejections_total{upstream=\"dead\"}", 1.0);
    numbers.assert("linkpush_origin_servers{upstream=\"dead\",state=\"ejected\"}", 1.0);
    assert!(
        numbers.get("linkpush_origin_failures_total{upstream=\"app\",kind=\"closed\"}") >= 1.0,
        "{numbers:#?}"
    );
    // It may be asked all the same.
    numbers.assert("linkpush_ready", 1.0);
}

#[tokio::test]
async fn refused_connections_and_handshakes_are_counted() {
    let origin = Origin::start().await;
    let issued = issue(&["shop.example"]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    issued.write(folder.path(), "shop");
    let files = folder.path().display();
    let config = format!(
        "listeners:\n  - {{ address: '127.0.0.1:0', tls: {{ certificates: [{{ cert: {files}/shop.pem, key: {files}/shop.key }}] }} }}\n\
         upstreams:\n  app: {{ servers: ['{}'] }}\n{}{ROUTES}",
        origin.address,
        server("")
    );
    let edge = Edge::with(&config).await;
    drop(issued.connect(edge.address, "shop.example", &["h2"]).await);
    for sent in [
        "GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n",
        "\x16\x03\x01\0\x05hello",
    ] {
        Http1::sending(edge.address, sent).await.rest().await;
    }
    // The server and this test have connected once each to see that it listens.
    let numbers = numbers_with(
        &edge,
        "linkpush_client_connections_refused_total{reason=\"ended\"}",
        3.0,
    )
    .await;
    numbers.assert("linkpush_tls_handshakes_total{result=\"ok\"}", 1.0);
    numbers.assert("linkpush_client_connections_refused_total{reason=\"unexpected\"}", 1.0);
    assert!(
        numbers.get("linkpush_tls_handshakes_total{result=\"failed\"}") >= 1.0,
        "{numbers:#?}"
    );
    assert!(
        numbers.get("linkpush_client_connections_refused_total{reason=\"tls\"}") >= 1.0,
        "{numbers:#?}"
    );
    let series = format!(
        "linkpush_certificate_expiry_timestamp_seconds{{listener=\"{}\",place=\"0\",names=\"shop.example\"}}",
        edge.address
    );
    assert!(numbers.get(&series) > 1.7e9, "{series}: {numbers:#?}");
}

#[tokio::test]
async fn a_reload_is_told_and_drops_the_names_that_are_gone() {
    let origin = Origin::start().await;
    origin.default_ok(b"x");
    let with_route = |name: &str| {
        let routes = format!(
            "{}routes:\n  - {{ name: {name}, upstream: app, match: {{ path: '^/{name}' }} }}\n  - {{ name: pages, upstream: app }}\n",
            server("")
        );
        config(origin.address, &routes)
    };
    let edge = Edge::with(&with_route("old")).await;
    let client = Client::connect(edge.address).await;
    client.get("/old").await;
    client.get("/").await;
    let requests = |route: &str| format!("linkpush_requests_total{{route=\"{route}\",protocol=\"h2\",status=\"2xx\"}}");
    let numbers = numbers_with(&edge, &requests("pages"), 1.0).await;
    numbers.assert(&requests("old"), 1.0);
    numbers.assert("linkpush_config_generation", 1.0);
    numbers.assert("linkpush_config_last_reload_successful", 1.0);
    edge.rewrite(&with_route("new"));
    edge.signal("HUP");
    edge.lines("configuration reloaded", 1).await;
    client.get("/").await;
    let numbers = numbers_with(&edge, &requests("pages"), 2.0).await;
    assert!(
        !numbers.0.keys().any(|series| series.contains("\"old\"")),
        "{numbers:#?}"
    );
    assert!(numbers.0.contains_key(&requests("new")), "{numbers:#?}");
    numbers.assert("linkpush_config_generation", 2.0);
    numbers.assert("linkpush_config_reloads_total{result=\"ok\"}", 1.0);
    edge.rewrite("nonsense");
    edge.signal("HUP");
    edge.lines("configuration not reloaded", 1).await;
    let numbers = numbers_with(&edge, "linkpush_config_last_reload_successful", 0.0).await;
    numbers.assert("linkpush_config_reloads_total{result=\"failed\"}", 1.0);
    numbers.assert("linkpush_config_generation", 2.0);
    numbers.assert(&requests("pages"), 2.0);
}
