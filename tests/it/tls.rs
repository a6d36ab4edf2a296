//! TLS ended by the server itself: certificates by SNI, ALPN, what fails, what browsers load.

use std::{
    path::Path,
    process::{Command, Output as Ended},
};

use rustls::ProtocolVersion;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    clients::{Output, run},
    support::{
        client::Client,
        edge::{BINARY, Edge, listening},
        origin::Origin,
        program::{Program, free_address},
        raw,
        tls::{Issued, issue, issue_with},
        within,
    },
};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
const RELOADED: &str = "configuration reloaded";

/// A folder with the certificates of two shops.
struct Shops {
    folder: tempfile::TempDir,
    first: Issued,
    second: Issued,
}

impl Shops {
    fn new() -> Self {
        let shops = Self {
            folder: tempfile::tempdir().expect("a folder"),
            first: issue(&["shop.example", "localhost", "127.0.0.1"]),
            second: issue(&["*.second.example", "second.example"]),
        };
        shops.first.write(shops.folder.path(), "first");
        shops.second.write(shops.folder.path(), "second");
        shops
    }

    /// The `tls` key of a listener that has both.
    fn tls(&self) -> String {
        let folder = self.folder.path().display();
        format!(
            "tls: {{ certificates: [{{ cert: '{folder}/first.pem', key: '{folder}/first.key' }}, \
             {{ cert: '{folder}/second.pem', key: '{folder}/second.key' }}] }}"
        )
    }

    /// The file of the first shop's certificate.
    fn trust(&self) -> String {
        self.folder.path().join("first.pem").display().to_string()
    }
}

async fn shop() -> Origin {
    let origin = Origin::start().await;
    origin
        .serve_ok("/", &[("link", "</a.css>; rel=preload; as=style")], b"page")
        .asset("/a.css", b"css");
    origin
}

async fn over(tls: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static) -> Client {
    Client::over(tls, "https://shop.example", &h2::client::Builder::new()).await
}

/// The first certificate that a server shows, as openssl sees it.
async fn shown(address: &str, more: &[&str]) -> Output {
    let arguments = ["s_client", "-connect", address, "-showcerts", "-alpn", "h2"];
    run("openssl", &[&arguments, more].concat()).await
}

#[tokio::test]
async fn the_host_chooses_the_certificate() {
    let (origin, shops) = (shop().await, Shops::new());
    let edge = Edge::with(&listening(origin.address, &shops.tls(), "")).await;
    let address = edge.address.to_string();
    for (host, expected) in [
        (None, &shops.first),
        (Some("shop.example"), &shops.first),
        (Some("unknown.example"), &shops.first),
        (Some("second.example"), &shops.second),
        (Some("img.second.example"), &shops.second),
        (Some("a.b.second.example"), &shops.first),
    ] {
        let name = host.map_or(vec!["-noservername"], |host| vec!["-servername", host]);
        let output = shown(&address, &name).await;
        let body = expected.certificate.trim().replace("\r\n", "\n");
        assert!(output.stdout.contains(&body), "{host:?}: {output:?}");
        assert!(output.stdout.contains("ALPN protocol: h2"), "{output:?}");
    }
    // And as a client checks it.
    for (host, issued) in [("shop.example", &shops.first), ("www.second.example", &shops.second)] {
        let client = over(issued.connect(edge.address, host, &["h2"]).await).await;
        assert_eq!(client.get("/").await.answer.body, b"page", "{host}");
    }
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken_and_nothing_older() {
    let (origin, shops) = (shop().await, Shops::new());
    let edge = Edge::with(&listening(origin.address, &shops.tls(), "")).await;
    let address = edge.address.to_string();
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let output = shown(&address, &[version]).await;
        let agreed = format!("New, {name}, Cipher is ");
        assert!(output.stdout.contains(&agreed), "{output:?}");
        assert!(!output.stdout.contains("Cipher is (NONE)"), "{output:?}");
    }
    let output = shown(&address, &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]).await;
    assert!(output.stdout.contains("Cipher is (NONE)"), "{output:?}");
}

