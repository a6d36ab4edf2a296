//! `linkpush probe` as a described client, and the causes that it names where there is no page.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::{
    clients::{Output, run},
    support::{
        edge::{BINARY, Edge, PAGES, config, listening},
        origin::{Origin, Step, early_hints, response},
        tls::issue,
        tls_front::TlsFront,
    },
};

const HTML: &[u8] = b"<link rel=stylesheet href=/a.css>";
const LINK: &str = "</a.css>; rel=preload; as=style";

async fn shop() -> Origin {
    let origin = Origin::start().await;
    origin
        .serve_ok("/", &[("link", LINK), ("content-type", "text/html")], HTML)
        .on(
            "/early",
            [
                Step::Send(early_hints(&[LINK])),
                Step::Send(response("200 OK", &[("link", LINK)], HTML)),
            ],
        )
        .serve_ok("/a.css", &[("cache-control", "max-age=60")], b"css");
    origin
}

async fn probe(arguments: &[&str]) -> Output {
    run(BINARY, &[&["probe"], arguments].concat()).await
}

/// Runs a probe that fails, and returns the message.
async fn refused(arguments: &[&str]) -> String {
    let output = probe(arguments).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    output.stderr
}

fn http(address: SocketAddr) -> String {
    format!("http://{address}/")
}

fn https(address: SocketAddr) -> String {
    format!("https://{address}/")
}

/// A listener of linkpush with a certificate, in front of `origin`.
async fn with_tls(folder: &std::path::Path, origin: SocketAddr) -> Edge {
    issue(&["localhost"]).write(folder, "a");
    let path = |name: &str| folder.join(name).display().to_string();
    let tls = format!(
        "tls: {{ certificates: [{{ cert: {}, key: {} }}] }}",
        path("a.pem"),
        path("a.key")
    );
    Edge::with(&listening(origin, &tls, "")).await
}

