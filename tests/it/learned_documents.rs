//! Which responses are of one document, for whom they are, and how much of them is learned.

use std::net::SocketAddr;

use crate::support::{
    client::{Client, Page},
    edge::{BINARY, Edge, config},
    origin::{Origin, Step, response},
    within,
};
use tokio::net::TcpSocket;

const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");
const STYLE: &str = "</a.css>; rel=preload; as=style";

async fn edge(origin: &Origin, learn: &str) -> Edge {
    let rest = format!(
        "server: {{ pid_file: '{{folder}}/linkpush.pid', admin: '{{folder}}/admin.sock', \
         manifests: {{ file: '{{folder}}/manifests' }} }}\n\
         routes: [{{ name: pages, upstream: app, push: auto, learn: {learn} }}]"
    );
    Edge::with(&config(origin.address, &rest)).await
}

/// Navigates as a client of a network of its own, to a host whose name stays the same over restarts.
async fn navigate_from(edge: &Edge, network: u8, path: &str, fields: &[(&str, &str)]) -> Page {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind(SocketAddr::from(([127, 0, network, 1], 0)))
        .expect("loopback");
    let stream = socket.connect(edge.address).await.expect("the edge listens");
    let mut builder = h2::client::Builder::new();
    builder.enable_push(false);
    let client = Client::over(stream, "http://shop.example", &builder).await;
    let fields = [&[("sec-fetch-mode", "navigate")], fields].concat();
    client.fetch(client.get_request(path, &fields)).await
}

async fn navigate(edge: &Edge, path: &str, fields: &[(&str, &str)]) -> Page {
    navigate_from(edge, 0, path, fields).await
}

/// Returns what `linkpush learned` prints.
fn learned(edge: &Edge, arguments: &[&str]) -> String {
    let output = std::process::Command::new(BINARY)
        .args(["learned", "--config"])
        .arg(edge.config_file())
        .args(arguments)
        .output()
        .expect("the binary starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn style(name: &str) -> String {
    format!("</{name}.css>; rel=preload; as=style")
}

/// Answers with the links of this language.
fn serve(origin: &Origin, vary: &str, name: &str) {
    let link = style(name);
    origin.serve_ok("/", &[HTML, ("vary", vary), ("link", &link)], b"page");
}

#[tokio::test]
async fn what_vary_names_tells_documents_apart() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "on").await;
    let mut late = Vec::new();
    for round in 0..3 {
        for language in ["de", "fr"] {
            serve(&origin, "Accept-Encoding, Accept-Language", language);
            let page = navigate(&edge, "/", &[("accept-language", language)]).await;
            if round == 0 {
                assert!(page.hints().is_empty(), "{:?}", page.hints());
            } else {
                assert_eq!(page.hints(), [[style(language)]]);
            }
            late.push(page);
        }
    }
    assert_eq!(edge.count_lines("missed=1"), 0);
    let known = learned(&edge, &["--header", "accept-language: fr", "http://shop.example/"]);
    assert!(
        known.contains("divided  by the request fields accept-language, as Vary says: 2 documents"),
        "{known}"
    );
    assert!(known.contains("</fr.css>") && !known.contains("</de.css>"), "{known}");
}

#[tokio::test]
async fn a_cookie_in_vary_makes_no_documents_and_an_asterisk_teaches_nothing() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "on").await;
    serve(&origin, "Cookie, Accept-Encoding", "a");
    navigate(&edge, "/", &[]).await;
    assert_eq!(
        navigate(&edge, "/", &[("cookie", "theme=dark")]).await.hints(),
        [[STYLE]]
    );
    learned(&edge, &["--forget", "http://shop.example/"]);
    serve(&origin, "*", "a");
    for _ in 0..3 {
        assert!(navigate(&edge, "/", &[]).await.hints().is_empty());
    }
}

/// A client that invents languages takes nothing from others, and costs a bounded number of documents.
#[tokio::test]
async fn invented_values_of_a_field_stop_nobody() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "on").await;
    serve(&origin, "Accept-Language", "a");
    for network in [1, 2] {
        navigate_from(&edge, network, "/", &[("accept-language", "de")]).await;
    }
    for n in 0..300 {
        navigate_from(&edge, 9, "/", &[("accept-language", &format!("x-{n}"))]).await;
    }
    let long = "x".repeat(2000);
    assert!(
        navigate(&edge, "/", &[("accept-language", &long)])
            .await
            .hints()
            .is_empty()
    );
    assert!(
        navigate(&edge, "/", &[("accept-language", &long)])
            .await
            .hints()
            .is_empty()
    );
    assert_eq!(
        navigate(&edge, "/", &[("accept-language", "de")]).await.hints(),
        [[STYLE]]
    );
    let known = learned(&edge, &["http://shop.example/"]);
    assert!(known.contains(": 128 documents"), "{known}");
}

