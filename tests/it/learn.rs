//! What a document linked to lately goes out before the origin answers.

use std::time::Duration;

use crate::support::{
    client::Client,
    edge::{Edge, config},
    http1::Http1,
    origin::{Origin, Step, early_hints, response},
    within,
};

const STYLE: &str = "</a.css>; rel=preload; as=style";
const SCRIPT: &str = "</b.js>; rel=preload; as=script";

fn learning(push: &str) -> String {
    format!(
        "server: {{ pid_file: '{{folder}}/linkpush.pid', manifests: {{ file: '{{folder}}/manifests' }} }}\n\
         routes: [{{ name: pages, upstream: app, push: {push}, learn: on }}]"
    )
}

async fn edge(origin: &Origin, push: &str) -> Edge {
    Edge::with(&config(origin.address, &learning(push))).await
}

/// A page that the origin answers at once the first time, and then only when the gate opens.
fn page(origin: &Origin, links: &[&str]) {
    let fields: Vec<(&str, &str)> = links.iter().map(|link| ("link", *link)).collect();
    origin.serve_ok("/", &fields, b"page");
    origin.asset("/a.css", b"style").asset("/b.js", b"script");
}

fn gated(origin: &Origin, links: &[&str]) {
    let fields: Vec<(&str, &str)> = links.iter().map(|link| ("link", *link)).collect();
    origin.on(
        "/",
        [Step::Gate("page"), Step::Send(response("200 OK", &fields, b"page"))],
    );
}

#[tokio::test]
async fn the_second_visitor_has_the_assets_before_the_origin_answers() {
    let origin = Origin::start().await;
    page(&origin, &[STYLE, SCRIPT]);
    let edge = edge(&origin, "auto").await;
    Client::connect(edge.address).await.get("/").await;
    gated(&origin, &[STYLE, SCRIPT]);
    let client = Client::connect(edge.address).await;
    let visit = tokio::spawn({
        let client = client.clone();
        async move { client.get("/").await }
    });
    // Both assets are sent while the page's answer is held back; what is asked for then comes after them.
    edge.lines("pushed_by=", 4).await;
    origin.serve_ok("/later", &[], b"later");
    client.get("/later").await;
    origin.open("page");
    let page = within("the page", visit).await.expect("no panic");
    assert_eq!(page.promised(), ["/a.css", "/b.js"]);
    for push in &page.pushes {
        assert!(push.delivered().end_at <= page.answer.head_at, "{}", push.path());
    }
    edge.log_line(&["/ 200", "learned=2 missed=0"]).await;
}

#[tokio::test]
async fn a_browser_gets_a_103_before_the_origin_is_heard_of() {
    let origin = Origin::start().await;
    page(&origin, &[STYLE, "<https://cdn.example>; rel=preconnect"]);
    let edge = edge(&origin, "auto").await;
    Client::without_push(edge.address).await.navigate("/").await;
    let think = Duration::from_millis(300);
    let links = [("link", STYLE), ("link", SCRIPT)];
    origin.on(
        "/",
        [
            Step::Think(think),
            Step::Send(early_hints(&[STYLE, SCRIPT])),
            Step::Send(response("200 OK", &links, b"page")),
        ],
    );
    let client = Client::without_push(edge.address).await;
    let page = client.navigate("/").await;
    // The origin's own 103 adds what is new, no more.
    let expected = [vec![STYLE, "<https://cdn.example>; rel=preconnect"], vec![SCRIPT]];
    assert_eq!(page.hints(), expected);
    let (first, _) = page.informational[0];
    assert!(
        first + think / 2 < page.answer.head_at,
        "{first:?} {:?}",
        page.answer.head_at
    );
}

#[tokio::test]
async fn a_link_that_is_gone_is_delivered_once_more_at_most() {
    let origin = Origin::start().await;
    page(&origin, &[STYLE]);
    let edge = edge(&origin, "auto").await;
    Client::connect(edge.address).await.get("/").await;
    page(&origin, &[SCRIPT]);
    let second = Client::connect(edge.address).await.get("/").await;
    assert_eq!(second.promised(), ["/a.css", "/b.js"], "learned, then what it has now");
    edge.log_line(&["/ 200", "learned=1 missed=1"]).await;
    let third = Client::connect(edge.address).await.get("/").await;
    assert_eq!(third.promised(), ["/b.js"]);
}

#[tokio::test]
async fn who_is_given_nothing_early_teaches_and_makes_forget_all_the_same() {
    let origin = Origin::start().await;
    page(&origin, &[STYLE]);
    let edge = edge(&origin, "push").await;
    let visit = async || {
        let head = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", edge.address);
        Http1::sending(edge.address, head).await.answer().await
    };
    visit().await;
    gated(&origin, &[STYLE]);
    let client = Client::connect(edge.address).await;
    let slow = client.begin("/");
    edge.log_line(&["/a.css", "pushed_by="]).await;
    origin.open("page");
    let second = within("the page", slow).await.expect("no panic").expect("a page");
    assert_eq!(second.promised(), ["/a.css"]);
    page(&origin, &[]);
    visit().await;
    page(&origin, &[SCRIPT]);
    let last = Client::connect(edge.address).await.get("/").await;
    assert_eq!(last.promised(), ["/b.js"]);
}

