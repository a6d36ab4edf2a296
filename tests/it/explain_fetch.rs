//! `linkpush explain --fetch`: a live origin, and what each kind of client gets of it.

use serde_json::{Value, json};

use crate::{
    clients::run,
    support::{
        edge::BINARY,
        origin::{Origin, Step, early_hints, response},
    },
};

const STYLE: &str = "</a.css>; rel=preload; as=style";
const LEARNS: &str = "routes:\n  - { name: pages, match: { path: '^/' }, upstream: app, push: auto, learn: on }\n";

/// Explains a page of an origin, as JSON.
async fn explained(origin: &Origin, routes: &str, arguments: &[&str]) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("edge.yaml");
    let text = crate::support::edge::config(origin.address, routes);
    std::fs::write(&file, text).expect("a file");
    let file = file.to_str().expect("UTF-8");
    let all = [&["explain", "--config", file, "--format", "json"], arguments].concat();
    let output = run(BINARY, &all).await;
    assert!(output.status.success(), "{output:?}");
    serde_json::from_str(&output.stdout).expect("JSON")
}

/// The visit of one kind of client: the first one, or a later one.
fn visit<'v>(explained: &'v Value, client: &str, is_later: bool) -> &'v Value {
    let visits = explained["clients"].as_array().expect("visits");
    let mut found = visits
        .iter()
        .filter(|visit| visit["client"] == client && (visit["visitors"] != 0) == is_later);
    found.next().unwrap_or(&Value::Null)
}

fn urls(visit: &Value) -> Vec<&str> {
    let promises = visit["promises"].as_array().expect("promises");
    promises.iter().filter_map(|promise| promise["url"].as_str()).collect()
}

