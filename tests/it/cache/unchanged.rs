//! What the origin's 304 says of an answer in memory (RFC 9111 sections 3.2, 4.3.3 and 4.3.4).

use http::Method;

use super::{Visitor, keeping, line};
use crate::support::{
    client::Client,
    edge::{Edge, config},
    origin::{Origin, Step, response},
    within,
};

/// Kept, and never fresh: asked for again each time.
const AGAIN: (&str, &str) = ("cache-control", "max-age=0, stale-if-error=600");
const UPDATING: (&str, &str) = ("cache-control", "max-age=0, stale-while-revalidate=600");
const FRESH: (&str, &str) = ("cache-control", "max-age=600");
const ONE: (&str, &str) = ("etag", "\"1\"");
const TWO: (&str, &str) = ("etag", "\"2\"");

fn unchanged(fields: &[(&str, &str)]) -> Vec<Step> {
    vec![Step::Send(response("304 Not Modified", fields, b""))]
}

fn old() -> Vec<Step> {
    let fields = [
        AGAIN,
        ONE,
        ("link", "</old.css>; rel=preload; as=style"),
        ("link", "</old.js>; rel=preload; as=script"),
        ("content-security-policy", "default-src old"),
        ("content-type", "text/plain"),
        ("x-a", "old"),
        ("x-kept", "old"),
        ("x-hop", "old"),
        ("age", "500"),
    ];
    vec![Step::Send(response("200 OK", &fields, b"content"))]
}

fn new() -> Vec<Step> {
    unchanged(&[
        FRESH,
        ONE,
        ("link", "</new.css>; rel=preload; as=style"),
        ("content-security-policy", "default-src new"),
        ("content-type", "text/html"),
        ("content-encoding", "br"),
        ("x-a", "new"),
        ("x-a", "newer"),
        ("x-hop", "new"),
        ("connection", "x-hop"),
    ])
}

#[tokio::test]
async fn all_its_fields_are_those_of_the_answer_from_then_on() {
    let origin = Origin::start().await;
    let edge = keeping(&origin, "all").await;
    let visitors = Visitor::both(&edge).await;
    for (version, client) in &visitors {
        let path = format!("/?{version}");
        origin.on(&path, old());
        assert_eq!(client.get(&path, &[]).await.all("x-a"), ["old"]);
        origin.on(&path, new());
        let mut answers = vec![client.get(&path, &[]).await];
        for (_, client) in &visitors {
            answers.push(client.get(&path, &[]).await);
        }
        assert_eq!(origin.count(&path), 2, "{version}");
        for (number, answer) in answers.iter().enumerate() {
            let case = format!("{version} {number}");
            assert_eq!((answer.status, &*answer.body), (200, &b"content"[..]), "{case}");
            for (name, values) in [
                ("link", &["</new.css>; rel=preload; as=style"][..]),
                ("content-security-policy", &["default-src new"]),
                ("content-type", &["text/html"]),
                ("cache-control", &["max-age=600"]),
                ("x-a", &["new", "newer"]),
                ("x-kept", &["old"]),
                ("x-hop", &["old"]),
                ("content-encoding", &[]),
            ] {
                assert_eq!(answer.all(name), values, "{case} {name}");
            }
            if let Some(length) = answer.headers.get("content-length") {
                assert_eq!(length, "7", "{case}");
            }
            // It is as old as the 304, not as the answer before it.
            let age = answer
                .headers
                .get("age")
                .map_or("0", |age| age.to_str().expect("ASCII"));
            assert!(age.parse::<u32>().expect("a number") < 400, "{case} {age}");
        }
    }
}