#[tokio::test]
async fn errors_teach_nothing_and_forget_nothing() {
    let origin = Origin::start().await;
    page(&origin, &[STYLE]);
    let edge = edge(&origin, "push").await;
    Client::connect(edge.address).await.get("/").await;
    for status in ["404 Not Found", "503 Service Unavailable"] {
        origin.on("/", [Step::Send(response(status, &[("link", SCRIPT)], b"no"))]);
        assert_eq!(
            Client::connect(edge.address).await.get("/").await.promised(),
            ["/a.css"]
        );
    }
    origin.on(
        "/moved",
        [Step::Send(response(
            "302 Found",
            &[("link", SCRIPT), ("location", "/")],
            b"",
        ))],
    );
    Client::connect(edge.address).await.get("/moved").await;
    origin.on("/moved", [Step::Send(response("404 Not Found", &[], b"no"))]);
    let again = Client::connect(edge.address).await.get("/moved").await;
    assert_eq!(again.promised(), ["/b.js"], "learned of a redirect");
}

#[tokio::test]
async fn an_answer_that_is_no_document_makes_nobody_forget_the_document() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "auto").await;
    for (kind, is_forgotten) in [
        ("application/json", false),
        ("Image/PNG", false),
        ("text/html; charset=utf-8", true),
    ] {
        page(&origin, &[STYLE, SCRIPT]);
        Client::connect(edge.address).await.get("/").await;
        for _ in 0..2 {
            origin.serve_ok("/", &[("content-type", kind)], b"{}");
            Client::connect(edge.address).await.get("/").await;
        }
        let page = Client::connect(edge.address).await.get("/").await;
        assert_eq!(page.promised().is_empty(), is_forgotten, "{kind}");
    }
}

#[tokio::test]
async fn a_returning_visitor_is_not_pushed_what_was_only_learned() {
    let origin = Origin::start().await;
    page(&origin, &[STYLE]);
    let edge = edge(&origin, "auto").await;
    Client::connect(edge.address).await.get("/").await;
    origin.on("/", [Step::Send(b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec())]);
    let client = Client::connect(edge.address).await;
    let returning = client
        .fetch(client.get_request("/", &[("if-none-match", "\"1\"")]))
        .await;
    assert!(returning.promised().is_empty());
    edge.log_line(&["/ 304", "skips=returning:1"]).await;
    let browser = Client::without_push(edge.address).await;
    let fields = [("if-none-match", "\"1\""), ("sec-fetch-mode", "navigate")];
    let hinted = browser.fetch(browser.get_request("/", &fields)).await;
    assert_eq!(hinted.hints(), [vec![STYLE]]);
}

#[tokio::test]
async fn one_visitors_url_does_not_reach_another() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "push").await;
    origin.default_ok(b"asset");
    for round in 0..6 {
        for visitor in ["anna", "bert"] {
            let avatar = format!("</avatar/{visitor}.png>; rel=preload; as=image");
            origin.serve_ok("/", &[("link", STYLE), ("link", &avatar)], b"page");
            let client = Client::connect(edge.address).await;
            let cookie = format!("session={visitor:x>32}; round={round}");
            let page = client.fetch(client.get_request("/", &[("cookie", &cookie)])).await;
            assert_eq!(page.promised(), ["/a.css", &format!("/avatar/{visitor}.png")]);
        }
    }
    assert!(edge.count_lines("learned=") == 0);
}

#[tokio::test]
async fn a_route_that_does_not_learn_delivers_nothing_early() {
    let origin = Origin::start().await;
    page(&origin, &[STYLE]);
    let off = learning("auto").replace("learn: on", "learn: off");
    let edge = Edge::with(&config(origin.address, &off)).await;
    for _ in 0..2 {
        let page = Client::without_push(edge.address).await.navigate("/").await;
        assert!(page.hints().is_empty());
    }
}

