//! Which answers are kept, and whom they are given to.

use super::{get, keeping, line, routes};
use crate::support::{
    client::Client,
    edge::config,
    http1::Http1,
    origin::{Origin, Step, response},
};

const FRESH: (&str, &str) = ("cache-control", "max-age=600");

#[tokio::test]
async fn an_answer_is_kept_for_as_long_as_the_origin_says() {
    let origin = Origin::start().await;
    origin.serve_ok("/fresh", &[FRESH, ("etag", "\"1\"")], b"content");
    origin.serve_ok("/silent", &[("etag", "\"1\"")], b"content");
    origin.serve_ok("/old", &[FRESH, ("age", "600")], b"content");
    let edge = keeping(&origin, "{ caching: all, status: on }").await;
    let client = Client::connect(edge.address).await;
    let first = client.get("/fresh").await.answer;
    assert_eq!(first.headers["cache-status"], "linkpush; fwd=miss; stored; ttl=599");
    assert!(!first.headers.contains_key("age"));
    let other = Client::connect(edge.address).await;
    let second = other.get("/fresh").await.answer;
    assert_eq!((second.status.as_u16(), &*second.body), (200, &b"content"[..]));
    assert!(second.headers.contains_key("age"));
    let status = second.headers["cache-status"].to_str().expect("ASCII");
    assert!(status.starts_with("linkpush; hit; ttl=5"), "{status}");
    assert_eq!(second.headers["content-length"], "7");
    assert_eq!(origin.count("/fresh"), 1);
    line(&edge, "/fresh", "miss").await;
    line(&edge, "/fresh", "hit").await;
    for path in ["/silent", "/old"] {
        client.get(path).await;
        assert_eq!(client.get(path).await.answer.body, b"content");
        assert_eq!(origin.count(path), 2, "{path}");
        line(&edge, path, "pass").await;
    }
}

#[tokio::test]
async fn fields_of_the_connection_say_nothing_of_what_is_kept() {
    let origin = Origin::start().await;
    let names = ("connection", "cache-control, set-cookie");
    origin.serve_ok("/not-said", &[names, FRESH], b"content");
    let page = [
        names,
        ("expires", "Fri, 31 Dec 2100 23:59:59 GMT"),
        ("set-cookie", "a=b"),
    ];
    origin.serve_ok("/said", &page, b"content");
    let edge = keeping(&origin, "all").await;
    let client = Client::connect(edge.address).await;
    for (path, expected) in [("/not-said", 2), ("/said", 1)] {
        for _ in 0..2 {
            assert_eq!(client.get(path).await.answer.body, b"content");
        }
        assert_eq!(origin.count(path), expected, "{path}");
    }
}

#[tokio::test]
async fn only_what_a_page_links_to_is_kept_unless_the_route_says_more() {
    let origin = Origin::start().await;
    let link = (
        "link",
        "</a.css>; rel=preload; as=style, </b.js>; rel=preload; as=script; nopush",
    );
    origin.serve_ok("/", &[FRESH, link], b"page");
    origin.default_ok(b"content");
    let edge = keeping(&origin, "assets").await;
    // A browser: it takes no pushes, and still its page tells what is an asset.
    let client = Client::without_push(edge.address).await;
    client.get("/a.css").await;
    for _ in 0..2 {
        for path in ["/", "/a.css", "/b.js", "/c.png"] {
            client.get(path).await;
        }
    }
    let counts = ["/", "/a.css", "/b.js", "/c.png"].map(|path| origin.count(path));
    assert_eq!(counts, [2, 2, 1, 2]);
}