#[tokio::test]
async fn its_links_are_pushed_noted_and_learned() {
    let origin = Origin::start().await;
    for asset in ["/old.css", "/old.js", "/new.css"] {
        origin.serve_ok(asset, &[FRESH], asset.as_bytes());
    }
    let routes = "routes:\n\
                  - { name: pages, match: { path: '^/$' }, upstream: app, push: auto, learn: on, cache: all }\n\
                  - { name: assets, upstream: app, cache: assets }";
    let edge = Edge::with(&config(origin.address, routes)).await;
    origin.on("/", old());
    let client = Client::connect(edge.address).await;
    assert_eq!(client.get("/").await.promised(), ["/old.css", "/old.js"]);
    origin.on("/", new());
    // The first one is promised what was learned before, too.
    let client = Client::connect(edge.address).await;
    let page = client.get("/").await;
    assert!(page.promised().contains(&"/new.css"), "{:?}", page.promised());
    assert_eq!(page.push("/new.css").delivered().body, b"/new.css");
    for _ in 0..2 {
        let client = Client::connect(edge.address).await;
        let page = client.get("/").await;
        assert!(page.promised().contains(&"/new.css"), "{:?}", page.promised());
    }
    assert_eq!(origin.count("/"), 2);
    // An asset is kept, and given to those who ask themselves.
    let count = origin.count("/new.css");
    let (_, http1) = &Visitor::both(&edge).await[0];
    assert_eq!(http1.get("/new.css", &[]).await.body, b"/new.css");
    assert_eq!(origin.count("/new.css"), count);
}

