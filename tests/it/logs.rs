//! The log: what it says, and that nobody waits for its reader.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    http1::{exchange, raw},
    metrics::Numbers,
    support::{
        client::Client,
        edge::{BINARY, Edge, PAGES, config, listening},
        http1::Http1,
        origin::{Origin, Step, response},
        raw::Raw,
        tls::issue,
        within,
    },
};

/// A configuration with these settings of the log.
fn logging(origin: std::net::SocketAddr, log: &str) -> String {
    config(origin, &format!("server: {{ threads: 1, log: {log} }}\n{PAGES}"))
}

async fn origin() -> Origin {
    let origin = Origin::start().await;
    origin.default_ok(b"page");
    origin
}

/// Requests with long URLs, one after another; returns the longest time of one.
async fn requests(client: &Client, count: usize) -> Duration {
    let path = format!("/{}", "long".repeat(400));
    let mut longest = Duration::ZERO;
    for _ in 0..count {
        let since = Instant::now();
        let page = client.get(&path).await;
        longest = longest.max(since.elapsed());
        assert_eq!(page.answer.status, StatusCode::OK);
    }
    longest
}

#[tokio::test]
async fn nobody_waits_for_the_reader_of_the_log_and_each_lost_line_is_counted() {
    let origin = origin().await;
    let config = logging(origin.address, "{ format: text }, metrics: '127.0.0.1:0'");
    let edge = Edge::with_env(&config, &[("RUST_LOG", "info".as_ref())]).await;
    let client = Client::connect(edge.address).await;
    edge.stop_reading();
    // Each line has more than 1,600 bytes; the queue takes 4 MiB, the pipe 64 KiB.
    const REQUESTS: usize = 4_000;
    let longest = requests(&client, REQUESTS).await;
    assert!(longest < Duration::from_secs(5), "{longest:?}");
    edge.read_on();
    let told = edge
        .log_line(&["WARN", "lines of the log were dropped: its reader was too slow"])
        .await;
    let dropped = within("every line", async {
        loop {
            let log = edge.log();
            let written = log.iter().filter(|line| line.contains("access] GET")).count();
            let dropped: usize = log
                .iter()
                .filter_map(|line| line.split("log] ").nth(1)?.split(' ').next()?.parse::<usize>().ok())
                .sum();
            assert!(written + dropped <= REQUESTS, "{written} + {dropped}, {told}");
            if written + dropped == REQUESTS {
                assert!(dropped > 0 && written > 2_000, "{written} + {dropped}");
                return dropped;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let dropped = f64::from(u32::try_from(dropped).expect("at most all lines"));
    Numbers::of(&edge)
        .await
        .assert("linkpush_log_lines_dropped_total", dropped);
}

/// Prints the figures of `docs/understand/measurements.md`.
#[tokio::test]
#[ignore = "a measurement, which asserts nothing"]
async fn measure_requests_with_a_reader_and_without() {
    let origin = origin().await;
    let config = logging(origin.address, "{ format: text }");
    for is_read in [true, false, true, false] {
        let edge = Edge::with_env(&config, &[("RUST_LOG", "info".as_ref())]).await;
        let client = Client::connect(edge.address).await;
        requests(&client, 200).await;
        if !is_read {
            edge.stop_reading();
        }
        let path = format!("/{}", "long".repeat(400));
        let mut times = Vec::new();
        for _ in 0..10_000 {
            let since = Instant::now();
            client.get(&path).await;
            times.push(since.elapsed());
        }
        times.sort_unstable();
        let at = |share: usize| times[times.len() * share / 1000].as_micros();
        let reader = if is_read { "reads" } else { "stalls" };
        eprintln!(
            "reader {reader}: median {} us, 99 % {} us, 99.9 % {} us",
            at(500),
            at(990),
            at(999)
        );
        edge.read_on();
    }
}

#[tokio::test]
async fn a_process_whose_log_nobody_reads_ends_all_the_same() {
    let origin = origin().await;
    let config = logging(origin.address, "{ format: text }");
    let mut edge = Edge::with_env(&config, &[("RUST_LOG", "info".as_ref())]).await;
    let client = Client::connect(edge.address).await;
    edge.stop_reading();
    requests(&client, 100).await;
    edge.signal("TERM");
    drop(client);
    assert!(edge.ended().await);
    // The thread that reads ends with the process's last line.
    edge.read_on();
}

#[tokio::test]
async fn json_is_valid_whatever_a_client_sends() {
    let origin = origin().await;
    let log = "{ format: json, fields: [user_agent, referer, request_id, traceparent, origin_time, failures, tls] }";
    let edge = Edge::with(&logging(origin.address, log)).await;
    let mut client = Http1::connect(edge.address).await;
    let bytes = b"GET /\"\\ HTTP/1.1\r\nHost: a\r\nUser-Agent: \"x\\\xff\xfe\t\"\r\nReferer: \xc3\xa9\r\n\r\n";
    client.send(bytes).await;
    client.answer().await;
    // A head that is refused.
    raw(edge.address, "GET /\u{1} HTTP/1.1\r\nHost: a\r\n\r\n").await;
    edge.lines("\"target\":\"access\"", 2).await;
    let lines: Vec<serde_json::Value> = edge
        .log()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    let of = |target: &'static str| lines.iter().filter(move |line| line["target"] == target);
    let served = of("access").find(|line| line["status"] == 200).expect("a line");
    assert_eq!(served["user_agent"], "\"x\\\u{fffd}\u{fffd}\t\"");
    assert_eq!(served["referer"], "é");
    assert_eq!(served["url"], "http://a/\"\\");
    assert!(served["origin_time_ms"].is_number(), "{served}");
    let refused = of("access").find(|line| line["status"] == 400).expect("a line");
    assert_eq!(refused["route"], serde_json::Value::Null);
    assert!(of("linkpush::server").all(|line| line["message"].is_string() && line["level"].is_string()));
}

#[tokio::test]
async fn access_lines_are_of_errors_alone_or_none_and_a_reload_changes_that() {
    let origin = origin().await;
    origin.serve_ok("/fine", &[], b"fine");
    origin.on("/bad", [Step::Send(response("500 Internal Server Error", &[], b"bad"))]);
    let edge = Edge::with(&logging(origin.address, "{ access: errors }")).await;
    exchange(edge.address, "/fine", &[]).await;
    exchange(edge.address, "/bad", &[]).await;
    edge.lines("access] GET", 1).await;
    edge.rewrite(&logging(origin.address, "{ access: off }"));
    edge.signal("HUP");
    edge.lines("configuration reloaded", 1).await;
    exchange(edge.address, "/bad", &[]).await;
    edge.rewrite(&logging(origin.address, "{ access: on }"));
    edge.signal("HUP");
    edge.lines("configuration reloaded", 2).await;
    exchange(edge.address, "/fine", &[]).await;
    let line = edge.log_line(&["access] GET", "/fine"]).await;
    assert!(line.contains(" 200 route=pages "), "{line}");
    assert_eq!(edge.count_lines("access] GET"), 2, "{:?}", edge.log());
}

fn lines_of(file: &Path, part: &str) -> usize {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().filter(|line| line.contains(part)).count()
}

async fn lines_in(file: &Path, part: &str, count: usize) {
    within(&format!("{count} times {part:?} in {}", file.display()), async {
        while lines_of(file, part) < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_renamed_log_file_is_opened_again_on_sigusr1() {
    let origin = origin().await;
    let edge = Edge::with(&config(origin.address, PAGES)).await;
    let file = edge.folder().join("linkpush.log");
    edge.rewrite(&logging(origin.address, "{ file: '{folder}/linkpush.log' }"));
    edge.signal("HUP");
    lines_in(&file, "configuration reloaded", 1).await;
    exchange(edge.address, "/one", &[]).await;
    lines_in(&file, "/one 200", 1).await;
    let old = edge.folder().join("linkpush.log.1");
    std::fs::rename(&file, &old).expect("a file");
    edge.signal("USR1");
    lines_in(&file, "is open again", 1).await;
    exchange(edge.address, "/two", &[]).await;
    lines_in(&file, "/two 200", 1).await;
    assert_eq!(lines_of(&old, "/two"), 0);
    // A bad file changes nothing.
    edge.rewrite(&logging(
        origin.address,
        "{ format: json, file: '{folder}/absent/linkpush.log' }",
    ));
    edge.signal("HUP");
    lines_in(&file, "configuration not reloaded", 1).await;
    assert_eq!(lines_of(&file, "server.log.file: "), 1);
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).expect("a file").permissions());
    assert_eq!(mode & 0o007, 0, "addresses of visitors are not for everybody");
}

#[tokio::test]
async fn a_log_file_that_cannot_be_opened_is_an_error_of_check_and_start() {
    let origin = origin().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("edge.yaml");
    std::fs::write(&file, logging(origin.address, "{ file: /absent/linkpush.log }")).expect("a writable folder");
    for arguments in [&["check"][..], &["run", "--config"]] {
        let output = Command::new(BINARY)
            .args(arguments)
            .arg(&file)
            .stdin(Stdio::null())
            .output()
            .expect("the binary runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{said}");
        assert!(
            said.contains("server.log.file: /absent/linkpush.log cannot be written: there is no folder /absent"),
            "{said}"
        );
    }
    let invalid = "{ format: xml, access: some, fields: [agent] }";
    std::fs::write(&file, logging(origin.address, invalid)).expect("a writable folder");
    let output = Command::new(BINARY)
        .arg("check")
        .arg(&file)
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    for part in [
        "server.log.format: must be text or json, got",
        "server.log.access: must be on, off or errors, got",
        "server.log.fields[0]: must be origin_time, failures, tls, request_id, traceparent, user_agent or referer, got",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[tokio::test]
async fn start_and_shutdown_say_what_begins_and_what_is_cut() {
    let origin = origin().await;
    origin.on(
        "/slow",
        [Step::Gate("slow"), Step::Send(response("200 OK", &[], b"slow"))],
    );
    let config = config(
        origin.address,
        &format!("server: {{ threads: 1, graceful_timeout: 1s }}\n{PAGES}"),
    );
    let mut edge = Edge::with(&config).await;
    let version = env!("CARGO_PKG_VERSION");
    let file = edge.config_file().display().to_string();
    let (starts, threads) = (
        format!("linkpush {version} starts by {file}"),
        "with 1 threads on 127.0.0.1:",
    );
    edge.log_line(&["INFO", &starts, threads, "(cleartext)"]).await;
    let client = Client::connect(edge.address).await;
    let slow = client.begin("/slow");
    origin.request("/slow").await;
    edge.signal("TERM");
    edge.log_line(&["shutting down: 1 connections with 1 running requests may finish within 1s"])
        .await;
    edge.log_line(&["graceful_timeout is over: 1 connections with 1 running requests are cut"])
        .await;
    assert!(edge.ended().await);
    slow.abort();
}

#[tokio::test]
async fn a_request_that_is_reset_while_it_waits_has_a_line() {
    let origin = origin().await;
    origin.on(
        "/slow",
        [Step::Gate("slow"), Step::Send(response("200 OK", &[], b"slow"))],
    );
    let edge = Edge::with(&logging(origin.address, "{}")).await;
    // More requests than begin in one turn of the driver: they come in one write, with a reset for each.
    let mut client = Raw::connect(edge.address, &[]).await;
    let mut bytes = Vec::new();
    let authority = edge.address.to_string();
    let head = |path: &str| crate::support::raw::block(&crate::support::raw::get(&authority, path.as_bytes()));
    const STREAMS: u32 = 60;
    for number in 0..STREAMS {
        let stream = 2 * number + 1;
        bytes.extend(crate::support::raw::frame(
            1,
            0x5,
            stream,
            &head(&format!("/slow?{number}")),
        ));
        bytes.extend(crate::support::raw::frame(3, 0, stream, &8_u32.to_be_bytes()));
    }
    client.send_bytes(&bytes).await;
    edge.lines("access] GET", STREAMS as usize).await;
    let log = edge.log();
    for number in 0..STREAMS {
        let url = format!("/slow?{number} - ");
        assert_eq!(log.iter().filter(|line| line.contains(&url)).count(), 1, "{url}");
    }
}

#[tokio::test]
async fn a_head_that_never_ends_has_a_line() {
    let origin = origin().await;
    let server = format!("server: {{ limits: {{ handshake_timeout: 100ms }} }}\n{PAGES}");
    let edge = Edge::with(&config(origin.address, &server)).await;
    let mut client = Http1::connect(edge.address).await;
    client.send("GET /late HTTP/1.1\r\nHost: a\r\n").await;
    let line = edge.log_line(&["access] GET", "/late"]).await;
    assert!(line.contains(" - route=- proto=http/1.1 "), "{line}");
    assert!(
        line.contains("failure=\"the request head was not complete after 100ms\""),
        "{line}"
    );
}

/// Sends bytes, and waits until the server closes the connection.
async fn refused(address: std::net::SocketAddr, bytes: &[u8]) {
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
    stream.write_all(bytes).await.expect("a connection");
    within("the end of the connection", async {
        let mut rest = Vec::new();
        // A reset, as unread bytes cause, is an end as well.
        let _ = stream.read_to_end(&mut rest).await;
    })
    .await;
}

#[tokio::test]
async fn a_connection_for_another_listener_is_closed_with_one_warning() {
    let origin = origin().await;
    let listener = "proxy_protocol: off";
    let edge = Edge::with(&listening(origin.address, listener, "")).await;
    for _ in 0..3 {
        refused(edge.address, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await;
        refused(
            edge.address,
            b"PROXY TCP4 192.0.2.7 10.0.0.1 40000 443\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .await;
        refused(edge.address, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0").await;
    }
    let to = format!("to {}", edge.address);
    edge.log_line(&[
        "WARN",
        &to,
        "it begins a TLS handshake, and the listener has no certificate",
    ])
    .await;
    edge.log_line(&[
        "WARN",
        &to,
        "it begins with a PROXY header, which the listener does not expect there",
    ])
    .await;
    assert_eq!(edge.count_lines("WARN"), 2, "{:?}", edge.log());

    let listener = "proxy_protocol: required, trusted: [127.0.0.1]";
    let edge = Edge::with(&listening(origin.address, listener, "")).await;
    for _ in 0..3 {
        refused(edge.address, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        refused(
            edge.address,
            b"PROXY TCP4 192.0.2.7 10.0.0.1 40000 443\r\n\x16\x03\x01\x02\x00",
        )
        .await;
    }
    edge.log_line(&["WARN", "no PROXY header"]).await;
    edge.log_line(&["WARN", "it begins a TLS handshake"]).await;
    assert_eq!(edge.count_lines("WARN"), 2, "{:?}", edge.log());
}

#[tokio::test]
async fn cleartext_on_a_tls_listener_is_closed_with_one_warning_and_tls_is_told() {
    let origin = origin().await;
    let issued = issue(&["shop.example"]);
    let folder = tempfile::tempdir().expect("a folder");
    issued.write(folder.path(), "shop");
    let tls = format!(
        "tls: {{ certificates: [{{ cert: '{0}/shop.pem', key: '{0}/shop.key' }}] }}",
        folder.path().display()
    );
    let log = "server: { log: { fields: [tls] } }\n";
    let edge = Edge::with(&listening(origin.address, &tls, log)).await;
    for _ in 0..2 {
        refused(edge.address, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        refused(edge.address, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    }
    edge.log_line(&["WARN", "it begins with HTTP in cleartext, and the listener expects TLS"])
        .await;
    assert_eq!(edge.count_lines("WARN"), 1, "{:?}", edge.log());
    let mut stream = issued.connect(edge.address, "shop.example", &["http/1.1"]).await;
    let request = b"GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.expect("a connection");
    let line = edge.log_line(&["access] GET"]).await;
    assert!(line.contains(" tls=1.3 alpn=http/1.1"), "{line}");
}

#[tokio::test]
async fn an_id_is_taken_from_trusted_peers_alone_and_reaches_origin_client_and_log() {
    let origin = origin().await;
    let server = "server: { request_id: respond, log: { fields: [request_id] } }\n";
    for (listener, sent, is_taken) in [
        ("trusted: [127.0.0.1]", "abc-1", true),
        ("trusted: [127.0.0.1]", "two words", false),
        ("trusted: [127.0.0.1]", "", false),
        ("trusted: [10.0.0.0/8]", "abc-1", false),
    ] {
        origin.forget_seen();
        let edge = Edge::with(&listening(origin.address, listener, server)).await;
        let answer = exchange(edge.address, "/page", &[("X-Request-ID", sent)]).await;
        let seen = origin.request("/page").await;
        let id = seen.field("x-request-id").expect("an id").to_owned();
        assert_eq!(id == sent, is_taken, "{listener} {sent}: {id}");
        assert!(is_taken || id.len() == 32, "{id}");
        assert!(
            answer.to_ascii_lowercase().contains(&format!("x-request-id: {id}\r\n")),
            "{answer}"
        );
        let line = edge.log_line(&["access] GET", "/page"]).await;
        assert!(line.ends_with(&format!(" request_id={id}")), "{line}");
        let client = Client::connect(edge.address).await;
        let page = client.get("/page").await;
        assert!(page.answer.headers["x-request-id"] != *id, "each request has its own");
    }
    origin.forget_seen();
    let edge = Edge::with(&listening(origin.address, "trusted: [10.0.0.0/8]", "")).await;
    exchange(edge.address, "/off", &[("X-Request-ID", "client's")]).await;
    assert_eq!(origin.request("/off").await.field("x-request-id"), Some("client's"));
}

#[tokio::test]
async fn a_traceparent_is_handed_on_if_it_is_well_formed() {
    let origin = origin().await;
    let edge = Edge::with(&logging(origin.address, "{ fields: [traceparent, user_agent] }")).await;
    let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (path, value, is_good) in [
        ("/good", good, true),
        (
            "/zero",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            false,
        ),
        ("/short", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", false),
    ] {
        let fields = [("traceparent", value), ("tracestate", "a=1"), ("User-Agent", "a b")];
        exchange(edge.address, path, &fields).await;
        let seen = origin.request(path).await;
        assert_eq!(seen.field("traceparent"), is_good.then_some(value), "{path}");
        assert_eq!(seen.field("tracestate"), is_good.then_some("a=1"), "{path}");
        let line = edge.log_line(&["access] GET", path]).await;
        assert_eq!(line.contains(&format!(" traceparent={value} ")), is_good, "{line}");
        assert!(line.ends_with(" user_agent=a%20b"), "{line}");
    }
}

#[tokio::test]
async fn each_failure_of_a_server_is_in_the_line() {
    let origin = origin().await;
    let dead = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let dead_address = dead.local_addr().expect("an address");
    drop(dead);
    let config = logging(origin.address, "{ fields: [failures, origin_time] }").replace(
        &format!("servers: ['{}']", origin.address),
        &format!("servers: ['{dead_address}', '{}']", origin.address),
    );
    let edge = Edge::with(&config).await;
    // One of two in turn is the dead one.
    exchange(edge.address, "/one", &[]).await;
    exchange(edge.address, "/two", &[]).await;
    let line = edge.log_line(&["access] GET", "tries=2"]).await;
    let failure = format!(" failures=[\"{dead_address} after ");
    assert!(line.contains(&failure) && line.contains(" origin_time="), "{line}");
    assert!(line.contains(" 200 route=pages "), "{line}");
}