#[tokio::test]
async fn nothing_of_one_visitor_reaches_another() {
    let origin = Origin::start().await;
    let edge = keeping(&origin, "all").await;
    const PUBLIC: (&str, &str) = ("cache-control", "public, max-age=600");
    // What the origin answers, and what the visitor sends who asks first.
    let cases: &[(&str, &[(&str, &str)], &[(&str, &str)])] = &[
        ("/private", &[("cache-control", "private, max-age=600")], &[]),
        (
            "/private-field",
            &[("cache-control", "max-age=600, private=\"x-user\"")],
            &[],
        ),
        ("/no-store", &[("cache-control", "max-age=600, no-store")], &[]),
        ("/no-cache", &[("cache-control", "max-age=600, no-cache")], &[]),
        ("/set-cookie", &[PUBLIC, ("set-cookie", "id=1")], &[]),
        ("/vary-cookie", &[PUBLIC, ("vary", "Cookie")], &[]),
        ("/vary-all", &[PUBLIC, ("vary", "*")], &[]),
        ("/vary-client", &[PUBLIC, ("vary", "x-forwarded-for")], &[]),
        ("/authorization", &[PUBLIC], &[("authorization", "Basic dXNlcg==")]),
        (
            "/s-maxage",
            &[("cache-control", "s-maxage=600")],
            &[("authorization", "Basic dXNlcg==")],
        ),
        ("/cookie", &[FRESH], &[("cookie", "session=1")]),
    ];
    for (path, answers, asks) in cases {
        origin.serve_ok(path, answers, b"of one");
        let one = Client::connect(edge.address).await;
        assert_eq!(get(&one, path, asks).await.answer.body, b"of one", "{path}");
        origin.serve_ok(path, answers, b"of another");
        for fields in [&[][..], &[("cookie", "session=2")], asks] {
            let another = Client::connect(edge.address).await;
            let answer = get(&another, path, fields).await.answer;
            assert_eq!(answer.body, b"of another", "{path} {fields:?}");
        }
        let mut http1 = Http1::sending(
            edge.address,
            format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", edge.address),
        )
        .await;
        assert_eq!(http1.answer().await.1, b"of another", "{path}");
    }
}

#[tokio::test]
async fn what_anybody_got_is_for_visitors_with_cookies_too() {
    let origin = Origin::start().await;
    origin.serve_ok("/open", &[FRESH], b"content");
    origin.serve_ok("/public", &[("cache-control", "public, max-age=600")], b"content");
    let edge = keeping(&origin, "all").await;
    let client = Client::connect(edge.address).await;
    const COOKIE: &[(&str, &str)] = &[("cookie", "session=1")];
    // The answer to a visitor with a cookie is not kept, that to one without is.
    get(&client, "/open", COOKIE).await;
    get(&client, "/open", &[]).await;
    get(&client, "/open", COOKIE).await;
    assert_eq!(origin.count("/open"), 2);
    get(&client, "/public", COOKIE).await;
    get(&client, "/public", COOKIE).await;
    assert_eq!(origin.count("/public"), 1);
    // Credentials ask the origin, whatever is there.
    get(&client, "/public", &[("authorization", "Basic dXNlcg==")]).await;
    assert_eq!(origin.count("/public"), 2);
}

#[tokio::test]
async fn a_route_may_keep_answers_to_cookies() {
    let origin = Origin::start().await;
    origin.serve_ok("/open", &[FRESH], b"content");
    let edge = keeping(&origin, "{ caching: all, cookies: any }").await;
    let client = Client::connect(edge.address).await;
    for _ in 0..2 {
        get(&client, "/open", &[("cookie", "session=1")]).await;
    }
    assert_eq!(origin.count("/open"), 1);
}

