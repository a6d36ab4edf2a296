//! A document whose `Link` fields name nothing is learned from the head of its HTML.

use std::io::Write as _;

use crate::support::{
    client::{Client, Page},
    edge::{Edge, config},
    origin::{Origin, Step, response},
};

const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");

const HEAD: &str = "<!doctype html><html><head><meta charset=utf-8><title>Shop</title>\n\
    <script src=\"/app.js?a=1&amp;b=2\" defer></script>\n\
    <link rel=stylesheet href=\"/main.css\">\n\
    <link rel=stylesheet href=\"/print.css\" media=print>\n\
    <link rel=preload as=font href=\"/text.woff2\" type=\"font/woff2\" crossorigin>\n\
    <noscript><link rel=stylesheet href=\"/no.css\"></noscript>\n\
    <script type=module src=\"https://cdn.example/mod.js\"></script></head><body>";

/// The hints of that head: what blocks rendering first.
const HINTS: [&str; 4] = [
    "</main.css>; rel=preload; as=style",
    "</text.woff2>; rel=preload; as=font; crossorigin",
    "</app.js?a=1&b=2>; rel=preload; as=script",
    "<https://cdn.example/mod.js>; rel=modulepreload",
];

async fn edge(origin: &Origin, learn: &str) -> Edge {
    let route = format!("routes: [{{ name: pages, upstream: app, push: auto, learn: {learn} }}]");
    Edge::with(&config(origin.address, &route)).await
}

async fn navigate(edge: &Edge, path: &str) -> Page {
    Client::without_push(edge.address).await.navigate(path).await
}

/// The targets of the hints, without their hosts.
fn targets(page: &Page) -> Vec<String> {
    let hints = page.hints().concat();
    hints
        .iter()
        .map(|hint| {
            hint.trim_start_matches('<')
                .split('>')
                .next()
                .expect("a target")
                .to_owned()
        })
        .collect()
}

fn page(body: &str) -> String {
    format!("{HEAD}{}</body></html>", body.repeat(2000))
}

#[tokio::test]
async fn what_a_head_names_is_delivered_to_the_next_visitor() {
    let origin = Origin::start().await;
    let html = page("<p>text");
    origin.serve_ok("/", &[HTML], html.as_bytes());
    origin.default_ok(b"asset");
    let edge = edge(&origin, "on").await;
    let first = navigate(&edge, "/").await;
    assert!(first.hints().is_empty());
    assert_eq!(first.answer.body, html.as_bytes());
    let second = navigate(&edge, "/").await;
    assert_eq!(second.hints(), [HINTS]);
    assert_eq!(second.answer.body, html.as_bytes());
    edge.log_line(&["/ 200", "learned=4 missed=0"]).await;
    let pushed = Client::connect(edge.address).await.get("/").await;
    assert_eq!(pushed.promised(), ["/main.css", "/text.woff2", "/app.js?a=1&b=2"]);
}

#[tokio::test]
async fn content_codings_and_pieces_make_no_difference() {
    let origin = Origin::start().await;
    let html = page("<p>text");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(html.as_bytes()).expect("written");
    let gzip = gzip.finish().expect("an end");
    let zstd = zstd::encode_all(html.as_bytes(), 1).expect("encoded");
    for (path, coding, body) in [("/gzip", "gzip", gzip), ("/zstd", "zstd", zstd)] {
        let mut steps = vec![Step::Send(
            format!(
                "HTTP/1.1 200 OK\r\n{}: {}\r\ncontent-encoding: {coding}\r\ncontent-length: {}\r\n\r\n",
                HTML.0,
                HTML.1,
                body.len()
            )
            .into_bytes(),
        )];
        steps.extend(body.chunks(7).take(100).map(|piece| Step::Send(piece.to_vec())));
        steps.push(Step::Send(body.get(700..).unwrap_or_default().to_vec()));
        origin.on(path, steps);
        let edge = edge(&origin, "on").await;
        let first = navigate(&edge, path).await;
        assert_eq!(first.answer.body, body, "{coding}: byte for byte");
        assert_eq!(first.answer.headers["content-encoding"], coding);
        assert_eq!(targets(&navigate(&edge, path).await).len(), 4, "{coding}");
    }
}

#[tokio::test]
async fn a_page_that_changes_is_read_again() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "on").await;
    for deploy in 0..3 {
        let html = format!(
            "<head><link rel=stylesheet href=/{deploy}.css></head>{}",
            "x".repeat(deploy)
        );
        origin.serve_ok("/", &[HTML], html.as_bytes());
        let mut visits = 0;
        while !targets(&navigate(&edge, "/").await)
            .iter()
            .any(|url| url.ends_with(&format!("/{deploy}.css")))
        {
            visits += 1;
            assert!(visits < 10, "deploy {deploy} is learned soon");
        }
        let now = targets(&navigate(&edge, "/").await);
        assert_eq!(now.len(), 1, "the old one is gone: {now:?}");
        for _ in 0..20 {
            navigate(&edge, "/").await;
        }
    }
}