#[tokio::test]
async fn in_the_background_its_fields_count_as_well() {
    let origin = Origin::start().await;
    let edge = keeping(&origin, "all").await;
    for (version, client) in Visitor::both(&edge).await {
        let path = format!("/?{version}");
        origin.serve_ok(&path, &[UPDATING, ONE, ("x-a", "old")], b"content");
        client.get(&path, &[]).await;
        origin.on(&path, unchanged(&[FRESH, ONE, ("x-a", "new")]));
        assert_eq!(client.get(&path, &[]).await.all("x-a"), ["old"], "{version}");
        within("the fields of now", async {
            while client.get(&path, &[]).await.all("x-a") != ["new"] {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let answer = client.get(&path, &[]).await;
        assert_eq!((answer.status, &*answer.body), (200, &b"content"[..]), "{version}");
        assert_eq!(origin.count(&path), 2, "{version}");
    }
}

#[tokio::test]
async fn one_about_another_answer_changes_nothing_and_the_client_gets_the_right_one() {
    const SAID: [&[(&str, &str)]; 2] = [
        &[FRESH, TWO, ("x-a", "wrong")],
        &[
            FRESH,
            ("last-modified", "Wed, 25 Nov 2026 08:00:00 GMT"),
            ("x-a", "wrong"),
        ],
    ];
    let origin = Origin::start().await;
    let edge = keeping(&origin, "all").await;
    for (version, client) in Visitor::both(&edge).await {
        for (at, said) in SAID.into_iter().enumerate() {
            for (method, fields) in [
                (Method::GET, &[][..]),
                (Method::HEAD, &[]),
                (Method::GET, &[("if-none-match", "\"2\"")]),
                (Method::GET, &[("range", "bytes=0-1")]),
            ] {
                let case = format!("{version} {at} {method} {fields:?}");
                let path = format!("/{at}?{}", case.replace(' ', ""));
                let path: String = path.chars().filter(|c| !"\"[](){}".contains(*c)).collect();
                let modified = ("last-modified", "Wed, 25 Nov 2026 07:00:00 GMT");
                origin.serve_ok(&path, &[AGAIN, ONE, modified, ("x-a", "old")], b"old");
                client.get(&path, &[]).await;
                origin.on_condition(&path, unchanged(said));
                origin.serve_ok(&path, &[FRESH, TWO, ("x-a", "new")], b"new");
                let answer = client.send(method.clone(), &path, fields).await;
                let expected: (u16, &[u8]) = match (&method, fields.first()) {
                    (&Method::HEAD, _) => (200, b""),
                    (_, Some(("if-none-match", _))) => (304, b""),
                    (_, Some(("range", _))) => (206, b"ne"),
                    _ => (200, b"new"),
                };
                assert_eq!((answer.status, &*answer.body), expected, "{case}");
                assert_eq!(answer.all("x-a"), ["new"], "{case}");
                // What was asked for as a whole is kept.
                let answer = client.get(&path, &[]).await;
                assert_eq!((&*answer.body, answer.all("x-a")), (&b"new"[..], vec!["new"]), "{case}");
                assert_eq!(origin.count(&path), 3, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn in_the_background_one_about_another_answer_ends_what_is_kept() {
    let origin = Origin::start().await;
    let edge = keeping(&origin, "all").await;
    for (version, client) in Visitor::both(&edge).await {
        let path = format!("/?{version}");
        origin.serve_ok(&path, &[UPDATING, ONE], b"old");
        client.get(&path, &[]).await;
        origin.on_condition(&path, unchanged(&[FRESH, TWO]));
        origin.serve_ok(&path, &[FRESH, TWO], b"new");
        within("the answer of now", async {
            while client.get(&path, &[]).await.body != b"new" {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(client.get(&path, &[]).await.body, b"new", "{version}");
        assert_eq!(origin.count(&path), 3, "{version}");
    }
}

#[tokio::test]
async fn one_that_may_not_be_kept_is_of_this_request_alone() {
    const SAID: [&[(&str, &str)]; 6] = [
        &[ONE, ("cache-control", "private, max-age=60"), ("x-a", "new")],
        &[ONE, ("cache-control", "no-store"), ("x-a", "new")],
        &[ONE, ("cache-control", "no-cache"), ("x-a", "new")],
        &[ONE, FRESH, ("set-cookie", "a=b"), ("x-a", "new")],
        &[ONE, FRESH, ("vary", "*"), ("x-a", "new")],
        &[ONE, FRESH, ("vary", "cookie"), ("x-a", "new")],
    ];
    let origin = Origin::start().await;
    let edge = keeping(&origin, "all").await;
    for (version, client) in Visitor::both(&edge).await {
        for (at, said) in SAID.into_iter().enumerate() {
            let case = format!("{version} {said:?}");
            let path = format!("/{at}?{version}");
            origin.serve_ok(&path, &[AGAIN, ONE, ("x-a", "old")], b"content");
            client.get(&path, &[]).await;
            origin.on(&path, unchanged(said));
            let answer = client.get(&path, &[]).await;
            assert_eq!((answer.status, &*answer.body), (200, &b"content"[..]), "{case}");
            for (name, value) in said.iter().filter(|(name, _)| *name != "date") {
                assert_eq!(answer.all(name), [*value], "{case}");
            }
            origin.on(&path, [Step::Send(response("503 Service Unavailable", &[], b"down"))]);
            assert_eq!(client.get(&path, &[]).await.status, 503, "{case}");
        }
    }
}

#[tokio::test]
async fn one_that_cannot_be_read_is_given_to_nobody() {
    let origin = Origin::start().await;
    let edge = keeping(&origin, "all").await;
    for (version, client) in Visitor::both(&edge).await {
        let path = format!("/?{version}");
        origin.serve_ok(&path, &[AGAIN, ONE], b"content");
        client.get(&path, &[]).await;
        let bad = b"HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\ntransfer-encoding: gzip, chunked\r\n\r\n";
        origin.on(&path, [Step::Send(bad.to_vec()), Step::Close]);
        assert_eq!(client.get(&path, &[]).await.status, 502, "{version}");
        origin.on(&path, unchanged(&[FRESH, ONE]));
        assert_eq!(client.get(&path, &[]).await.body, b"content", "{version}");
    }
    line(&edge, "/?HTTP/2", "revalidated").await;
}

/// The answer is for whoever asks as the request did that revalidated it.
#[tokio::test]
async fn what_it_varies_by_is_what_the_answer_varies_by() {
    const GERMAN: &[(&str, &str)] = &[("accept-language", "de"), ("accept-encoding", "br")];
    const ENGLISH: &[(&str, &str)] = &[("accept-language", "en"), ("accept-encoding", "br")];
    const GZIP: &[(&str, &str)] = &[("accept-language", "de"), ("accept-encoding", "gzip")];
    const ENCODING: (&str, &str) = ("vary", "accept-encoding");
    const LANGUAGE: (&str, &str) = ("vary", "accept-language");
    let origin = Origin::start().await;
    let edge = keeping(&origin, "all").await;
    for (version, client) in Visitor::both(&edge).await {
        // By nothing before; by another field, as the first answer of its URL and as a later one.
        for (at, (before, others)) in [
            (&[AGAIN, ONE][..], &[][..]),
            (&[AGAIN, ONE, ENCODING], &[]),
            (&[AGAIN, ONE, ENCODING], &[GZIP]),
        ]
        .into_iter()
        .enumerate()
        {
            let case = format!("{version} {at}");
            let path = format!("/{at}?{version}");
            origin.serve_ok(&path, before, b"other");
            for fields in others {
                client.get(&path, fields).await;
            }
            origin.serve_ok(&path, before, b"first");
            client.get(&path, GERMAN).await;
            origin.on(&path, unchanged(&[FRESH, ONE, LANGUAGE]));
            let answer = client.get(&path, GERMAN).await;
            assert_eq!(
                (&*answer.body, answer.all("vary")),
                (&b"first"[..], vec!["accept-language"]),
                "{case}"
            );
            let count = origin.count(&path);
            origin.serve_ok(&path, &[FRESH, TWO, LANGUAGE], b"english");
            for (fields, expected) in [
                (GERMAN, &b"first"[..]),
                (ENGLISH, b"english"),
                // The coding makes no difference any more.
                (GZIP, b"first"),
                (ENGLISH, b"english"),
                (GERMAN, b"first"),
            ] {
                assert_eq!(client.get(&path, fields).await.body, expected, "{case} {fields:?}");
            }
            assert_eq!(origin.count(&path), count + 1, "{case}");
        }
        // By nothing from now on.
        let path = format!("/nothing?{version}");
        origin.serve_ok(&path, &[AGAIN, ONE, LANGUAGE], b"first");
        client.get(&path, GERMAN).await;
        origin.on(&path, unchanged(&[FRESH, ONE, ("vary", "")]));
        for fields in [GERMAN, ENGLISH] {
            assert_eq!(client.get(&path, fields).await.body, b"first", "{version}");
        }
        assert_eq!(origin.count(&path), 2, "{version}");
    }
}

#[tokio::test]
async fn a_change_while_it_is_on_its_way_is_not_undone_by_it() {
    let origin = Origin::start().await;
    let edge = keeping(&origin, "all").await;
    for (version, client) in Visitor::both(&edge).await {
        let path = format!("/?{version}");
        origin.serve_ok(&path, &[AGAIN, ONE], b"old");
        client.get(&path, &[]).await;
        let mut slow = vec![Step::Gate("unchanged")];
        slow.extend(unchanged(&[FRESH, ONE]));
        origin.on_condition(&path, slow);
        let asking = client.clone();
        let asked = path.clone();
        let first = tokio::spawn(async move { asking.get(&asked, &[]).await.body });
        origin.requests(&path, 2).await;
        origin.serve_ok(&path, &[FRESH, TWO], b"new");
        client.send(Method::POST, &path, &[]).await;
        origin.open("unchanged");
        assert_eq!(within("an answer", first).await.expect("no panic"), b"old", "{version}");
        assert_eq!(client.get(&path, &[]).await.body, b"new", "{version}");
    }
}

#[tokio::test]
async fn an_answer_that_came_from_another_cache_is_as_old_as_that_says() {
    let origin = Origin::start().await;
    let edge = keeping(&origin, "all").await;
    for (version, client) in Visitor::both(&edge).await {
        let path = format!("/?{version}");
        origin.serve_ok(&path, &[AGAIN, ONE], b"content");
        client.get(&path, &[]).await;
        origin.on(&path, unchanged(&[FRESH, ONE, ("age", "100")]));
        for _ in 0..2 {
            let answer = client.get(&path, &[]).await;
            let age: u64 = answer.all("age").concat().parse().expect("an age");
            assert!((100..160).contains(&age), "{version} {age}");
        }
        assert_eq!(origin.count(&path), 2, "{version}");
    }
}
