//! What is delivered while the origin still thinks: its own 103, and links that the route names.

use std::time::Duration;

use crate::support::{
    client::Client,
    edge::{Edge, config},
    origin::{Origin, Step, early_hints, response},
};

const CSS: &str = "</a.css>; rel=preload; as=style";
const JS: &str = "</b.js>; rel=preload; as=script";

#[tokio::test]
async fn an_upstream_103_starts_the_push_while_the_origin_thinks_and_the_final_link_does_not_repeat_it() {
    let origin = Origin::start().await;
    let both = format!("{CSS}, {JS}");
    origin
        .on(
            "/",
            [
                Step::Send(early_hints(&[CSS])),
                Step::Think(Duration::from_millis(300)),
                Step::Send(response("200 OK", &[("link", &both)], b"page")),
            ],
        )
        .asset("/a.css", b"css")
        .asset("/b.js", b"js");
    let edge = Edge::start(origin.address).await;
    let client = Client::connect(edge.address).await;
    let page = client.get("/").await;
    assert_eq!(page.promised(), ["/a.css", "/b.js"]);
    assert_eq!(origin.count("/a.css"), 1);
    assert!(page.informational.is_empty(), "the push takes the place of the 103");
    // Against the think time of 300 ms, not against a clock of this machine.
    let (css, head) = (page.push("/a.css"), page.answer.head_at);
    assert!(
        head - css.promised_at > Duration::from_millis(250),
        "promised {:?} before",
        head - css.promised_at
    );
    let arrived = css.delivered().end_at;
    assert!(
        head - arrived > Duration::from_millis(250),
        "complete {:?} before",
        head - arrived
    );
    edge.log_line(&["/ 200", "promises=2", "skips=already_pushed:1"]).await;
}

#[tokio::test]
async fn configured_links_are_hinted_before_the_origin_is_heard() {
    let origin = Origin::start().await;
    origin
        .on("/", [Step::Gate("page"), Step::Send(response("200 OK", &[], b"page"))])
        .asset("/a.css", b"css");
    let edge = Edge::with(&config(
        origin.address,
        &format!("routes:\n  - name: pages\n    upstream: app\n    push: {{ links: ['{CSS}'] }}\n"),
    ))
    .await;
    let client = Client::without_push(edge.address).await;
    let page = tokio::spawn({
        let client = client.clone();
        async move { client.navigate("/").await }
    });
    // The origin answers only after the hint is known to have gone out.
    origin.request("/").await;
    origin.open("page");
    let page = page.await.expect("no panic");
    assert_eq!(page.hints(), [[CSS]]);
    assert!(
        page.answer.headers.get("link").is_none(),
        "the document's own header is left alone"
    );

    let page = tokio::spawn(async move { Client::connect(edge.address).await.get("/").await });
    let asked = origin.request("/a.css").await;
    assert_eq!(asked.field("accept"), Some("text/css,*/*;q=0.1"));
    origin.open("page");
    let page = page.await.expect("no panic");
    assert_eq!(page.promised(), ["/a.css"]);
    assert!(page.push("/a.css").promised_at < page.answer.head_at);
}

#[tokio::test]
async fn a_103_is_on_the_wire_while_the_origin_waits() {
    let origin = Origin::start().await;
    origin.on(
        "/",
        [
            Step::Send(early_hints(&[CSS])),
            Step::Think(Duration::from_millis(300)),
            Step::Send(response("200 OK", &[], b"page")),
        ],
    );
    let edge = Edge::start(origin.address).await;
    let page = Client::without_push(edge.address).await.navigate("/").await;
    let (at, early) = &page.informational[0];
    assert_eq!(
        (early.status().as_u16(), page.hints()),
        (103, vec![vec![CSS.to_owned()]])
    );
    assert!(page.answer.head_at - *at > Duration::from_millis(250));
}

#[tokio::test]
async fn a_103_carries_nothing_but_links() {
    let origin = Origin::start().await;
    let early =
        format!("HTTP/1.1 103 Early Hints\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\nX-Foo: 1\r\nLink: {CSS}\r\n\r\n");
    origin.on(
        "/",
        [
            Step::Send(early.into_bytes()),
            Step::Send(response("200 OK", &[], b"page")),
        ],
    );
    let edge = Edge::start(origin.address).await;
    let page = Client::without_push(edge.address).await.navigate("/").await;
    let names: Vec<_> = page.informational[0]
        .1
        .headers()
        .keys()
        .map(http::HeaderName::as_str)
        .collect();
    assert_eq!(names, ["link"]);
    assert_eq!(page.answer.body, b"page");
}

#[tokio::test]
async fn delivery_decides_between_push_and_hint() {
    let origin = Origin::start().await;
    for path in ["/push", "/hint", "/off", "/all"] {
        origin.on(
            path,
            [
                Step::Send(early_hints(&[CSS])),
                Step::Send(response("200 OK", &[("link", JS)], b"page")),
            ],
        );
    }
    origin.asset("/a.css", b"css").asset("/b.js", b"js");
    let route = |name: &str, push: &str| {
        format!("  - {{ name: {name}, match: {{ path: '^/{name}' }}, upstream: app, push: {push} }}\n")
    };
    let routes = [
        route("push", "push"),
        route("hint", "hint"),
        route("off", "off"),
        route("all", "{ delivery: hint, hint_requests: all }"),
        route("a", "auto"),
    ]
    .concat();
    let edge = Edge::with(&config(origin.address, &format!("routes:\n{routes}"))).await;
    let takes = |page: &crate::support::client::Page| (page.promised().len(), page.hints().len());
    for (path, with_push, browser) in [
        ("/push", (2, 0), (0, 0)),
        ("/hint", (0, 1), (0, 1)),
        ("/off", (0, 0), (0, 0)),
    ] {
        let page = Client::connect(edge.address).await.navigate(path).await;
        assert_eq!(takes(&page), with_push, "{path} to a client with push");
        let page = Client::without_push(edge.address).await.navigate(path).await;
        assert_eq!(takes(&page), browser, "{path} to a browser");
        assert_eq!(page.answer.headers["link"], JS, "the header passes through");
    }
    let page = Client::without_push(edge.address).await.get("/all").await;
    assert_eq!(takes(&page), (0, 1), "the route hints to every request");
}

#[tokio::test]
async fn a_103_passes_after_a_retry_once() {
    let origin = Origin::start().await;
    origin.serve_ok("/warm", &[], b"warm").on(
        "/",
        [
            Step::Send(early_hints(&[CSS])),
            Step::Send(response("200 OK", &[], b"page")),
        ],
    );
    let edge = Edge::start(origin.address).await;
    let client = Client::without_push(edge.address).await;
    // The kept connection is lost before any answer, and after the answer's 103.
    for lost in [Vec::new(), early_hints(&[CSS])] {
        loop {
            client.get("/warm").await;
            let before = origin.count("/");
            origin.close_kept_after(lost.clone());
            let page = client.navigate("/").await;
            assert_eq!(
                (page.hints(), page.answer.body.as_slice()),
                (vec![vec![CSS.to_owned()]], b"page".as_slice())
            );
            // Else it was sent on a new connection, which is not lost.
            if origin.has_closed() {
                assert_eq!(origin.count("/") - before, 2, "it was asked again");
                break;
            }
        }
    }
}