#[tokio::test]
async fn the_request_is_that_of_the_described_client() {
    let origin = shop().await;
    let url = http(origin.address);
    let arguments = [
        "--http1",
        "--host",
        "shop.example",
        "--header",
        "Cookie: a=b",
        "--header",
        "accept: text/plain",
        &url,
    ];
    let output = probe(&arguments).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let seen = origin.request("/").await;
    for (name, value) in [
        ("host", "shop.example"),
        ("cookie", "a=b"),
        ("accept", "text/plain"),
        ("sec-fetch-mode", "navigate"),
    ] {
        assert_eq!(seen.field(name), Some(value), "{seen:?}");
    }
    origin.forget_seen();
    let port = origin.address.port();
    let elsewhere = format!("http://shop.example:{port}/");
    let address = origin.address.to_string();
    let output = probe(&["--http1", "--as-browser", "--connect-to", &address, &elsewhere]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let seen = origin.request("/").await;
    let host = format!("shop.example:{port}");
    for (name, value) in [
        ("host", host.as_str()),
        ("sec-fetch-dest", "document"),
        ("sec-fetch-site", "none"),
        ("upgrade-insecure-requests", "1"),
    ] {
        assert_eq!(seen.field(name), Some(value), "{seen:?}");
    }
    assert!(
        seen.field("accept")
            .is_some_and(|accept| accept.starts_with("text/html"))
    );
    let asset = origin.request("/a.css").await;
    assert_eq!(asset.field("sec-fetch-mode"), Some("no-cors"), "{asset:?}");
}

#[tokio::test]
async fn each_way_into_http_2_shows_pushes_and_hints() {
    let origin = shop().await;
    let edge = Edge::start(origin.address).await;
    let url = http(edge.address);
    let pasted = format!("Link: <{url}>; rel=preload; as=style");
    for arguments in [&[url.as_str()][..], &["--h2c-upgrade", &url], &[&pasted]] {
        let output = probe(arguments).await;
        assert!(
            output.stdout.ends_with("\n1 asset was pushed (/a.css).\n"),
            "{arguments:?}: {output:?}"
        );
    }
    let early = format!("{url}early");
    for arguments in [
        &["--as-browser", &early][..],
        &["--as-browser", "--h2c-upgrade", &early],
    ] {
        let output = probe(arguments).await;
        assert!(
            output.stdout.contains("1 asset was hinted in a 103 (/a.css)."),
            "{output:?}"
        );
    }
    let output = probe(&["--http1", &format!("{}early", http(origin.address))]).await;
    assert!(
        output.stdout.contains("  link: </a.css>; rel=preload; as=style\n"),
        "{output:?}"
    );
}

#[tokio::test]
async fn a_proxy_header_goes_first_and_its_lack_is_named() {
    let origin = shop().await;
    let required = "proxy_protocol: required, trusted: [127.0.0.0/8]";
    let edge = Edge::with(&listening(origin.address, required, "")).await;
    let url = http(edge.address);
    for version in ["v1", "v2"] {
        let output = probe(&["--proxy-protocol", version, &url]).await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    for how in ["--insecure", "--http1"] {
        let said = refused(&[how, &url]).await;
        assert!(said.contains("requires a PROXY header"), "{said}");
        assert!(said.contains("--proxy-protocol v1"), "{said}");
    }
    let edge = Edge::start(origin.address).await;
    for how in ["--insecure", "--http1"] {
        let said = refused(&[how, "--proxy-protocol", "v1", &http(edge.address)]).await;
        assert!(said.contains("expects no PROXY header"), "{said}");
    }
}

#[tokio::test]
async fn the_wrong_scheme_is_named() {
    let origin = shop().await;
    let folder = tempfile::tempdir().expect("a folder");
    let edge = with_tls(folder.path(), origin.address).await;
    let output = probe(&["--insecure", &https(edge.address)]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for how in ["--insecure", "--http1"] {
        let said = refused(&[how, &http(edge.address)]).await;
        assert!(said.contains("expects TLS: use https://"), "{said}");
    }
    let said = refused(&[&https(edge.address)]).await;
    assert!(said.contains("is not trusted (--insecure accepts any)"), "{said}");
    let cleartext = Edge::start(origin.address).await;
    for how in ["--insecure", "--http1"] {
        let said = refused(&[how, &https(cleartext.address)]).await;
        assert!(said.contains("expects cleartext, not TLS: use http://"), "{said}");
    }
}

#[tokio::test]
async fn a_server_without_http_2_is_named() {
    let origin = shop().await;
    let said = refused(&[&http(origin.address)]).await;
    assert!(
        said.contains("speaks HTTP/1.1, and no HTTP/2 by prior knowledge"),
        "{said}"
    );
    let said = refused(&["--h2c-upgrade", &http(origin.address)]).await;
    assert!(
        said.contains("does not answer Upgrade: h2c, it responds with HTTP/1.1 200"),
        "{said}"
    );
    let front = TlsFront::start(origin.address, "shop.example").await;
    let said = refused(&["--insecure", &https(front.address)]).await;
    assert!(said.contains("selects h2 by ALPN, and does not speak it"), "{said}");
    let output = probe(&["--insecure", "--http1", &https(front.address)]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let hello = front.hellos().pop().expect("a handshake");
    assert_eq!(hello.protocol.as_deref(), Some(&b"http/1.1"[..]));
}

#[tokio::test]
async fn a_certificate_counts_for_the_host_or_the_address() {
    let origin = shop().await;
    for name in ["shop.example", "127.0.0.1", "other.example"] {
        let front = TlsFront::start(origin.address, name).await;
        let mut command = std::process::Command::new(BINARY);
        command
            .args(["probe", "--http1", "--host", "shop.example", &https(front.address)])
            .env("SSL_CERT_FILE", front.ca.path())
            .env_remove("SSL_CERT_DIR");
        let ended = tokio::task::spawn_blocking(move || command.output()).await;
        let output = ended.expect("no panic").expect("the binary starts");
        let is_trusted = name != "other.example";
        assert_eq!(output.status.success(), is_trusted, "{name}: {output:?}");
        if is_trusted {
            let hello = front.hellos().pop().expect("a handshake");
            assert_eq!(hello.name.as_deref(), Some("shop.example"));
        }
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    for arguments in [
        &["--timeout", "300ms", "--http1"][..],
        &["--timeout", "300ms"],
        &["--timeout", "300ms", "--h2c-upgrade"],
    ] {
        let said = refused(&[arguments, &[&http(address)]].concat()).await;
        let is_late = said.contains("300ms");
        assert!(is_late, "{arguments:?}: {said}");
    }
    let said = refused(&["--timeout", "300ms", &https(address)]).await;
    assert!(said.contains("the TLS handshake took longer than 300ms"), "{said}");
    let said = refused(&["http://no-such-host.invalid/"]).await;
    assert!(
        said.contains("the name no-such-host.invalid does not resolve"),
        "{said}"
    );
}

#[tokio::test]
async fn a_server_that_speaks_something_else_is_quoted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"220 mail.example ESMTP\r\n").await;
            let _ = stream.read(&mut [0; 1024]).await;
        }
    });
    let said = refused(&["--http1", &http(address)]).await;
    assert!(said.contains("it begins with 220 mail.example ESMTP"), "{said}");
}