#[tokio::test]
async fn each_kind_of_client_gets_what_the_server_would_give() {
    let origin = Origin::start().await;
    let other = "<https://cdn.example/x.js>; rel=preload; as=script";
    let fields = [("link", STYLE), ("link", other), ("content-type", "text/html")];
    origin
        .on(
            "/",
            [
                Step::Send(early_hints(&[STYLE])),
                Step::Send(response("200 OK", &fields, b"page")),
            ],
        )
        .serve_ok("/a.css", &[("cache-control", "max-age=60")], b"css");
    let url = format!("http://{}/", origin.address);
    let answer = explained(
        &origin,
        crate::support::edge::PAGES,
        &["--fetch", &url, "https://shop.example/"],
    )
    .await;
    assert_eq!(answer["fetched"]["status"], 200);
    assert_eq!(answer["fetched"]["early"], json!([[STYLE]]));
    assert_eq!(answer["fetched"]["link"], json!([STYLE, other]));
    assert_eq!(answer["route"], "pages");
    let push = visit(&answer, "push", false);
    assert_eq!(urls(push), ["https://shop.example/a.css"]);
    assert_eq!(push["promises"][0]["source"], "early");
    let skipped = json!([{"target": "https://cdn.example/x.js", "reason": "other_origin"}]);
    assert_eq!(push["skipped"], skipped);
    let browser = visit(&answer, "hint", false);
    assert_eq!(browser["hints"], json!([STYLE]));
    let skipped = json!([{"target": "https://cdn.example/x.js", "reason": "too_late_to_hint"}]);
    assert_eq!(browser["skipped"], skipped);
    let old = visit(&answer, "http1", false);
    assert_eq!(old["skipped"][0], json!({"target": "/a.css", "reason": "http1"}));
    assert_eq!(visit(&answer, "push", true), &Value::Null);
    // The origin is asked as linkpush asks it.
    let seen = origin.request("/").await;
    for (name, value) in [
        ("host", "shop.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "shop.example"),
    ] {
        assert_eq!(seen.field(name), Some(value), "{seen:?}");
    }
}

#[tokio::test]
async fn later_visits_get_what_the_response_teaches() {
    let origin = Origin::start().await;
    let html = b"<link rel=stylesheet href=/a.css><script src=/b.js></script><script src=/c.js nonce=x></script>";
    let policy = [
        ("content-security-policy", "script-src 'nonce-x'"),
        ("content-type", "text/html"),
    ];
    origin
        .serve_ok("/html", &[("content-type", "text/html")], html)
        .serve_ok("/csp", &policy, html)
        .serve_ok("/known", &[("link", STYLE), ("set-cookie", "id=1")], b"page")
        .serve_ok("/json", &[("content-type", "application/json")], b"{}")
        .serve_ok("/a.css", &[("cache-control", "max-age=60")], b"css")
        .serve_ok("/b.js", &[("cache-control", "no-store")], b"js");
    let of = async |path: &str| {
        let url = format!("http://{}{path}", origin.address);
        explained(&origin, LEARNS, &["--fetch", &url]).await
    };
    let origin_of = |path: &str| format!("http://{}{path}", origin.address);

    let answer = of("/html").await;
    assert_eq!(visit(&answer, "push", false)["promises"], json!([]));
    let later = visit(&answer, "push", true);
    assert_eq!(later["visitors"], 1);
    assert_eq!(urls(later), [origin_of("/a.css")]);
    let reasons: Vec<_> = later["skipped"].as_array().expect("skipped").iter().collect();
    assert!(
        reasons.contains(&&json!({"target": "/b.js", "reason": "bad_answer"})),
        "{later}"
    );
    let browser = visit(&answer, "hint", true);
    assert!(
        browser["skipped"]
            .as_array()
            .expect("skipped")
            .contains(&json!({"target": "/b.js", "reason": "not_reusable"})),
        "{browser}"
    );

    let answer = of("/csp").await;
    let browser = visit(&answer, "hint", true);
    assert!(
        browser["skipped"]
            .as_array()
            .expect("skipped")
            .contains(&json!({"target": "/c.js", "reason": "csp"})),
        "{browser}"
    );

    // Each visitor has a cookie of its own, so three must have been there.
    let answer = of("/known").await;
    assert_eq!(visit(&answer, "push", true)["visitors"], 3);
    assert_eq!(visit(&of("/json").await, "push", true), &Value::Null);
}

#[tokio::test]
async fn text_names_the_clients_and_one_is_chosen() {
    let origin = Origin::start().await;
    origin
        .serve_ok("/", &[("link", STYLE)], b"page")
        .asset("/a.css", b"css");
    let url = format!("see <http://{}/>.", origin.address);
    let base = ["explain", "--config", "conf/demo.yaml", "--fetch", &url];
    let output = run(BINARY, &base).await;
    for part in [
        &format!("fetched  http://{}/ 200 in ", origin.address),
        "link     </a.css>; rel=preload; as=style\nroute    pages\n",
        "HTTP/2 client that takes pushes, first visit:\npromise  ",
        "browser, HTTP/2 without pushes, first visit:\nskipped  /a.css  reason=too_late_to_hint\n",
        "HTTP/1.x client, first visit:\nskipped  /a.css  reason=http1\n",
        "cache    not kept",
    ] {
        assert!(output.stdout.contains(part), "{part}: {output:?}");
    }
    let output = run(BINARY, &[&base[..], &["--client", "http1"]].concat()).await;
    assert!(!output.stdout.contains("browser"), "{output:?}");
    for (arguments, code, problem) in [
        (&["--link", "</a>"][..], 2, "cannot be used with"),
        (&["--insecure", "nonsense"], 2, "absolute"),
        (&["--connect-to", "nowhere"], 2, "must be HOST:PORT"),
        (
            &["--connect-to", "127.0.0.1:1"],
            1,
            "connecting to 127.0.0.1:1: Connection refused",
        ),
    ] {
        let output = run(BINARY, &[&base[..], arguments].concat()).await;
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(output.stderr.contains(problem), "{output:?}");
    }
}

#[tokio::test]
async fn pasted_field_names_are_no_part_of_a_link() {
    let link = "Link: </a.css>; rel=preload; as=style";
    let arguments = [
        "explain",
        "--config",
        "conf/demo.yaml",
        "--link",
        link,
        "<https://shop.example/>",
    ];
    let output = run(BINARY, &arguments).await;
    assert!(
        output.stdout.contains("promise  https://shop.example/a.css"),
        "{output:?}"
    );
}
