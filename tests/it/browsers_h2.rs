//! Browsers and curl over TLS, the server's own and hitch's: pages, downloads, uploads, resets, and 1,000 streams.
//!
//! Chromium and Firefox ESR are driven by `clients/transfers.js`. Safari runs on no machine of the tests: its SETTINGS
//! and windows are sent in its place.

use std::{net::SocketAddr, path::PathBuf, process::Command, sync::LazyLock, time::Duration};

use h2::client::Builder;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    clients::{fnv, noise},
    sessions::site::body,
    support::{
        client::Client,
        edge::{Edge, listening},
        missing,
        origin::{Origin, Step, response},
        program::{Limited, Program, hitch},
        raw::{
            DATA, ENABLE_PUSH, END_STREAM, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, PUSH_PROMISE,
            RST_STREAM, Raw, SETTINGS,
        },
        tls::{Issued, issue},
        within,
    },
};

const HTML: &[u8] =
    b"<!doctype html><link rel=icon href=data:,><link rel=stylesheet href=/a.css><script src=/b.js></script>\
    <img src=/c.svg><h1>page</h1>";
const LINKS: &str = "</a.css>; rel=preload; as=style, </b.js>; rel=preload; as=script, </c.svg>; rel=preload; as=image";
const IMAGE: &[u8] = b"<svg xmlns='http://www.w3.org/2000/svg' width='7' height='7'/>";
const DOWNLOAD: usize = 20_000_000;
const UPLOAD: usize = 5_000_000;
const SMALL: usize = 200;
/// For a whole run of a program: browsers start slowly on a busy machine.
const LIMIT: Duration = Duration::from_secs(240);

/// Where the client's TLS ends.
#[derive(Clone, Copy, Debug)]
enum Front {
    Edge,
    Hitch,
}

/// A site that browsers reach over TLS.
struct Site {
    origin: Origin,
    edge: Edge,
    issued: Issued,
    folder: tempfile::TempDir,
    hitch: Option<Program>,
}

/// A download that is made once: in a build for tests its bytes take a while.
static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| noise(20, DOWNLOAD));

impl Site {
    async fn start(front: Front) -> Self {
        let origin = Origin::start().await;
        let kind = |kind| [("content-type", kind), ("cache-control", "max-age=60")];
        let page = [("content-type", "text/html"), ("link", LINKS)];
        // Never ends: the rest of it waits for a gate that nobody opens.
        let mut endless = response("200 OK", &[("content-type", "text/html")], &noise(1, 8_000_000));
        endless.truncate(1_000_000);
        let endless = [Step::Send(endless), Step::Gate("never")];
        origin
            .serve_ok("/", &page, HTML)
            .serve_ok("/?again", &page, HTML)
            .serve_ok("/a.css", &kind("text/css"), b"body { color: rgb(1, 2, 3) }")
            .serve_ok("/b.js", &kind("text/javascript"), b"globalThis.ran = 1")
            .serve_ok("/c.svg", &kind("image/svg+xml"), IMAGE)
            .serve_ok("/download", &[], &BYTES)
            .serve_ok("/upload", &[], b"taken")
            .on("/endless", endless.clone())
            .on("/endless-page", endless);
        for n in 0..SMALL {
            let path = format!("/small/{n}");
            origin.serve_ok(&path, &[], path.as_bytes());
        }
        let folder = tempfile::tempdir().expect("a folder");
        let issued = issue(&["127.0.0.1", "localhost", "shop.example"]);
        issued.write(folder.path(), "site");
        let pem = issued.write_both(folder.path());
        let path = folder.path().display();
        let (edge, hitch) = match front {
            Front::Edge => {
                let tls = format!("tls: {{ certificates: [{{ cert: '{path}/site.pem', key: '{path}/site.key' }}] }}");
                (Edge::with(&listening(origin.address, &tls, "")).await, None)
            }
            Front::Hitch => {
                let edge = Edge::with(&listening(origin.address, "scheme: https", "")).await;
                let hitch = hitch(&pem, edge.address, &[]).await;
                (edge, Some(hitch))
            }
        };
        Self {
            origin,
            edge,
            issued,
            folder,
            hitch,
        }
    }

    /// Where clients connect.
    fn address(&self) -> SocketAddr {
        self.hitch.as_ref().map_or(self.edge.address, |hitch| hitch.address)
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address())
    }

    fn certificate(&self) -> String {
        self.folder.path().join("site.pem").display().to_string()
    }

    /// Runs curl, which trusts the site; returns what it printed.
    async fn curl(&self, arguments: &[&str]) -> Limited {
        let certificate = self.certificate();
        let common = ["-sS", "--http2", "--noproxy", "*", "--cacert", &certificate];
        Limited::run("curl", &[&common, arguments].concat(), LIMIT).await
    }

    /// The body of the last request to `/upload`.
    fn uploaded(&self) -> Vec<u8> {
        let seen = self.origin.seen();
        let upload = seen.into_iter().rfind(|seen| seen.path() == "/upload");
        upload.expect("an upload").body
    }

    /// Waits until a request for what never ends has ended, for its client left.
    async fn left(&self, path: &str) {
        self.edge.log_line(&["GET", &format!("{path} ")]).await;
    }

    fn stands(&mut self) {
        assert_eq!(self.edge.has_ended(), None);
        assert_eq!(self.edge.count_lines("panicked"), 0);
    }
}