#[tokio::test]
async fn conditions_ranges_and_head_are_answered_from_memory() {
    let origin = Origin::start().await;
    let modified = ("last-modified", "Wed, 25 Nov 2026 07:00:00 GMT");
    origin.serve_ok("/a", &[FRESH, ("etag", "\"1\""), modified], b"0123456789");
    let edge = keeping(&origin, "all").await;
    let client = Client::connect(edge.address).await;
    client.get("/a").await;
    for (fields, status, body) in [
        (("if-none-match", "\"0\", W/\"1\""), 304, &b""[..]),
        (("if-none-match", "\"2\""), 200, b"0123456789"),
        (("if-modified-since", "Wed, 25 Nov 2026 07:00:00 GMT"), 304, b""),
        (("if-modified-since", "Wed, 25 Nov 2026 08:00:00 GMT"), 304, b""),
        (
            ("if-modified-since", "Wed, 25 Nov 2026 06:00:00 GMT"),
            200,
            b"0123456789",
        ),
        (("range", "bytes=2-4"), 206, b"234"),
        (("range", "bytes=-2"), 206, b"89"),
        (("range", "bytes=20-"), 416, b""),
        (("range", "lines=1-2"), 200, b"0123456789"),
    ] {
        let answer = get(&client, "/a", &[fields]).await.answer;
        assert_eq!((answer.status.as_u16(), &*answer.body), (status, body), "{fields:?}");
        if status == 304 {
            assert_eq!(answer.headers["etag"], "\"1\"");
            assert!(!answer.headers.contains_key("content-length"));
        }
    }
    let parts = get(&client, "/a", &[("range", "bytes=0-1,8-9")]).await.answer;
    assert_eq!(parts.status, 206);
    let text = String::from_utf8(parts.body).expect("ASCII");
    assert!(
        text.contains("\r\n\r\n01\r\n") && text.contains("\r\n\r\n89\r\n"),
        "{text}"
    );
    let mut head = client.get_request("/a", &[]);
    *head.method_mut() = http::Method::HEAD;
    let answer = client.fetch(head).await.answer;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
    assert_eq!(answer.headers["content-length"], "10");
    assert_eq!(origin.count("/a"), 1);
}

#[tokio::test]
async fn a_part_or_a_head_of_what_is_not_kept_is_the_origins() {
    let origin = Origin::start().await;
    let partial = response(
        "206 Partial Content",
        &[FRESH, ("content-range", "bytes 0-1/10")],
        b"01",
    );
    origin.on("/a", [Step::Send(partial)]);
    origin.serve_ok("/b", &[FRESH], b"0123456789");
    let edge = keeping(&origin, "all").await;
    let client = Client::connect(edge.address).await;
    assert_eq!(get(&client, "/a", &[("range", "bytes=0-1")]).await.answer.body, b"01");
    assert_eq!(origin.request("/a").await.field("range"), Some("bytes=0-1"));
    let mut head = client.get_request("/b", &[]);
    *head.method_mut() = http::Method::HEAD;
    assert_eq!(client.fetch(head).await.answer.headers["content-length"], "10");
    assert_eq!(origin.request("/b").await.line, "HEAD /b HTTP/1.1");
    assert_eq!(client.get("/b").await.answer.body, b"0123456789");
}

#[tokio::test]
async fn variants_of_an_answer_are_kept_apart() {
    let origin = Origin::start().await;
    let edge = keeping(&origin, "all").await;
    let client = Client::connect(edge.address).await;
    const VARY: (&str, &str) = ("vary", "Accept-Encoding");
    for (codings, coding) in [("gzip", "gzip"), ("br, gzip", "br"), ("identity", "identity")] {
        origin.serve_ok("/a", &[FRESH, VARY, ("content-encoding", coding)], coding.as_bytes());
        assert_eq!(
            get(&client, "/a", &[("accept-encoding", codings)]).await.answer.body,
            coding.as_bytes()
        );
    }
    origin.serve_ok("/a", &[FRESH, VARY], b"asked again");
    for (codings, coding) in [
        ("gzip,br", "br"),
        ("identity", "identity"),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
    ] {
        let answer = get(&client, "/a", &[("accept-encoding", codings)]).await.answer;
        assert_eq!(answer.body, coding.as_bytes(), "{codings}");
        assert_eq!(answer.headers["content-encoding"], coding);
    }
    assert_eq!(origin.count("/a"), 3);
}

#[tokio::test]
async fn hosts_schemes_and_queries_are_kept_apart() {
    let origin = Origin::start().await;
    let edge = keeping(&origin, "all").await;
    for (number, origin_of) in ["http://a.example", "http://b.example", "https://a.example"]
        .iter()
        .enumerate()
    {
        for path in ["/x", "/x?q", "/X"] {
            let body = format!("{number}{path}");
            origin.serve_ok(path, &[FRESH], body.as_bytes());
            for _ in 0..2 {
                let stream = tokio::net::TcpStream::connect(edge.address)
                    .await
                    .expect("the edge listens");
                let client = Client::over(stream, origin_of, &h2::client::Builder::new()).await;
                assert_eq!(client.get(path).await.answer.body, body.as_bytes());
                origin.serve_ok(path, &[FRESH], b"asked again");
            }
        }
    }
}