#[tokio::test]
async fn arguments_that_do_not_go_together_are_refused() {
    for (arguments, problem) in [
        (&["--h2c-upgrade", "https://a/"][..], "Upgrade: h2c is for http:// URLs"),
        (&["--host", "a/b", "http://a/"], "--host: must be a host"),
        (&["--header", "host: b", "http://a/"], "Host is set by --host"),
        (&["--connect-to", "b", "http://a/"], "must be HOST:PORT"),
        (
            &["Link: </a.css>; rel=preload"],
            "</a.css> is relative: a whole URL is needed",
        ),
    ] {
        let output = probe(arguments).await;
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(output.stderr.contains(problem), "{output:?}");
    }
}

#[tokio::test]
async fn a_page_that_is_reset_over_http_2_is_no_wrong_protocol() {
    let origin = Origin::start().await;
    // Cut within its content, so the edge resets the stream.
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart".to_vec();
    origin.on("/", [Step::Send(cut), Step::Close]);
    let edge = Edge::with(&config(origin.address, PAGES)).await;
    let said = refused(&[&http(edge.address)]).await;
    assert!(said.contains("reset by the server"), "{said}");
}

#[tokio::test]
async fn the_doctor_warns_of_what_spoils_hints_and_pushes() {
    let origin = Origin::start().await;
    let links =
        "</gone.css>; rel=preload; as=style, </f.woff2>; rel=preload; as=font, </a.css>; rel=preload; as=style; nopush";
    let html = b"<link rel=stylesheet href=/a.css><link rel=stylesheet href=/gone.css>";
    origin
        .serve_ok("/", &[("link", links), ("content-type", "text/html")], html)
        .serve_ok("/a.css", &[("cache-control", "no-store")], b"css")
        .serve_ok("/f.woff2", &[("cache-control", "max-age=60")], b"font");
    let edge = Edge::start(origin.address).await;
    for (url, arguments) in [(http(edge.address), &[][..]), (http(origin.address), &["--http1"])] {
        let output = probe(&[arguments, &["--format", "json", &url]].concat()).await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let report: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
        let symptoms = report["symptoms"].as_array().expect("symptoms").iter();
        let found: Vec<_> = symptoms
            .map(|found| {
                (
                    found["symptom"].as_str().expect("a word"),
                    found["targets"][0].as_str().expect("a target"),
                )
            })
            .collect();
        let expected = [
            ("dead_link", "/gone.css"),
            ("not_reusable", "/a.css"),
            ("font_without_crossorigin", "/f.woff2"),
            ("nopush", "/a.css"),
        ];
        assert_eq!(found, expected, "{report}");
    }
    let output = probe(&["--http1", &http(origin.address)]).await;
    let warning =
        "\nwarning: nopush: /a.css\n    nopush keeps the asset from being pushed.\n    To mend it: take nopush away";
    assert!(output.stdout.contains(warning), "{output:?}");
}