#[tokio::test]
async fn pages_that_the_query_names_are_told_apart_by_that_parameter() {
    let origin = Origin::start().await;
    let mut edge = edge(&origin, "on").await;
    let pages = ["Main", "Help", "News"];
    let visit = async |edge: &Edge, network: u8, page: &str, more: &str| {
        let html = format!("<head><link rel=stylesheet href=/all.css><link rel=stylesheet href=/{page}.css></head>");
        let path = format!("/index.php?title={page}{more}");
        origin.serve_ok(&path, &[HTML], html.as_bytes());
        navigate_from(edge, network, &path, &[]).await
    };
    let mut network = 0;
    for round in 0..8 {
        for page in pages {
            network = network % 5 + 1;
            visit(&edge, network, page, if round % 2 == 0 { "" } else { "&utm_source=x" }).await;
        }
    }
    edge.log_line(&[
        "/index.php: the links depend on the query parameter title",
        "learn.key: [title]",
    ])
    .await;
    for page in pages {
        visit(&edge, 1, page, "").await;
        let hints = visit(&edge, 2, page, "").await.hints();
        assert_eq!(hints, [[style("all"), style(page)]]);
    }
    let known = learned(&edge, &["http://shop.example/index.php?title=Help"]);
    assert!(known.contains("divided  by the query parameters title"), "{known}");
    assert!(
        known.contains("</Help.css>") && !known.contains("</Main.css>"),
        "{known}"
    );
    edge.signal("TERM");
    assert!(edge.ended().await);
    let edge = edge.again().await;
    edge.log_line(&["manifests:", "documents from"]).await;
    assert_eq!(
        visit(&edge, 3, "News", "").await.hints(),
        [[style("all"), style("News")]]
    );
}

/// A parameter on which nothing depends, and one that nobody but one client sends, make no documents.
#[tokio::test]
async fn other_parameters_tell_nothing_apart() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "on").await;
    let html = "<head><link rel=stylesheet href=/a.css></head>";
    navigate(&edge, "/", &[]).await;
    for n in 0..60_u8 {
        let path = format!("/?utm_source={}&x{n}={n}", n % 3);
        origin.serve_ok(&path, &[HTML], html.as_bytes());
        navigate_from(&edge, n % 5, &path, &[]).await;
    }
    assert_eq!(edge.count_lines("the links depend on"), 0);
    let known = learned(&edge, &["http://shop.example/"]);
    assert!(
        !known.contains("divided") && known.contains("</a.css>; rel=preload; as=style  early"),
        "{known}"
    );
}

#[tokio::test]
async fn a_policy_in_a_meta_element_holds_as_one_in_a_field_does() {
    let origin = Origin::start().await;
    let mut edge = edge(&origin, "on").await;
    let head = "<script src=/b.js nonce=a></script><link rel=stylesheet href=/a.css></head>";
    let nonce = "<meta http-equiv=\"Content-Security-Policy\" content=\"script-src 'nonce-{}'\">";
    let serve = |path: &str, n: usize, before: &str| {
        let html = format!("<head>{}{head}", before.replace("{}", &n.to_string()));
        origin.serve_ok(
            path,
            &[HTML, ("content-security-policy", "img-src 'self'")],
            html.as_bytes(),
        );
    };
    for (path, before, expected) in [
        ("/nonce", nonce, 1),
        (
            "/self",
            "<meta http-equiv=content-security-policy content=\"script-src 'self' 'nonce-{}'\">",
            2,
        ),
        (
            "/report",
            "<meta http-equiv=content-security-policy-report-only content=\"script-src 'nonce-{}'\">",
            2,
        ),
        (
            "/template",
            "<template><meta http-equiv=content-security-policy content=\"script-src 'none'\"></template>",
            2,
        ),
    ] {
        for visit in 0..20 {
            serve(path, visit, before);
            let page = navigate(&edge, path, &[]).await;
            if visit > 0 {
                assert_eq!(
                    page.hints().concat().len(),
                    expected,
                    "{path} {visit}: {:?}",
                    page.hints()
                );
            }
        }
    }
    edge.log_line(&["/nonce 200", "csp:1"]).await;
    edge.signal("TERM");
    assert!(edge.ended().await);
    let edge = edge.again().await;
    edge.log_line(&["manifests: 4 documents from"]).await;
    serve("/nonce", 99, nonce);
    assert_eq!(
        navigate(&edge, "/nonce", &[]).await.hints(),
        [[STYLE]],
        "the policy outlasts a restart"
    );
}

