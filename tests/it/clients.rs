//! Clients as they are in use: nghttp, curl, Node, and our own `probe`.
//!
//! A client that is not installed fails its tests: `tests/support/install.sh test` installs them.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use serde_json::Value;
use tokio::sync::mpsc;

use crate::support::{
    edge::{BINARY, Edge, config},
    origin::{Origin, Step, early_hints, response},
    within,
};

const LINKS: &str = "</a.css>; rel=preload; as=style, </b.js>; rel=preload; as=script, </c.png>; rel=preload; as=image";
pub const HTML: &str = "<!doctype html><link rel=stylesheet href=/a.css><script src=/b.js></script><img src=/c.png>";

/// An origin whose page names three assets in its Link header and in its HTML.
pub async fn shop() -> Origin {
    let origin = Origin::start().await;
    let fields = [("content-type", "text/html"), ("link", LINKS)];
    origin
        .serve_ok("/", &fields, HTML.as_bytes())
        .asset("/a.css", &[b'a'; 101])
        .asset("/b.js", &[b'b'; 102])
        .asset("/c.png", &[b'c'; 103]);
    origin
}

/// The complete page of [`shop`] with its assets, as rows of a table.
pub fn complete(pushed: bool) -> Vec<Row> {
    let row = |path: &str, size, pushed| Row {
        path: path.to_owned(),
        code: 200,
        size,
        pushed,
    };
    vec![
        row("/", HTML.len(), false),
        row("/a.css", 101, pushed),
        row("/b.js", 102, pushed),
        row("/c.png", 103, pushed),
    ]
}

const OFF: &str = "routes:\n  - { name: quiet, upstream: app, push: off }\n";

#[tokio::test]
async fn nghttp_marks_each_pushed_asset() {
    let origin = shop().await;
    let edge = Edge::start(origin.address).await;
    let output = run("nghttp", &["-ans", &url(&edge, "/")]).await;
    assert_eq!(table(&output.stdout), complete(true), "{output:?}");
}

#[tokio::test]
async fn nghttp_without_push_gets_page_and_assets_by_asking() {
    let origin = shop().await;
    let edge = Edge::start(origin.address).await;
    let output = run("nghttp", &["-ans", "--no-push", &url(&edge, "/")]).await;
    assert_eq!(table(&output.stdout), complete(false), "{output:?}");
}

#[tokio::test]
async fn nghttp_gets_the_origins_103_while_the_origin_thinks() {
    let origin = Origin::start().await;
    let css = "</a.css>; rel=preload; as=style";
    let early = format!(
        "HTTP/1.1 103 Early Hints\r\nSet-Cookie: a=b\r\nLink: {css}\r\nX-Other: 1\r\nContent-Length: 0\r\n\r\n"
    );
    origin.on(
        "/",
        [
            Step::Send(early.into()),
            Step::Think(Duration::from_millis(300)),
            Step::Send(response("200 OK", &[("link", LINKS)], b"page")),
        ],
    );
    let edge = Edge::start(origin.address).await;
    let output = run("nghttp", &nghttp_as_browser(&url(&edge, "/"))).await;
    let [early, page] = &heads(&output.stdout)[..] else {
        panic!("not two responses: {output:?}");
    };
    assert_eq!(early.fields, [":status: 103".to_owned(), format!("link: {css}")]);
    assert_eq!(page.fields.first().map(String::as_str), Some(":status: 200"));
    assert!(page.fields.contains(&format!("link: {LINKS}")), "{page:?}");
    let ahead = page.at.saturating_sub(early.at);
    assert!(ahead >= Duration::from_millis(200), "the 103 came {ahead:?} before");
    assert_eq!(origin.count("/a.css"), 0, "nothing is pushed");
}

#[tokio::test]
async fn nghttp_gets_a_103_of_configured_links_before_the_origin_is_heard() {
    let origin = Origin::start().await;
    let page = response("200 OK", &[], b"page");
    origin.on("/", [Step::Gate("page"), Step::Send(page)]);
    let css = "</a.css>; rel=preload; as=style";
    let rest = format!("routes:\n  - name: pages\n    upstream: app\n    push: {{ links: ['{css}'] }}\n");
    let edge = Edge::with(&config(origin.address, &rest)).await;
    // The origin says nothing until nghttp has said that it has the 103.
    let opening = origin.clone();
    let output = run_watched("nghttp", &nghttp_as_browser(&url(&edge, "/")), move |line| {
        if line.ends_with(":status: 103") {
            opening.open("page");
        }
    })
    .await;
    let [early, page] = &heads(&output.stdout)[..] else {
        panic!("not two responses: {output:?}");
    };
    assert_eq!(early.fields, [":status: 103".to_owned(), format!("link: {css}")]);
    assert_eq!(page.fields.first().map(String::as_str), Some(":status: 200"));
}