#[tokio::test]
async fn http1_clients_share_what_is_kept() {
    let origin = Origin::start().await;
    origin.serve_ok("/a", &[FRESH, ("connection", "x-hop"), ("x-hop", "1")], b"content");
    let edge = keeping(&origin, "all").await;
    let request = format!("GET /a HTTP/1.1\r\nhost: {}\r\n\r\n", edge.address);
    let mut http1 = Http1::sending(edge.address, &request).await;
    let (head, body) = http1.answer().await;
    assert_eq!(body, b"content");
    assert!(!head.contains("x-hop"), "{head}");
    http1.send(&request).await;
    let (head, body) = http1.answer().await;
    assert_eq!(body, b"content");
    assert!(head.contains("Age: ") && !head.contains("x-hop"), "{head}");
    let client = Client::connect(edge.address).await;
    assert_eq!(client.get("/a").await.answer.body, b"content");
    assert_eq!(origin.count("/a"), 1);
}

#[tokio::test]
async fn a_request_with_content_has_an_answer_of_its_own() {
    let origin = Origin::start().await;
    origin.serve_ok("/a", &[FRESH], b"content");
    let edge = keeping(&origin, "all").await;
    for count in 1..=2 {
        let request = format!(
            "GET /a HTTP/1.1\r\nhost: {}\r\ncontent-length: 3\r\n\r\nabc",
            edge.address
        );
        let mut http1 = Http1::sending(edge.address, &request).await;
        http1.answer().await;
        assert_eq!(origin.count("/a"), count);
    }
}

#[tokio::test]
async fn a_change_ends_what_is_kept_of_its_url() {
    let origin = Origin::start().await;
    origin.serve_ok("/a", &[FRESH], b"old");
    origin.serve_ok("/a?q", &[FRESH], b"old");
    let edge = keeping(&origin, "all").await;
    let client = Client::connect(edge.address).await;
    client.get("/a").await;
    client.get("/a?q").await;
    origin.on("/a", [Step::Send(response("403 Forbidden", &[], b""))]);
    let post = || {
        let mut post = client.get_request("/a", &[]);
        *post.method_mut() = http::Method::POST;
        post
    };
    client.fetch(post()).await;
    assert_eq!(client.get("/a").await.answer.body, b"old", "nothing was changed");
    origin.serve_ok("/a", &[FRESH], b"new");
    client.fetch(post()).await;
    assert_eq!(client.get("/a").await.answer.body, b"new");
    assert_eq!(client.get("/a?q").await.answer.body, b"old");
}

#[tokio::test]
async fn only_if_cached_never_asks_the_origin() {
    let origin = Origin::start().await;
    origin.serve_ok("/a", &[FRESH], b"content");
    let edge = keeping(&origin, "all").await;
    let client = Client::connect(edge.address).await;
    const ONLY: &[(&str, &str)] = &[("cache-control", "only-if-cached")];
    assert_eq!(get(&client, "/a", ONLY).await.answer.status, 504);
    for field in [("range", "bytes=0-1"), ("authorization", "Basic x")] {
        assert_eq!(
            get(&client, "/a", &[ONLY[0], field]).await.answer.status,
            504,
            "{field:?}"
        );
    }
    origin.serve_ok("/private", &[("cache-control", "private")], b"mine");
    client.get("/private").await;
    assert_eq!(get(&client, "/private", ONLY).await.answer.status, 504);
    assert_eq!(origin.count("/private"), 1);
    client.get("/a").await;
    assert_eq!(get(&client, "/a", ONLY).await.answer.status, 200);
    assert_eq!(
        get(&client, "/a", &[("cache-control", "no-cache")]).await.answer.status,
        200
    );
    assert_eq!(origin.count("/a"), 1);
}