/// Everything that a browser does, in one run of it.
async fn browse(browser: &str, front: Front) {
    let mut site = Site::start(front).await;
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients/transfers.js");
    let (certificate, url) = (site.certificate(), site.url(""));
    let arguments = [script.to_str().expect("UTF-8"), browser, &certificate, &url];
    let output = Limited::run("node", &arguments, LIMIT).await;
    let seen: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    let page = json!({ "protocol": "h2", "styled": "rgb(1, 2, 3)", "ran": 1, "width": 7 });
    assert_eq!((&seen["page"], &seen["again"]), (&page, &page), "{front:?}");
    let download = json!({ "length": DOWNLOAD, "hash": fnv(&BYTES) });
    assert_eq!(seen["download"], download, "{front:?}");
    assert_eq!(seen["upload"], json!({ "status": 200, "text": "taken" }), "{front:?}");
    assert!(site.uploaded() == noise(5, UPLOAD), "{front:?}: the upload is another");
    assert_eq!(
        seen["small"],
        json!({ "right": SMALL, "protocols": ["h2"] }),
        "{front:?}"
    );
    assert_eq!(seen["left"], true, "{front:?}");
    site.left("/endless").await;
    site.left("/endless-page").await;
    site.stands();
}

fn firefox_is_there() -> bool {
    let is_there = Command::new("firefox-esr").arg("--version").output().is_ok();
    if !is_there {
        missing("firefox-esr");
    }
    is_there
}

#[tokio::test]
async fn chromium_loads_sends_and_leaves_over_tls() {
    browse("chromium", Front::Edge).await;
}

#[tokio::test]
async fn chromium_loads_sends_and_leaves_behind_hitch() {
    browse("chromium", Front::Hitch).await;
}

#[tokio::test]
async fn firefox_loads_sends_and_leaves_over_tls() {
    if firefox_is_there() {
        browse("firefox", Front::Edge).await;
    }
}

#[tokio::test]
async fn firefox_loads_sends_and_leaves_behind_hitch() {
    if firefox_is_there() {
        browse("firefox", Front::Hitch).await;
    }
}

#[tokio::test]
async fn curl_loads_sends_and_leaves() {
    for front in [Front::Edge, Front::Hitch] {
        let mut site = Site::start(front).await;
        let file = |name: &str| site.folder.path().join(name).display().to_string();
        let (got, sent) = (file("got"), file("sent"));
        let told = "%{http_version} %{http_code} %{exitcode}";
        let output = site.curl(&["-o", &got, "-w", told, &site.url("/download")]).await;
        assert_eq!(output.stdout, "2 200 0", "{front:?}: {output:?}");
        let got = std::fs::read(&got).expect("a download");
        assert!(got == *BYTES, "{front:?}: {} other bytes", got.len());

        std::fs::write(&sent, noise(6, UPLOAD)).expect("a writable folder");
        let data = format!("@{sent}");
        let url = site.url("/upload");
        let output = site.curl(&["-w", told, "--data-binary", &data, &url]).await;
        assert_eq!(output.stdout, "taken2 200 0", "{front:?}: {output:?}");
        assert!(site.uploaded() == noise(6, UPLOAD), "{front:?}: the upload is another");

        // It leaves after a while, with code 28.
        let (out, url) = (file("endless"), site.url("/endless"));
        let output = site.curl(&["-o", &out, "-w", told, "--max-time", "0.5", &url]).await;
        assert_eq!(output.stdout, "2 200 28", "{front:?}: {output:?}");
        site.left("/endless").await;
        let output = site.curl(&[&site.url("/small/7")]).await;
        assert_eq!(output.stdout, "/small/7", "{front:?}: {output:?}");
        site.stands();
    }
}

/// A client's SETTINGS, in order, as Safari sends them.
type Settings = &'static [(u16, u32)];

/// SETTINGS_NO_RFC7540_PRIORITIES (RFC 9218 section 2.1).
const NO_PRIORITIES: u16 = 9;
const SAFARI_16: Settings = &[(INITIAL_WINDOW_SIZE, 4 << 20), (MAX_CONCURRENT_STREAMS, 100)];
const SAFARI_18: Settings = &[
    (ENABLE_PUSH, 0),
    (MAX_CONCURRENT_STREAMS, 100),
    (INITIAL_WINDOW_SIZE, 2 << 20),
    (NO_PRIORITIES, 1),
];
/// By how much it opens the connection's window at once.
const SAFARI_WINDOW: u32 = 10_485_760;
const STREAMS: usize = 1000;