#[tokio::test]
async fn what_was_learned_survives_a_restart_and_a_reload() {
    let origin = Origin::start().await;
    page(&origin, &[STYLE]);
    let mut edge = edge(&origin, "auto").await;
    // The port is part of the document, and a restart has another.
    let get = |client: &Client| {
        let mut request = client.get_request("/", &[("sec-fetch-mode", "navigate")]);
        *request.uri_mut() = "http://shop.example/".parse().expect("a URI");
        request
    };
    let client = Client::without_push(edge.address).await;
    client.fetch(get(&client)).await;
    edge.signal("HUP");
    edge.lines("configuration reloaded", 1).await;
    assert_eq!(client.fetch(get(&client)).await.hints(), [vec![STYLE]]);
    edge.signal("TERM");
    drop(client);
    assert!(edge.ended().await);
    let edge = edge.again().await;
    edge.log_line(&["manifests: 1 documents from"]).await;
    let client = Client::without_push(edge.address).await;
    assert_eq!(client.fetch(get(&client)).await.hints(), [vec![STYLE]]);
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_set_aside() {
    let origin = Origin::start().await;
    page(&origin, &[STYLE]);
    for (content, why) in [
        ("{\"linkpush-manifests\":2,\"crc32\":1,\"conte", "damaged"),
        ("{\"linkpush-manifests\":99}", "its version is 99"),
        (
            "linkpush-manifests 1 0000000000000001 0000000000000002\nend 0 1c291ca3\n",
            "its version is 1, this program reads 2 to 3",
        ),
        ("\u{1}\u{2}random", "not a file of manifests"),
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("manifests");
        std::fs::write(&file, content).expect("a writable folder");
        let rest = learning("auto").replace("{folder}/manifests", &file.display().to_string());
        let edge = Edge::with(&config(origin.address, &rest)).await;
        edge.log_line(&["manifests:", why, "set aside as"]).await;
        assert_eq!(
            std::fs::read_to_string(file.with_extension("bad")).expect("set aside"),
            content
        );
        assert_eq!(Client::connect(edge.address).await.get("/").await.answer.body, b"page");
    }
}

#[tokio::test]
async fn with_push_off_nothing_that_was_learned_goes_out() {
    let origin = Origin::start().await;
    page(&origin, &[STYLE]);
    let edge = edge(&origin, "off").await;
    for _ in 0..2 {
        let page = Client::without_push(edge.address).await.navigate("/").await;
        assert!(page.hints().is_empty());
        assert!(Client::connect(edge.address).await.get("/").await.pushes.is_empty());
    }
    assert_eq!(edge.count_lines("learned="), 0);
}

/// A nonce is another one in each response, and applications write one link in many ways: it is the same link.
#[tokio::test]
async fn a_link_is_the_same_however_it_is_spelled() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "auto").await;
    let spellings = |n: usize| {
        [
            format!("</b.js>; rel=preload; as=script; nonce=\"n{n}\""),
            if n.is_multiple_of(2) {
                "</a.css>; as=style; rel=preload".to_owned()
            } else {
                "</a.css>;rel=\"preload\";as=\"style\"".to_owned()
            },
        ]
    };
    for n in 0..40 {
        let links = spellings(n);
        page(&origin, &[&links[0], &links[1]]);
        let page = Client::without_push(edge.address).await.navigate("/").await;
        if n > 0 {
            let hints = page.hints();
            assert_eq!(hints[0], [SCRIPT, STYLE], "visit {n}");
        }
    }
    assert_eq!(edge.count_lines("missed=1") + edge.count_lines("missed=2"), 0);
}

#[tokio::test]
async fn an_operator_sees_what_is_known_and_makes_it_forgotten() {
    let origin = Origin::start().await;
    page(&origin, &[STYLE]);
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("admin.sock");
    let edge = Edge::with(&config(
        origin.address,
        &format!(
            "server: {{ admin: '{}' }}\nroutes: [{{ name: off, match: {{ path: '^/off' }}, upstream: app }}, \
             {{ name: pages, upstream: app, push: auto, learn: on }}]",
            socket.display()
        ),
    ))
    .await;
    let learned = |arguments: &[&str]| {
        let output = std::process::Command::new(crate::support::edge::BINARY)
            .args(["learned", "--config"])
            .arg(edge.config_file())
            .args(arguments)
            .output()
            .expect("the binary starts");
        let text = [&*output.stdout, &output.stderr].concat();
        (output.status.success(), String::from_utf8(text).expect("UTF-8"))
    };
    let url = format!("http://{}/", edge.address);
    let known = |forget: &[&str]| -> serde_json::Value {
        let (is_done, text) = learned(&[&["--format", "json", &*url], forget].concat());
        assert!(is_done, "{text}");
        serde_json::from_str(&text).expect("JSON")
    };
    within("the admin socket", async {
        while !socket.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(known(&[])["known"], false);
    Client::without_push(edge.address).await.get("/").await;
    let client = Client::without_push(edge.address).await;
    client.navigate("/").await;
    client.get("/a.css").await;
    let document = known(&[]);
    assert_eq!(
        (&document["route"], &document["known"]),
        (&"pages".into(), &true.into())
    );
    let link = serde_json::json!([{
        "link": STYLE, "source": "learned", "delivered": true, "public": true, "visitors": 0, "right": 1, "vanished": 0,
        "hinted": 1, "used": 1, "twice": 0, "withheld": null,
    }]);
    assert_eq!(document["links"], link);
    let (_, text) = learned(&[&url]);
    assert!(
        text.contains("</a.css>; rel=preload; as=style  early source=learned visitors=all"),
        "{text}"
    );
    assert_eq!(known(&["--forget"])["forgotten"], true);
    assert_eq!(known(&[])["links"], serde_json::json!([]));
    for (url, problem) in [
        ("/x", "must be absolute"),
        (&*format!("http://{}/off", edge.address), "the route off does not learn"),
    ] {
        let (is_done, text) = learned(&[url]);
        assert!(!is_done && text.contains(problem), "{text}");
    }
}