#[tokio::test]
async fn a_route_says_how_much_of_a_page_is_read() {
    let origin = Origin::start().await;
    let html = format!(
        "<head>{}<link rel=stylesheet href=/a.css></head>",
        "<!-- x -->".repeat(800)
    );
    origin.serve_ok("/", &[HTML], html.as_bytes());
    for (bytes, is_learned) in [("4KiB", false), ("128KiB", true), ("1MiB", true)] {
        let edge = edge(&origin, &format!("{{ learning: on, html_bytes: {bytes} }}")).await;
        navigate(&edge, "/", &[]).await;
        let hints = navigate(&edge, "/", &[]).await.hints();
        assert_eq!(!hints.is_empty(), is_learned, "{bytes}");
    }
}

/// Where only the end of the connection ends a page, it may have broken off.
#[tokio::test]
async fn half_a_head_teaches_nothing() {
    let origin = Origin::start().await;
    let half = "<head><link rel=stylesheet href=/a.css>";
    let whole = format!("{half}</head>");
    let closed = |text: &str| {
        let head = format!("HTTP/1.1 200 OK\r\n{}: {}\r\nconnection: close\r\n\r\n", HTML.0, HTML.1);
        vec![Step::Send([head.as_bytes(), text.as_bytes()].concat()), Step::Close]
    };
    let chunked = |text: &str, end: &str| {
        let head = format!(
            "HTTP/1.1 200 OK\r\n{}: {}\r\ntransfer-encoding: chunked\r\n\r\n",
            HTML.0, HTML.1
        );
        let text = format!("{head}{:x}\r\n{text}\r\n{end}", text.len());
        vec![Step::Send(text.into_bytes()), Step::Close]
    };
    origin.on("/closed-half", closed(half));
    origin.on("/closed-whole", closed(&whole));
    origin.on("/chunked-whole", chunked(half, "0\r\n\r\n"));
    origin.on("/chunked-half", chunked(half, ""));
    origin.on("/length", [Step::Send(response("200 OK", &[HTML], half.as_bytes()))]);
    let edge = edge(&origin, "on").await;
    for (path, is_learned) in [
        ("/closed-half", false),
        ("/closed-whole", true),
        ("/chunked-whole", true),
        ("/chunked-half", false),
        ("/length", true),
    ] {
        for visit in 0..3 {
            let client = Client::without_push(edge.address).await;
            let request = client.get_request(path, &[("sec-fetch-mode", "navigate")]);
            let Ok(page) = within(path, client.try_fetch(request)).await else {
                assert_eq!(path, "/chunked-half", "only this one is visibly broken");
                continue;
            };
            if visit > 0 {
                assert_eq!(!page.hints().is_empty(), is_learned, "{path}");
            }
        }
    }
}

/// A proxy in front that authenticates tells the application who asks without a cookie.
#[tokio::test]
async fn one_users_link_reaches_no_other_user() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "{ learning: on, identity: [x-member] }").await;
    for field in [
        "x-user",
        "x-remote-user",
        "x-auth-request-email",
        "x-api-key",
        "cf-access-jwt-assertion",
        "x-member",
    ] {
        let path = format!("/{field}");
        for user in 1..=5_u8 {
            let own = format!("</avatar/{user}.png>; rel=preload; as=image");
            origin.serve_ok(&path, &[HTML, ("link", STYLE), ("link", &own)], b"page");
            let name = format!("user-{user}");
            let hints = navigate_from(&edge, user, &path, &[(field, &name)])
                .await
                .hints()
                .concat();
            let expected: &[&str] = if user > 3 { &[STYLE] } else { &[] };
            assert_eq!(hints, expected, "{field} {user}");
        }
    }
}