#[tokio::test]
async fn nghttp_gets_the_link_header_alone_where_push_is_off() {
    let origin = Origin::start().await;
    let links = [
        "</a.css>;rel=preload ;  as=\"style\",,\t</b.js>; REL=Preload; title=\"\u{e9}, \\\" ;\"",
        "not a link at all <",
        "</a.css>; rel=preload; as=style",
    ];
    origin.on(
        "/",
        [
            Step::Send(early_hints(&links)),
            Step::Send(response("200 OK", &links.map(|link| ("Link", link)), b"page")),
        ],
    );
    let edge = Edge::with(&config(origin.address, OFF)).await;
    for arguments in [&["-nv"][..], &["-nv", "--no-push"]] {
        let url = url(&edge, "/");
        let arguments = [arguments, &["-H", "sec-fetch-mode: navigate", &url]].concat();
        let output = run("nghttp", &arguments).await;
        assert!(!output.stdout.contains("PUSH_PROMISE"), "{output:?}");
        let [page] = &heads(&output.stdout)[..] else {
            panic!("not one response: {output:?}");
        };
        assert_eq!(page.fields.first().map(String::as_str), Some(":status: 200"));
        let received: Vec<_> = page.fields.iter().filter_map(|f| f.strip_prefix("link: ")).collect();
        assert_eq!(received, links);
    }
    assert_eq!(origin.seen().len(), 2, "only the page was asked for");
}

#[tokio::test]
async fn curl_gets_the_page_as_it_is() {
    let origin = Origin::start().await;
    let links = [LINKS, "  </d.woff2>;rel=preload;as=font; crossorigin", "broken <"];
    let fields = links.map(|link| ("Link", link));
    origin.on(
        "/",
        [
            Step::Send(early_hints(&links)),
            Step::Send(response("203 Other", &fields, HTML.as_bytes())),
        ],
    );
    let edge = Edge::start(origin.address).await;
    for (version, status) in [("--http2-prior-knowledge", "HTTP/2 203"), ("--http1.1", "HTTP/1.1 203")] {
        let output = run("curl", &["-sS", "--include", version, &url(&edge, "/")]).await;
        assert!(output.status.success(), "{output:?}");
        let (head, body) = output.stdout.split_once("\r\n\r\n").expect("a head and a body");
        let mut lines = head.lines();
        assert!(lines.next().is_some_and(|line| line.starts_with(status)), "{head}");
        let received: Vec<_> = lines
            .filter_map(|line| line.split_once(": "))
            .filter(|(name, _)| name.eq_ignore_ascii_case("link"))
            .map(|(_, value)| value)
            .collect();
        assert_eq!(received, links.map(str::trim), "{version}");
        assert_eq!(body, HTML, "{version}");
    }
    assert_eq!(origin.seen().len(), 2, "curl refuses pushes, and HTTP/1.1 has none");
}