/// What comes back for these bytes, until the end of TLS.
async fn told(edge: &Edge, shops: &Shops, alpn: &[&str], sent: &[u8]) -> Vec<u8> {
    let mut tls = shops.first.connect(edge.address, "shop.example", alpn).await;
    let agreed = tls.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    assert_eq!(agreed, alpn.first().map(|name| name.as_bytes().to_vec()));
    assert_eq!(tls.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    tls.write_all(sent).await.expect("sent");
    let mut answer = Vec::new();
    // An error would be an end that TLS did not announce.
    within("an answer", tls.read_to_end(&mut answer))
        .await
        .expect("the end of TLS");
    answer
}

#[tokio::test]
async fn the_agreed_protocol_decides_and_without_one_the_first_bytes() {
    let (origin, shops) = (shop().await, Shops::new());
    let edge = Edge::with(&listening(origin.address, &shops.tls(), "")).await;
    for alpn in [&["h2"][..], &["h2", "http/1.1"], &[]] {
        let tls = shops.first.connect(edge.address, "shop.example", alpn).await;
        let page = over(tls).await.get("/").await;
        assert_eq!(
            page.push("/a.css").request.uri(),
            "https://shop.example/a.css",
            "{alpn:?}"
        );
    }
    for alpn in [&["http/1.1"][..], &[]] {
        let answer = told(&edge, &shops, alpn, GET).await;
        assert!(
            answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(b"page"),
            "{}",
            answer.escape_ascii()
        );
    }
    // No preface where h2 was agreed on is a connection error of HTTP/2 (RFC 9113 section 3.4).
    let frames = told(&edge, &shops, &["h2"], GET).await;
    let goaway = [&[0, 0, 8, raw::GOAWAY][..], &[0; 9], &[0, 0, 0, 1]].concat();
    assert!(frames.ends_with(&goaway), "{frames:?}");
    // HTTP/2 where http/1.1 was agreed on is no request.
    let preface = [raw::PREFACE, &[0, 0, 0, raw::SETTINGS, 0, 0, 0, 0, 0]].concat();
    let answer = told(&edge, &shops, &["http/1.1"], &preface).await;
    assert!(answer.starts_with(b"HTTP/1.1 400"), "{}", answer.escape_ascii());
    edge.log_line(&["GET https://shop.example/ 200", "proto=h2"]).await;
    edge.log_line(&["GET https://shop.example/ 200", "proto=http/1.1"])
        .await;
}

#[tokio::test]
async fn what_is_no_tls_harms_nobody() {
    let (origin, shops) = (shop().await, Shops::new());
    let limit = "server: { limits: { handshake_timeout: 300ms } }";
    let edge = Edge::with(&listening(origin.address, &shops.tls(), limit)).await;
    let tls = shops.first.connect(edge.address, "shop.example", &["h2"]).await;
    let other = over(tls).await;
    let half_hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    for bytes in [&b""[..], GET, raw::PREFACE, half_hello, &[0xff; 4000]] {
        let mut stream = TcpStream::connect(edge.address).await.expect("the edge listens");
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        within("the end", async {
            while stream.read_buf(&mut answer).await.is_ok_and(|read| read > 0) {}
        })
        .await;
        let text = String::from_utf8_lossy(&answer);
        assert!(!text.contains("HTTP/"), "{bytes:?}: {text}");
        assert_eq!(other.get("/").await.answer.body, b"page");
    }
    // TLS that is agreed on, and then nothing.
    let mut tls = shops.first.connect(edge.address, "shop.example", &["h2"]).await;
    let read = within("the end of silence", tls.read_u8()).await;
    assert!(read.is_err(), "{read:?}");
    assert_eq!(other.get("/").await.answer.body, b"page");
}

#[tokio::test]
async fn a_proxy_header_comes_before_tls() {
    let (origin, shops) = (shop().await, Shops::new());
    let listener = format!("proxy_protocol: required, trusted: [127.0.0.1], {}", shops.tls());
    let edge = Edge::with(&listening(origin.address, &listener, "")).await;
    // It says that its client came in cleartext: to the sender, which passed the client's TLS on.
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x14".to_vec();
    header.extend([
        192, 0, 2, 7, 10, 0, 0, 1, 0x9c, 0x40, 1, 0xbb, 0x20, 0, 5, 0, 0, 0, 0, 0,
    ]);
    let mut stream = TcpStream::connect(edge.address).await.expect("the edge listens");
    stream.write_all(&header).await.expect("sent");
    let tls = within("TLS", shops.first.over(stream, "shop.example", &["h2"]))
        .await
        .expect("TLS");
    let page = over(tls).await.get("/").await;
    assert_eq!(page.push("/a.css").request.uri(), "https://shop.example/a.css");
    edge.log_line(&["GET https://shop.example/ 200", "client=192.0.2.7:40000"])
        .await;
    // Without one there is no TLS.
    let stream = TcpStream::connect(edge.address).await.expect("the edge listens");
    let refused = within("an end", shops.first.over(stream, "shop.example", &["h2"])).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn large_bodies_pass_in_both_directions() {
    let (origin, shops) = (Origin::start().await, Shops::new());
    let body: Vec<u8> = (0..3_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let link = "</a.bin>; rel=preload; as=fetch";
    origin.serve_ok("/", &[("link", link)], &body).asset("/a.bin", &body);
    let edge = Edge::with(&listening(origin.address, &shops.tls(), "")).await;
    let page = over(shops.first.connect(edge.address, "shop.example", &["h2"]).await)
        .await
        .get("/")
        .await;
    assert_eq!(page.answer.body.len(), body.len());
    assert!(page.answer.body == body && page.push("/a.bin").delivered().body == body);
    let file = shops.folder.path().join("upload");
    std::fs::write(&file, &body).expect("a file");
    let upload = format!("@{}", file.display());
    let url = format!("https://localhost:{}/", edge.address.port());
    let trust = shops.trust();
    for version in ["--http2", "--http1.1"] {
        let arguments = [
            "-sS",
            version,
            "--cacert",
            &trust,
            "--data-binary",
            &upload,
            "-o",
            "/dev/null",
            &url,
        ];
        let output = run("curl", &arguments).await;
        assert!(output.status.success(), "{output:?}");
        assert!(origin.seen().last().expect("a request").body == body, "{version}");
    }
}

#[tokio::test]
async fn a_certificate_swapped_on_disk_is_served_after_a_reload() {
    let (origin, shops) = (shop().await, Shops::new());
    let edge = Edge::with(&listening(origin.address, &shops.tls(), "")).await;
    let open = over(shops.first.connect(edge.address, "shop.example", &["h2"]).await).await;
    assert_eq!(open.get("/").await.answer.body, b"page");

    // A key of another certificate: nothing changes, and the log says why.
    let renewed = issue(&["shop.example"]);
    std::fs::write(shops.folder.path().join("first.key"), &renewed.key).expect("a writable folder");
    edge.signal("HUP");
    edge.log_line(&[
        "listeners[0].tls.certificates[0].key",
        "it is not the key of the certificate",
    ])
    .await;
    over(shops.first.connect(edge.address, "shop.example", &["h2"]).await)
        .await
        .get("/")
        .await;

    renewed.write(shops.folder.path(), "first");
    // Written, and not yet read.
    over(shops.first.connect(edge.address, "shop.example", &["h2"]).await)
        .await
        .get("/")
        .await;
    edge.signal("HUP");
    edge.lines(RELOADED, 1).await;
    over(renewed.connect(edge.address, "shop.example", &["h2"]).await)
        .await
        .get("/")
        .await;
    let stream = TcpStream::connect(edge.address).await.expect("the edge listens");
    let old = within("TLS", shops.first.over(stream, "shop.example", &["h2"])).await;
    assert!(old.is_err(), "the old certificate is still served");
    // Connections keep what they began with.
    assert_eq!(open.get("/").await.answer.body, b"page");
}

fn check(folder: &Path, config: &str) -> (Ended, String) {
    let file = folder.join("edge.yaml");
    std::fs::write(&file, config).expect("a writable folder");
    let ended = Command::new(BINARY)
        .arg("check")
        .arg(&file)
        .output()
        .expect("the binary starts");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    (ended, said)
}

#[tokio::test]
async fn certificates_are_checked_with_the_configuration() {
    let origin = Origin::start().await;
    let shops = Shops::new();
    let folder = shops.folder.path();
    // Files are named from the folder of the configuration, wherever the command runs.
    let listener = |cert: &str, key: &str| {
        let tls = format!("tls: {{ certificates: [{{ cert: {cert}, key: {key} }}] }}");
        listening(origin.address, &tls, "")
    };
    let (ended, said) = check(folder, &listener("first.pem", "first.key"));
    assert!(ended.status.success() && said.is_empty(), "{ended:?}");
    std::fs::write(folder.join("text.pem"), "no PEM").expect("a writable folder");
    for (cert, key, path, reason) in [
        ("first.pem", "second.key", "key", "it is not the key of the certificate"),
        ("absent.pem", "first.key", "cert", "it cannot be read: No such file"),
        ("first.pem", "absent.key", "key", "it cannot be read: No such file"),
        ("text.pem", "first.key", "cert", "it has no certificate"),
        ("first.key", "first.pem", "cert", "it has no certificate"),
        ("first.pem", "text.pem", "key", "it has no private key"),
    ] {
        let (ended, said) = check(folder, &listener(cert, key));
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        let place = "edge.yaml:2:";
        let setting = format!("listeners[0].tls.certificates[0].{path}: must be ");
        for part in [place, &setting, reason] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    // One that has expired is served, and said to have.
    let expired = issue_with(&["old.example"], |params| {
        params.not_before = rcgen::date_time_ymd(2019, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    expired.write(folder, "expired");
    let (ended, said) = check(folder, &listener("expired.pem", "expired.key"));
    let warning = "listeners[0].tls.certificates[0]: old.example: it has expired";
    assert!(ended.status.success() && said.contains(warning), "{ended:?}");
    let named = |end: &str| format!("'{}/expired.{end}'", folder.display());
    let edge = Edge::with(&listener(&named("pem"), &named("key"))).await;
    edge.log_line(&["WARN", warning]).await;
}

#[tokio::test]
async fn nghttp_and_curl_load_a_page_over_tls() {
    let (origin, shops) = (shop().await, Shops::new());
    let edge = Edge::with(&listening(origin.address, &shops.tls(), "")).await;
    let url = format!("https://localhost:{}/", edge.address.port());
    let output = run("nghttp", &["-ans", &url]).await;
    let row = output.stdout.lines().find(|line| line.ends_with(" /a.css"));
    assert!(row.is_some_and(|row| row.contains(" * ")), "{output:?}");
    let trust = shops.trust();
    for (version, status) in [("--http2", "HTTP/2 200"), ("--http1.1", "HTTP/1.1 200")] {
        let output = run("curl", &["-sS", "--include", version, "--cacert", &trust, &url]).await;
        assert!(
            output.status.success() && output.stdout.starts_with(status),
            "{output:?}"
        );
        assert!(output.stdout.ends_with("page"), "{output:?}");
    }
    let resolve = format!("www.second.example:{}:127.0.0.1", edge.address.port());
    let url = format!("https://www.second.example:{}/", edge.address.port());
    let trust = shops.folder.path().join("second.pem").display().to_string();
    let output = run("curl", &["-sS", "--resolve", &resolve, "--cacert", &trust, &url]).await;
    assert!(output.status.success() && output.stdout == "page", "{output:?}");
}

#[tokio::test]
async fn chromium_loads_the_demo_page_over_tls() {
    let shops = Shops::new();
    let origin = free_address();
    let port = origin.port().to_string();
    let _demo = Program::start(BINARY, &["demo", "--port", "0", "--origin-port", &port], origin).await;
    let edge = Edge::with(&listening(origin, &shops.tls(), "")).await;
    let profile = tempfile::tempdir().expect("a folder");
    let profile = format!("--user-data-dir={}", profile.path().display());
    let url = format!("https://{}/early", edge.address);
    let output = run(
        "chromium",
        &[
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-proxy-server",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            "--ignore-certificate-errors",
            &profile,
            "--dump-dom",
            &url,
        ],
    )
    .await;
    // The page's script lists what the browser had loaded by then: fonts come later.
    for asset in ["style.css", "app.js", "logo.png"] {
        let cell = format!("<td>/{asset}</td>");
        assert!(output.stdout.contains(&cell), "{asset}: {output:?}");
    }
    for asset in ["style.css", "app.js", "font.woff2", "logo.png"] {
        let line = format!("GET https://{}/{asset} 200", edge.address);
        edge.log_line(&[&line, "proto=h2", "client=127.0.0.1:"]).await;
    }
    let line = format!("GET https://{}/early 200", edge.address);
    let page = edge.log_line(&[&line, "proto=h2"]).await;
    assert!(page.contains("promises=0 hints=4"), "{page}");
}

#[tokio::test]
async fn a_date_is_the_origins_within_tls_too() {
    const DATE: &str = "Wed, 25 Nov 2015 07:00:00 GMT";
    let (origin, shops) = (shop().await, Shops::new());
    origin.serve_ok("/", &[("date", DATE)], b"page");
    let edge = Edge::with(&listening(origin.address, &shops.tls(), "")).await;
    let answer = told(&edge, &shops, &["http/1.1"], GET).await;
    let answer = String::from_utf8(answer).expect("text");
    assert!(answer.contains(&format!("\r\nDate: {DATE}\r\n")), "{answer}");
    assert_eq!(answer.matches("Date: ").count(), 1, "{answer}");
}

#[tokio::test]
async fn an_idle_connection_ends_as_tls_ends() {
    let (origin, shops) = (shop().await, Shops::new());
    let limits = "server: { limits: { idle_timeout: 200ms } }";
    let edge = Edge::with(&listening(origin.address, &shops.tls(), limits)).await;
    let mut tls = shops.first.connect(edge.address, "shop.example", &["http/1.1"]).await;
    tls.write_all(b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        .await
        .expect("sent");
    let mut answer = String::new();
    // An error would be an end that TLS did not announce.
    within("the end", tls.read_to_string(&mut answer))
        .await
        .expect("the end of TLS");
    assert!(answer.ends_with("page"), "{answer}");
    // HTTP/2 says GOAWAY before.
    let mut tls = shops.first.connect(edge.address, "shop.example", &["h2"]).await;
    let settings = [raw::PREFACE, &[0, 0, 0, raw::SETTINGS, 0, 0, 0, 0, 0]].concat();
    tls.write_all(&settings).await.expect("sent");
    let mut frames = Vec::new();
    within("the end", tls.read_to_end(&mut frames))
        .await
        .expect("the end of TLS");
    let goaway = [&[0, 0, 8, raw::GOAWAY][..], &[0; 13]].concat();
    assert!(frames.ends_with(&goaway), "{frames:?}");
}