/// Frames over TLS: the address of a door in front of it, for one connection.
async fn door(site: &Site) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let door = listener.local_addr().expect("an address");
    let mut tls = site.issued.connect(site.address(), "shop.example", &["h2"]).await;
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.expect("a client");
        client.set_nodelay(true).expect("a TCP socket");
        let _ = tokio::io::copy_bidirectional(&mut client, &mut tls).await;
    });
    door
}

/// A request with the order of fields that Safari has.
async fn ask(raw: &mut Raw, stream: u32, path: &str) {
    let fields: [(&[u8], &[u8]); 6] = [
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":path", path.as_bytes()),
        (b":authority", b"shop.example"),
        (b"accept", b"*/*"),
        (b"priority", b"u=3, i"),
    ];
    raw.request(stream, &fields).await;
}

/// Asks for all of these, as many at a time as the server allows, and compares what comes; returns how many promises
/// came with them. The windows must be wide enough for all of it.
async fn fetch_all(raw: &mut Raw, paths: &[String]) -> usize {
    let mut allowed = 1;
    let mut bodies: Vec<Vec<u8>> = vec![Vec::new(); paths.len()];
    let (mut asked, mut ended, mut promises) = (0, 0, 0);
    // Streams of earlier calls have other paths; a connection is asked once here.
    let index = |stream: u32| (stream as usize - 1) / 2;
    while ended < paths.len() {
        while asked < paths.len() && asked - ended < allowed {
            ask(raw, 2 * asked as u32 + 1, &paths[asked]).await;
            asked += 1;
        }
        let frame = raw.next().await.expect("the connection lives");
        assert!(!matches!(frame.kind, GOAWAY | RST_STREAM), "{frame:?}");
        if frame.kind == SETTINGS && frame.flags == 0 {
            let limit = frame
                .payload
                .chunks_exact(6)
                .find(|setting| setting[..2] == MAX_CONCURRENT_STREAMS.to_be_bytes());
            let limit = limit.expect("a limit of the server's");
            allowed = u32::from_be_bytes([limit[2], limit[3], limit[4], limit[5]]) as usize;
        }
        promises += usize::from(frame.kind == PUSH_PROMISE);
        if frame.stream % 2 == 0 || !matches!(frame.kind, DATA | HEADERS) {
            continue;
        }
        let stream = index(frame.stream);
        if frame.kind == HEADERS {
            assert_eq!(frame.status(), Some(200), "{}", paths[stream]);
        } else {
            bodies[stream].extend_from_slice(&frame.payload);
        }
        ended += usize::from(frame.flags & END_STREAM != 0);
    }
    for (path, came) in paths.iter().zip(&bodies) {
        assert!(*came == body(path), "{path}: {} other bytes", came.len());
    }
    promises
}

#[tokio::test]
async fn safaris_settings_carry_pages_downloads_and_a_thousand_streams() {
    for (front, settings, takes_pushes) in [
        (Front::Edge, SAFARI_16, true),
        (Front::Edge, SAFARI_18, false),
        (Front::Hitch, SAFARI_18, false),
    ] {
        let mut site = Site::start(front).await;
        let mut paths = vec!["/page-5000".to_owned(), "/large-1900000".to_owned()];
        paths.extend((2..STREAMS).map(|n| format!("/{n}-{}", n % 3000)));
        for path in &paths {
            let link = if path.starts_with("/page") { LINKS } else { "" };
            site.origin.serve_ok(path, &[("link", link)], &body(path));
        }
        let mut raw = Raw::connect(door(&site).await, settings).await;
        raw.window(0, SAFARI_WINDOW).await;
        let promises = within("a thousand streams", fetch_all(&mut raw, &paths)).await;
        assert_eq!(promises, if takes_pushes { 3 } else { 0 }, "{front:?} {settings:?}");
        let after = raw.settle().await;
        assert!(after.iter().all(|frame| frame.kind != GOAWAY), "{after:?}");
        site.stands();
    }
}

#[tokio::test]
async fn a_thousand_requests_at_once_wait_for_their_turn_on_one_connection() {
    for front in [Front::Edge, Front::Hitch] {
        let mut site = Site::start(front).await;
        let paths: Vec<String> = (0..STREAMS).map(|n| format!("/{n}-{}", n % 3000)).collect();
        for path in &paths {
            site.origin.serve_ok(path, &[], &body(path));
        }
        let tls = site.issued.connect(site.address(), "shop.example", &["h2"]).await;
        let client = Client::over(tls, "https://shop.example", &Builder::new()).await;
        // Until it has read the SETTINGS the client knows of no limit.
        client.get(&paths[0]).await;
        let asked: Vec<_> = paths.iter().map(|path| (path, client.begin(path))).collect();
        for (path, page) in asked {
            let page = within(path, page).await.expect("no panic").expect("a page");
            assert!(page.answer.body == body(path), "{path}");
        }
        site.stands();
    }
}