#[tokio::test]
async fn node_receives_large_pushes_intact() {
    const LENGTH: usize = 1_500_000;
    let origin = Origin::start().await;
    let paths = ["/a.css", "/b.js", "/c.png"];
    let (page, assets) = (noise(1, LENGTH), [2, 3, 4].map(|seed| noise(seed, LENGTH)));
    origin.serve_ok("/", &[("link", LINKS)], &page);
    for (path, body) in paths.iter().zip(&assets) {
        let fields = [("cache-control", "max-age=60"), ("x-asset", path)];
        origin.serve_ok(path, &fields, body);
    }
    let edge = Edge::start(origin.address).await;
    let seen = node("push.js", &[&url(&edge, ""), "/"]).await;

    let is_intact = |answer: &Value, body: &[u8]| {
        assert_eq!(answer["headers"][":status"], 200, "{answer}");
        assert_eq!(answer["headers"]["content-length"], LENGTH.to_string(), "{answer}");
        assert_eq!(answer["trailers"], Value::Null, "{answer}");
        let received = (answer["length"].as_u64(), answer["hash"].as_u64());
        assert_eq!(received, (Some(LENGTH as u64), Some(fnv(body))), "{answer}");
    };
    is_intact(&seen["page"], &page);
    assert_eq!(seen["page"]["headers"]["link"], LINKS);
    let pushes = seen["pushes"].as_array().expect("an array");
    assert_eq!(pushes.len(), 3, "{seen}");
    for ((push, path), body) in pushes.iter().zip(paths).zip(&assets) {
        let request = &push["request"];
        assert_eq!(request[":method"], "GET", "{push}");
        assert_eq!(request[":scheme"], "http", "{push}");
        assert_eq!(request[":authority"], edge.address.to_string(), "{push}");
        assert_eq!(request[":path"], path, "{push}");
        assert_eq!(push["headers"]["x-asset"], path, "{push}");
        assert_eq!(push["headers"]["cache-control"], "max-age=60", "{push}");
        is_intact(push, body);
    }
}

#[tokio::test]
async fn node_switches_push_off_and_on_again() {
    let origin = Origin::start().await;
    let pages = one_link_each(&origin, 3);
    let edge = Edge::start(origin.address).await;
    let base = url(&edge, "");
    let seen = node("settings.js", &[&[base.as_str()], &strs(&pages)[..]].concat()).await;
    assert_eq!(seen, serde_json::json!([["/asset-0"], [], ["/asset-2"]]));
}

#[tokio::test]
async fn node_that_cancels_three_pushes_gets_no_more_promises() {
    let origin = Origin::start().await;
    let pages = one_link_each(&origin, 6);
    let edge = Edge::start(origin.address).await;
    let base = url(&edge, "");
    let seen = node("refuse.js", &[&[base.as_str()], &strs(&pages)[..]].concat()).await;
    let seen = seen.as_array().expect("an array");
    let promises: Vec<_> = seen.iter().map(|page| page["promises"].as_u64()).collect();
    assert_eq!(promises, [1, 1, 1, 0, 0, 0].map(Some), "{seen:?}");
    for page in seen {
        assert_eq!((&page["status"], &page["body"]), (&200.into(), &"page".into()));
    }
    edge.log_line(&["/page-3 200", "skips=client_refuses:1"]).await;
}

#[tokio::test]
async fn probe_marks_each_pushed_asset() {
    let origin = shop().await;
    let edge = Edge::start(origin.address).await;
    let output = run(BINARY, &["probe", &url(&edge, "/")]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(table(&output.stdout), complete(true), "{output:?}");
    let sentence = "\n3 assets were pushed (/a.css, /b.js, /c.png).\n";
    assert!(output.stdout.ends_with(sentence), "{output:?}");
}

#[tokio::test]
async fn probe_shows_that_nothing_is_pushed_where_push_is_off() {
    let origin = shop().await;
    let edge = Edge::with(&config(origin.address, OFF)).await;
    let output = run(BINARY, &["probe", &url(&edge, "/")]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(table(&output.stdout), complete(false), "{output:?}");
    let sentence = "\nNothing was pushed; 3 assets were only named in the Link header (/a.css, /b.js, /c.png).\n";
    assert!(output.stdout.ends_with(sentence), "{output:?}");
}

#[tokio::test]
async fn probe_says_that_nobody_listens() {
    // Bound, so that no other test gets the port, but without a listener.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket
        .bind("127.0.0.1:0".parse().expect("an address"))
        .expect("a free port");
    let address = socket.local_addr().expect("an address");
    let output = run(BINARY, &["probe", &format!("http://{address}/")]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(output.stdout, "");
    let expected = format!("linkpush: no page from http://{address}/: connecting to {address}: Connection refused");
    assert!(output.stderr.starts_with(&expected), "{output:?}");
}

pub fn url(edge: &Edge, path: &str) -> String {
    format!("http://{}{path}", edge.address)
}

pub fn nghttp_as_browser(url: &str) -> [&str; 5] {
    ["-nv", "--no-push", "-H", "sec-fetch-mode: navigate", url]
}

/// Scripts `/page-n` with a link to `/asset-n`, and returns the pages.
fn one_link_each(origin: &Origin, pages: usize) -> Vec<String> {
    (0..pages)
        .map(|n| {
            let (page, asset) = (format!("/page-{n}"), format!("/asset-{n}"));
            let link = format!("<{asset}>; rel=preload; as=style");
            origin
                .serve_ok(&page, &[("link", &link)], b"page")
                .asset(&asset, b"css");
            page
        })
        .collect()
}

fn strs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

/// Bytes that look random: a chunk out of place changes their hash.
pub fn noise(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed;
    (0..length)
        .map(|_| {
            // Xorshift, 32 bits (Marsaglia 2003).
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 24) as u8
        })
        .collect()
}

/// The hash that `clients/client.js` prints: FNV-1a of 32 bits.
pub fn fnv(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    });
    hash.into()
}

