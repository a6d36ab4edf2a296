//! Assets are pushed from memory.

use super::{get, keeping, line};
use crate::support::{
    client::Client,
    origin::{Origin, Step, response},
    raw::{HEADERS, MAX_CONCURRENT_STREAMS, PUSH_PROMISE, RST_STREAM, Raw},
    within,
};

const FRESH: (&str, &str) = ("cache-control", "max-age=600");
const STYLE: (&str, &str) = ("link", "</a.css>; rel=preload; as=style");

#[tokio::test]
async fn three_pages_are_one_trip_for_each_asset() {
    let origin = Origin::start().await;
    let links = (
        "link",
        "</a.css>; rel=preload; as=style, </b.js>; rel=preload; as=script",
    );
    origin.serve_ok("/", &[links], b"page");
    origin.serve_ok("/a.css", &[FRESH, ("content-type", "text/css")], b"style");
    origin.serve_ok("/b.js", &[FRESH], &vec![b'b'; 40_000]);
    let edge = keeping(&origin, "assets").await;
    for visit in 0..3 {
        let page = Client::connect(edge.address).await.get("/").await;
        assert_eq!(page.answer.body, b"page");
        assert_eq!(page.promised(), ["/a.css", "/b.js"]);
        let style = page.push("/a.css").delivered();
        assert_eq!(
            (&*style.body, &style.headers["content-type"]),
            (&b"style"[..], &"text/css".parse().expect("a value"))
        );
        assert_eq!(page.push("/b.js").delivered().body, vec![b'b'; 40_000]);
        assert_eq!(style.headers.contains_key("age"), visit > 0);
    }
    let counts = ["/", "/a.css", "/b.js"].map(|path| origin.count(path));
    assert_eq!(counts, [3, 1, 1]);
    let line = line(&edge, "/a.css", "hit").await;
    assert!(
        line.contains(" 200 route=pages proto=h2 ") && line.contains(" pushed_by=1 "),
        "{line}"
    );
}

#[tokio::test]
async fn what_a_client_fetched_it_is_not_pushed_wherever_it_came_from() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[STYLE], b"page");
    origin.serve_ok("/a.css", &[FRESH], b"style");
    let edge = keeping(&origin, "assets").await;
    let client = Client::connect(edge.address).await;
    assert_eq!(client.get("/").await.promised(), ["/a.css"]);
    let client = Client::connect(edge.address).await;
    assert_eq!(client.get("/a.css").await.answer.body, b"style");
    assert!(client.get("/").await.promised().is_empty());
    assert_eq!(origin.count("/a.css"), 1);
}

#[tokio::test]
async fn a_client_gets_the_variant_that_it_can_read() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[STYLE], b"page");
    let edge = keeping(&origin, "assets").await;
    for (codings, body) in [
        ("gzip", "of gzip"),
        ("br", "of br"),
        ("gzip", "of gzip"),
        ("br", "of br"),
    ] {
        origin.serve_ok("/a.css", &[FRESH, ("vary", "accept-encoding")], body.as_bytes());
        let client = Client::connect(edge.address).await;
        let page = get(&client, "/", &[("accept-encoding", codings)]).await;
        assert_eq!(page.push("/a.css").delivered().body, body.as_bytes());
    }
    assert_eq!(origin.count("/a.css"), 2);
}

#[tokio::test]
async fn what_may_not_be_pushed_is_not_pushed_from_memory_either() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[STYLE], b"page");
    let gone = response("404 Not Found", &[FRESH], b"gone");
    origin.on("/a.css", [Step::Send(gone)]);
    let edge = keeping(&origin, "all").await;
    let client = Client::without_push(edge.address).await;
    assert_eq!(client.get("/a.css").await.answer.status, 404);
    assert_eq!(client.get("/a.css").await.answer.status, 404);
    assert_eq!(origin.count("/a.css"), 1, "it is kept");
    let client = Client::connect(edge.address).await;
    let page = client.get("/").await;
    assert!(page.push("/a.css").answer.is_err());
    edge.log_line(&["/a.css ", "failure=\"status 404"]).await;
    // It is left alone for a while.
    let client = Client::connect(edge.address).await;
    assert!(client.get("/").await.promised().is_empty());
}

#[tokio::test]
async fn a_kept_page_delivers_its_assets_as_any_other() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[FRESH, STYLE], b"page");
    origin.serve_ok("/a.css", &[FRESH], b"style");
    let edge = keeping(&origin, "all").await;
    for _ in 0..3 {
        let page = Client::connect(edge.address).await.get("/").await;
        assert_eq!(page.answer.body, b"page");
        assert_eq!(page.push("/a.css").delivered().body, b"style");
    }
    assert_eq!((origin.count("/"), origin.count("/a.css")), (1, 1));
}

#[tokio::test]
async fn with_credentials_a_push_is_the_clients_own() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[STYLE], b"page");
    let edge = keeping(&origin, "all, push: { credentials: include }").await;
    for visitor in ["1", "2"] {
        origin.serve_ok(
            "/a.css",
            &[("cache-control", "private, max-age=600")],
            visitor.as_bytes(),
        );
        let client = Client::connect(edge.address).await;
        let page = get(&client, "/", &[("cookie", visitor)]).await;
        assert_eq!(page.push("/a.css").delivered().body, visitor.as_bytes());
    }
    assert_eq!(origin.count("/a.css"), 2);
}

#[tokio::test]
async fn a_reset_promise_gives_its_place_back_though_its_answer_is_fetched_on() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[STYLE], b"page");
    let mut header = response("200 OK", &[FRESH], b"style");
    let content = header.split_off(header.len() - 5);
    origin.on(
        "/a.css",
        [Step::Send(header), Step::Gate("answer"), Step::Send(content)],
    );
    let edge = keeping(&origin, "assets").await;
    let mut raw = Raw::connect(edge.address, &[(MAX_CONCURRENT_STREAMS, 1)]).await;
    raw.get(1, "/").await;
    let promise = raw.next_promise().await;
    // Before its header has come, it would end with whoever waits for it.
    let is_header = |frame: &crate::support::raw::Frame| frame.stream == promise && frame.kind == HEADERS;
    raw.next_that("the header of the push", is_header).await;
    raw.send(RST_STREAM, 0, promise, &[0, 0, 0, 8]).await;
    // Its place among the client's streams is given back by a task that nothing here can wait for.
    let link = ("link", "</b.js>; rel=preload; as=script");
    origin.serve_ok("/b.js", &[FRESH], b"script");
    within("a free place", async {
        for stream in (3..).step_by(2) {
            let path = format!("/{stream}");
            origin.serve_ok(&path, &[link], b"page");
            raw.get(stream, &path).await;
            let is_end = |f: &crate::support::raw::Frame| f.stream == stream && f.kind != RST_STREAM;
            if raw.next_that("the page or a promise", is_end).await.kind == PUSH_PROMISE {
                return;
            }
        }
    })
    .await;
    origin.open("answer");
    within("the kept asset", async {
        while !edge
            .log()
            .iter()
            .any(|line| line.contains("/a.css ") && line.contains("cache=hit"))
        {
            let client = Client::connect(edge.address).await;
            assert_eq!(client.get("/a.css").await.answer.body, b"style");
        }
    })
    .await;
    assert_eq!(origin.count("/a.css"), 1);
}