#[tokio::test]
async fn a_reload_that_switches_the_cache_off_holds_at_once() {
    let origin = Origin::start().await;
    origin.serve_ok("/a", &[FRESH], b"content");
    let edge = keeping(&origin, "all").await;
    let client = Client::connect(edge.address).await;
    client.get("/a").await;
    client.get("/a").await;
    assert_eq!(origin.count("/a"), 1);
    for (number, (cache, count)) in [("off", 2), ("assets", 3), ("all", 3)].into_iter().enumerate() {
        edge.rewrite(&config(origin.address, &routes(cache)));
        edge.signal("HUP");
        edge.lines("configuration reloaded", number + 1).await;
        client.get("/a").await;
        assert_eq!(origin.count("/a"), count, "{cache}");
    }
}

#[tokio::test]
async fn another_upstream_does_not_answer_with_what_the_first_one_said() {
    let (origin, other) = (Origin::start().await, Origin::start().await);
    origin.serve_ok("/a", &[FRESH], b"one");
    other.serve_ok("/a", &[FRESH], b"other");
    let edge = keeping(&origin, "all").await;
    let client = Client::connect(edge.address).await;
    assert_eq!(client.get("/a").await.answer.body, b"one");
    let changed = config(origin.address, &routes("all"))
        .replace("upstream: app", "upstream: new")
        .replace(
            "upstreams:\n",
            &format!("upstreams:\n  new: {{ servers: ['{}'] }}\n", other.address),
        );
    edge.rewrite(&changed);
    edge.signal("HUP");
    edge.lines("configuration reloaded", 1).await;
    for _ in 0..2 {
        assert_eq!(client.get("/a").await.answer.body, b"other");
    }
    assert_eq!(other.count("/a"), 1);
}

#[tokio::test]
async fn what_a_trusted_peer_says_of_the_url_is_kept_apart() {
    let origin = Origin::start().await;
    let listener = "listeners:\n  - { address: '127.0.0.1:0', trusted: [127.0.0.1] }";
    let text = config(origin.address, &routes("all")).replace("listeners:\n  - address: 127.0.0.1:0", listener);
    let edge = crate::support::edge::Edge::with(&text).await;
    let client = Client::connect(edge.address).await;
    let cases: [&[(&str, &str)]; 6] = [
        &[],
        &[("x-scheme", "https")],
        &[("front-end-https", "on")],
        &[("x-forwarded-proto", "https")],
        &[("x-forwarded-host", "evil.example")],
        &[("x-forwarded-prefix", "/shop")],
    ];
    for (number, fields) in cases.into_iter().enumerate() {
        let body = number.to_string();
        origin.serve_ok("/a", &[FRESH], body.as_bytes());
        for address in ["192.0.2.1", "192.0.2.2"] {
            let fields = [fields, &[("x-forwarded-for", address)]].concat();
            assert_eq!(
                get(&client, "/a", &fields).await.answer.body,
                body.as_bytes(),
                "{fields:?}"
            );
        }
        assert_eq!(origin.count("/a"), number + 1);
    }
    // Here it is not to be told apart from who asks.
    for _ in 0..2 {
        get(&client, "/a", &[("forwarded", "for=192.0.2.1;host=evil.example")]).await;
    }
    assert_eq!(origin.count("/a"), 8);
    // By these it could be the answer of another URL.
    for fields in [
        &[("x-scheme", "https"), ("x-http-host-override", "evil.example")][..],
        &[("x-host", "evil.example")],
        &[("x-http-method-override", "DELETE")],
    ] {
        origin.serve_ok("/a", &[FRESH], b"of another");
        assert_eq!(get(&client, "/a", fields).await.answer.body, b"of another");
        assert_eq!(client.get("/a").await.answer.body, b"0", "{fields:?}");
    }
}

#[tokio::test]
async fn what_makes_an_application_answer_for_another_url_is_not_kept() {
    let origin = Origin::start().await;
    origin.serve_ok("/a", &[FRESH], b"of another url");
    let edge = keeping(&origin, "all").await;
    let client = Client::connect(edge.address).await;
    get(&client, "/a", &[("x-original-url", "/admin")]).await;
    origin.serve_ok("/a", &[FRESH], b"its own");
    for _ in 0..2 {
        assert_eq!(client.get("/a").await.answer.body, b"its own");
    }
    assert_eq!(origin.count("/a"), 2);
}