/// A row of the table that `nghttp -s` and `probe` print.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    pub path: String,
    pub code: u16,
    pub size: usize,
    pub pushed: bool,
}

/// The rows by their path; sizes must be below 1 KiB, since larger ones are rounded.
pub fn table(printed: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = printed
        .lines()
        .skip_while(|line| !line.starts_with("id  responseEnd requestStart  process code size request path"))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .map(|line| {
            let mut words: Vec<&str> = line.split_whitespace().collect();
            let pushed = words.get(2) == Some(&"*");
            words.retain(|word| *word != "*");
            let [_id, _end, _start, _process, code, size, path] = words[..] else {
                panic!("not a row: {line:?}");
            };
            Row {
                path: path.to_owned(),
                code: code.parse().expect("a status"),
                size: size.parse().expect("a size"),
                pushed,
            }
        })
        .collect();
    rows.sort();
    rows
}

/// A response header as `nghttp -v` prints it.
#[derive(Debug)]
pub struct Head {
    /// When its first field arrived.
    pub at: Duration,
    /// `name: value`, the status first.
    pub fields: Vec<String>,
}

/// The response headers in `nghttp -v`'s output, in order.
pub fn heads(printed: &str) -> Vec<Head> {
    let mut heads: Vec<Head> = Vec::new();
    for line in printed.lines() {
        // `[  0.003] recv (stream_id=13) :status: 103`
        let Some((at, field)) = line
            .strip_prefix('[')
            .and_then(|line| line.split_once("] recv (stream_id="))
        else {
            continue;
        };
        let field = field.split_once(") ").expect("a stream before its field").1.to_owned();
        if field.starts_with(":status: ") {
            let seconds = at.trim().parse().expect("seconds");
            let at = Duration::from_secs_f64(seconds);
            heads.push(Head { at, fields: Vec::new() });
        }
        heads.last_mut().expect("the status is first").fields.push(field);
    }
    heads
}

/// Runs a script of `tests/it/clients` and returns what it printed.
pub async fn node(script: &str, arguments: &[&str]) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/clients")
        .join(script);
    let script = script.to_str().expect("UTF-8");
    let output = run("node", &[&[script], arguments].concat()).await;
    assert!(output.status.success(), "{output:?}");
    serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
}

/// What a program has left behind.
#[derive(Debug)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// A child that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub async fn run(program: &str, arguments: &[&str]) -> Output {
    run_watched(program, arguments, |_| ()).await
}

/// Runs a program to its end; `watch` hears of each line that it prints, when it prints it.
pub async fn run_watched(program: &str, arguments: &[&str], mut watch: impl FnMut(&str)) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child =
        Running(child.unwrap_or_else(|e| panic!("{program}: {e}; tests/support/install.sh test installs it")));
    let mut printed = lines(child.0.stdout.take().expect("piped"));
    let mut errors = lines(child.0.stderr.take().expect("piped"));
    let what = format!("the end of {program} {arguments:?}");
    let (stdout, stderr) = within(&what, async {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        while let Some(line) = printed.recv().await {
            watch(line.trim_end());
            stdout.push_str(&line);
        }
        while let Some(line) = errors.recv().await {
            stderr.push_str(&line);
        }
        (stdout, stderr)
    })
    .await;
    let status = child.0.wait().expect("a child");
    Output { status, stdout, stderr }
}

/// The lines of a pipe with their ends, read by a thread of its own.
fn lines(pipe: impl Read + Send + 'static) -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
    receiver
}