#[tokio::test]
async fn a_page_teaches_nothing_where_it_should_not() {
    let origin = Origin::start().await;
    let html = page("");
    let cut = response("200 OK", &[HTML], html.as_bytes());
    origin.on(
        "/cut",
        [Step::Send(cut.get(..250).expect("a part").to_vec()), Step::Close],
    );
    origin.serve_ok("/json", &[("content-type", "application/json")], html.as_bytes());
    origin.serve_ok("/none", &[], html.as_bytes());
    origin.on("/error", [Step::Send(response("500 Oops", &[HTML], html.as_bytes()))]);
    let long = format!("<head><link rel=stylesheet href=/a.css>{}", "<!-- x -->".repeat(20_000));
    origin.serve_ok("/long", &[HTML], long.as_bytes());
    let edge = edge(&origin, "on").await;
    for path in ["/cut", "/json", "/none", "/error", "/long"] {
        for _ in 0..3 {
            let client = Client::without_push(edge.address).await;
            let request = client.get_request(path, &[("sec-fetch-mode", "navigate")]);
            let Ok(page) = client.try_fetch(request).await else {
                assert_eq!(path, "/cut");
                continue;
            };
            assert!(page.hints().is_empty(), "{path}");
        }
    }
}

#[tokio::test]
async fn link_fields_go_before_html_and_html_can_be_switched_off() {
    let origin = Origin::start().await;
    let html = page("");
    origin.serve_ok(
        "/both",
        &[HTML, ("link", "</linked.css>; rel=preload; as=style")],
        html.as_bytes(),
    );
    origin.serve_ok(
        "/html",
        &[HTML, ("link", "</wp-json/>; rel=\"https://api.w.org/\"")],
        html.as_bytes(),
    );
    for (learn, both, of_html) in [
        ("on", 1, 4),
        ("{ learning: on, from: [link] }", 1, 0),
        ("{ learning: on, from: [html] }", 4, 4),
    ] {
        let edge = edge(&origin, learn).await;
        for (path, count) in [("/both", both), ("/html", of_html)] {
            navigate(&edge, path).await;
            assert_eq!(targets(&navigate(&edge, path).await).len(), count, "{learn} {path}");
        }
    }
}

#[tokio::test]
async fn html_adds_what_link_fields_leave_out_unless_they_name_a_stylesheet() {
    let origin = Origin::start().await;
    let html = page("");
    // As Next.js does it: fonts and images, whose order and spelling stay the application's.
    let link = "<text.woff2>; rel=preload; as=\"font\"; crossorigin=\"\"; type=\"font/woff2\", </hero.png>; rel=preload; as=image";
    origin.serve_ok("/", &[HTML, ("link", link)], html.as_bytes());
    origin.default_ok(b"asset");
    let edge = edge(&origin, "on").await;
    assert!(navigate(&edge, "/").await.hints().is_empty());
    for _ in 0..4 {
        let page = navigate(&edge, "/").await;
        assert_eq!(
            targets(&page),
            [
                "text.woff2",
                "/hero.png",
                "/main.css",
                "/app.js?a=1&b=2",
                "https://cdn.example/mod.js"
            ],
            "each once"
        );
    }
    edge.log_line(&["/ 200", "learned=5 missed=0"]).await;

    // The links change, and nothing else: both sources are read again.
    let changed = link.replace("hero", "other");
    origin.serve_ok("/", &[HTML, ("link", &changed)], html.as_bytes());
    let mut visits = 0;
    while targets(&navigate(&edge, "/").await).get(1).map(String::as_str) != Some("/other.png") {
        visits += 1;
        assert!(visits < 10, "the change is learned soon");
    }
    assert_eq!(targets(&navigate(&edge, "/").await).len(), 5);
}

#[tokio::test]
async fn link_fields_teach_where_the_html_cannot_be_read() {
    let origin = Origin::start().await;
    let html = format!("<head>{}", "<meta name=x>".repeat(20_000));
    let link = ("link", "</text.woff2>; rel=preload; as=font; crossorigin");
    origin.serve_ok("/long", &[HTML, link], html.as_bytes());
    origin.serve_ok("/coded", &[HTML, link, ("content-encoding", "x-own")], b"<head></head>");
    origin.default_ok(b"asset");
    let edge = edge(&origin, "on").await;
    for path in ["/long", "/coded"] {
        navigate(&edge, path).await;
        for _ in 0..4 {
            assert_eq!(targets(&navigate(&edge, path).await), ["/text.woff2"], "{path}");
        }
    }
}

#[tokio::test]
async fn a_visitors_own_link_in_html_reaches_nobody_else() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "on").await;
    for visitor in 0..6 {
        let html = format!(
            "<head><link rel=stylesheet href=/all.css><link rel=preload as=image href=/avatar/{visitor}></head>"
        );
        origin.serve_ok("/", &[HTML], html.as_bytes());
        let client = Client::without_push(edge.address).await;
        let cookie = format!("session={visitor:032}");
        let fields = [("sec-fetch-mode", "navigate"), ("cookie", &*cookie)];
        let page = client.fetch(client.get_request("/", &fields)).await;
        assert!(targets(&page).iter().all(|url| !url.contains("/avatar/")), "{visitor}");
    }
}

#[tokio::test]
async fn a_stored_page_is_learned_and_an_unchanged_one_forgets_nothing() {
    let origin = Origin::start().await;
    let fields = [HTML, ("cache-control", "max-age=60"), ("etag", "\"1\"")];
    origin.serve_ok("/", &fields, page("").as_bytes());
    let route = "routes: [{ name: pages, upstream: app, push: auto, learn: on, cache: all }]";
    let edge = Edge::with(&config(origin.address, route)).await;
    navigate(&edge, "/").await;
    edge.log_line(&["/ 200", "cache=miss"]).await;
    for _ in 0..10 {
        assert_eq!(navigate(&edge, "/").await.hints(), [HINTS]);
        let client = Client::without_push(edge.address).await;
        let fields = [("sec-fetch-mode", "navigate"), ("if-none-match", "\"1\"")];
        let unchanged = client.fetch(client.get_request("/", &fields)).await;
        assert_eq!(unchanged.answer.status, 304);
    }
    assert_eq!(origin.count("/"), 1);
}
