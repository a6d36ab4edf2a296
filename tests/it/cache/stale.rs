//! Past its time: asked for again, or used as its header allows.

use super::{Visitor, get, keeping, line};
use crate::support::{
    client::Client,
    edge::{Edge, config},
    http1::Http1,
    origin::{Origin, Step, response},
    within,
};

/// Kept, and never fresh: what these allow is all that it can be used for.
const UPDATING: (&str, &str) = ("cache-control", "max-age=0, stale-while-revalidate=600");
const IF_ERROR: (&str, &str) = ("cache-control", "max-age=0, stale-if-error=600");

#[tokio::test]
async fn an_unchanged_answer_is_fresh_again_without_its_content() {
    let origin = Origin::start().await;
    origin.serve_ok("/a", &[IF_ERROR, ("etag", "\"1\""), ("x-kept", "1")], b"content");
    let edge = keeping(&origin, "{ caching: all, status: on }").await;
    let client = Client::connect(edge.address).await;
    client.get("/a").await;
    let unchanged = response(
        "304 Not Modified",
        &[("cache-control", "max-age=600"), ("etag", "\"1\"")],
        b"",
    );
    origin.on("/a", [Step::Send(unchanged)]);
    let answer = get(&client, "/a", &[("cookie", "a=b")]).await.answer;
    assert_eq!((answer.status.as_u16(), &*answer.body), (200, &b"content"[..]));
    let status = answer.headers["cache-status"].to_str().expect("ASCII");
    assert!(status.starts_with("linkpush; fwd=stale; fwd-status=304"), "{status}");
    assert_eq!(origin.seen()[1].field("if-none-match"), Some("\"1\""));
    line(&edge, "/a", "revalidated").await;
    let answer = client.get("/a").await.answer;
    assert_eq!(
        (&*answer.body, &answer.headers["x-kept"]),
        (&b"content"[..], &"1".parse().expect("a value"))
    );
    assert_eq!(answer.headers["cache-control"], "max-age=600");
    assert_eq!(origin.count("/a"), 2);
}

#[tokio::test]
async fn a_changed_answer_takes_the_place_of_the_old_one() {
    let origin = Origin::start().await;
    origin.serve_ok("/a", &[IF_ERROR, ("etag", "\"1\"")], b"old");
    let edge = keeping(&origin, "all").await;
    let client = Client::connect(edge.address).await;
    client.get("/a").await;
    origin.serve_ok("/a", &[("cache-control", "max-age=600")], b"new");
    for _ in 0..2 {
        assert_eq!(client.get("/a").await.answer.body, b"new");
    }
    assert_eq!(origin.count("/a"), 2);
    line(&edge, "/a", "expired").await;
}

#[tokio::test]
async fn while_the_origin_fails_answers_are_used_as_they_allow() {
    let origin = Origin::start().await;
    for (path, control) in [
        ("/if-error", IF_ERROR),
        ("/updating", UPDATING),
        ("/neither", ("cache-control", "max-age=1")),
    ] {
        origin.serve_ok(path, &[control], b"content");
    }
    let edge = keeping(&origin, "{ caching: all, status: on }").await;
    let client = Client::connect(edge.address).await;
    for path in ["/if-error", "/updating", "/neither"] {
        client.get(path).await;
    }
    // An answer that says so, and none at all.
    origin.on("/if-error", [Step::Send(response("503 Service Unavailable", &[], b""))]);
    let answer = client.get("/if-error").await.answer;
    assert_eq!((answer.status.as_u16(), &*answer.body), (200, &b"content"[..]));
    origin.kill().await;
    for _ in 0..2 {
        let answer = client.get("/if-error").await.answer;
        assert_eq!((answer.status.as_u16(), &*answer.body), (200, &b"content"[..]));
        let status = answer.headers["cache-status"].to_str().expect("ASCII");
        assert!(status.ends_with("detail=error"), "{status}");
        assert!(answer.headers.contains_key("age"));
    }
    line(&edge, "/if-error", "stale").await;
    assert_eq!(client.get("/updating").await.answer.body, b"content");
    // The last is not fresh once its second is over: until then it is.
    within("the end of a second", async {
        while client.get("/neither").await.answer.status != 502 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Full answers that may not be kept, and are no failure of the origin.
const WITHDRAWN: [(&str, &[(&str, &str)]); 19] = [
    ("404 Not Found", &[]),
    ("410 Gone", &[]),
    ("400 Bad Request", &[]),
    ("401 Unauthorized", &[("www-authenticate", "Basic")]),
    ("403 Forbidden", &[]),
    ("403 Forbidden", &[FRESH]),
    ("301 Moved Permanently", &[("location", "/elsewhere")]),
    ("302 Found", &[("location", "/elsewhere")]),
    ("302 Found", &[("location", "/elsewhere"), FRESH]),
    ("303 See Other", &[("location", "/elsewhere")]),
    ("307 Temporary Redirect", &[("location", "/elsewhere")]),
    ("204 No Content", &[]),
    ("200 OK", &[]),
    ("200 OK", &[("cache-control", "private, max-age=60")]),
    ("200 OK", &[("cache-control", "no-store")]),
    ("200 OK", &[("cache-control", "no-cache, max-age=60")]),
    ("200 OK", &[FRESH, ("set-cookie", "a=b")]),
    ("200 OK", &[FRESH, ("vary", "*")]),
    ("200 OK", &[FRESH, ("vary", "cookie")]),
];
const FRESH: (&str, &str) = ("cache-control", "max-age=60");

#[tokio::test]
async fn what_the_origin_has_withdrawn_comes_back_for_no_error() {
    let origin = Origin::start().await;
    let edge = keeping(&origin, "all").await;
    for (version, client) in Visitor::both(&edge).await {
        for (at, (status, fields)) in WITHDRAWN.into_iter().enumerate() {
            let case = format!("{version} {status} {fields:?}");
            let path = format!("/{at}?{version}");
            origin.serve_ok(&path, &[IF_ERROR], b"old");
            assert_eq!(client.get(&path, &[]).await.body, b"old");
            origin.on(&path, [Step::Send(response(status, fields, b""))]);
            assert_eq!(client.get(&path, &[]).await.status.to_string(), status[..3], "{case}");
            origin.on(&path, [Step::Send(response("503 Service Unavailable", &[], b"down"))]);
            assert_eq!(client.get(&path, &[]).await.status, 503, "{case}");
        }
    }
}

#[tokio::test]
async fn what_the_origin_has_withdrawn_is_used_once_more_while_it_is_asked() {
    let origin = Origin::start().await;
    let edge = keeping(&origin, "all").await;
    for (version, client) in Visitor::both(&edge).await {
        for (at, (status, fields)) in WITHDRAWN.into_iter().enumerate() {
            let path = format!("/{at}?{version}");
            origin.serve_ok(&path, &[UPDATING], b"old");
            assert_eq!(client.get(&path, &[]).await.body, b"old");
            origin.on(&path, [Step::Send(response(status, fields, b""))]);
            assert_eq!(client.get(&path, &[]).await.body, b"old");
            origin.requests(&path, 2).await;
            within("the answer of now", async {
                while client.get(&path, &[]).await.body == b"old" {
                    tokio::task::yield_now().await;
                }
            })
            .await;
            let answer = client.get(&path, &[]).await;
            assert_eq!(answer.status.to_string(), status[..3], "{version} {status} {fields:?}");
        }
    }
}

#[tokio::test]
async fn what_is_too_large_to_be_kept_ends_what_is_kept() {
    let origin = Origin::start().await;
    let edge = keeping(&origin, "all").await;
    let large = vec![b'a'; 100_000];
    let known = response("200 OK", &[FRESH], &large);
    let chunked = [
        b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked\r\n\r\n186a0\r\n".as_slice(),
        &large,
        b"\r\n0\r\n\r\n",
    ]
    .concat();
    for (version, client) in Visitor::both(&edge).await {
        for (at, answer) in [&known, &chunked].into_iter().enumerate() {
            let path = format!("/{at}?{version}");
            origin.serve_ok(&path, &[IF_ERROR], b"old");
            client.get(&path, &[]).await;
            origin.on(&path, [Step::Send(answer.clone())]);
            assert!(client.get(&path, &[]).await.body.len() >= large.len(), "{version} {at}");
            origin.on(&path, [Step::Send(response("503 Service Unavailable", &[], b"down"))]);
            assert_eq!(client.get(&path, &[]).await.status, 503, "{version} {at}");
        }
    }
}

#[tokio::test]
async fn what_must_be_revalidated_is_not_used_while_there_is_no_origin() {
    // Each is fresh for a second.
    const CONTROLS: [&str; 4] = [
        "max-age=1, must-revalidate, stale-if-error=600, stale-while-revalidate=600",
        "max-age=1, proxy-revalidate, stale-if-error=600, stale-while-revalidate=600",
        "max-age=600, s-maxage=1, stale-if-error=600, stale-while-revalidate=600",
        "max-age=1, stale-if-error=600",
    ];
    let origin = Origin::start().await;
    let edge = keeping(&origin, "all").await;
    let visitors = Visitor::both(&edge).await;
    for (at, control) in CONTROLS.into_iter().enumerate() {
        let path = format!("/{at}");
        origin.serve_ok(&path, &[("cache-control", control)], b"old");
        assert_eq!(visitors[0].1.get(&path, &[]).await.body, b"old");
    }
    origin.kill().await;
    for (version, client) in &visitors {
        for (at, control) in CONTROLS.into_iter().enumerate().take(3) {
            let path = format!("/{at}");
            within("the end of a second", async {
                while client.get(&path, &[]).await.status == 200 {
                    tokio::task::yield_now().await;
                }
            })
            .await;
            let answer = client.get(&path, &[]).await;
            assert_eq!(answer.status, 504, "{version} {control}");
            assert_ne!(answer.body, b"old", "{version} {control}");
        }
        let answer = client.get("/3", &[]).await;
        assert_eq!((answer.status, &*answer.body), (200, &b"old"[..]), "{version}");
    }
    // What was never kept is a bad gateway as ever.
    assert_eq!(visitors[1].1.get("/never", &[]).await.status, 502);
}

#[tokio::test]
async fn an_update_that_fails_is_not_tried_again_by_each_request() {
    let failures: [(&str, Vec<Step>); 3] = [
        (
            "status",
            vec![Step::Send(response("503 Service Unavailable", &[], b""))],
        ),
        ("closed", vec![Step::Close]),
        ("silent", vec![Step::Gate("never")]),
    ];
    let origin = Origin::start().await;
    let text = config(origin.address, &super::routes("{ caching: all, status: on }")).replace(
        &format!("servers: ['{}']", origin.address),
        &format!(
            "servers: ['{}'], first_byte_timeout: 50ms, ejection: off",
            origin.address
        ),
    );
    let edge = Edge::with(&text).await;
    for (version, client) in Visitor::both(&edge).await {
        for (kind, failure) in &failures {
            let path = format!("/{kind}?{version}");
            origin.serve_ok(&path, &[UPDATING], b"old");
            client.get(&path, &[]).await;
            origin.on(&path, failure.clone());
            let mut paused = None;
            for _ in 0..40 {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                let answer = client.get(&path, &[]).await;
                assert_eq!(answer.body, b"old", "{version} {kind}");
                let status = answer
                    .headers
                    .get("cache-status")
                    .and_then(|status| status.to_str().ok());
                if status.is_some_and(|status| status.starts_with("linkpush; hit; ttl=") && !status.contains("detail"))
                {
                    paused = Some(answer);
                }
            }
            // An update, once more on a new connection, and some more after pauses that double.
            let count = origin.count(&path);
            assert!((2..=12).contains(&count), "{version} {kind}: {count}");
            let paused = paused.expect("an answer during a pause");
            assert!(paused.headers.contains_key("age"));
            origin.serve_ok(&path, &[FRESH], b"new");
            within("the new answer", async {
                while client.get(&path, &[]).await.body != b"new" {
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
            })
            .await;
        }
    }
    line(&edge, "/status?HTTP/1.1", "stale").await;
}

#[tokio::test]
async fn an_answer_is_renewed_in_the_background() {
    for scheme in ["http", "https"] {
        let origin = Origin::start().await;
        origin.serve_ok("/a", &[UPDATING], b"old");
        let edge = keeping(&origin, "all").await;
        let stream = tokio::net::TcpStream::connect(edge.address)
            .await
            .expect("the edge listens");
        let client = Client::over(stream, &format!("{scheme}://shop.example"), &h2::client::Builder::new()).await;
        client.get("/a").await;
        origin.on(
            "/a",
            [
                Step::Gate("new"),
                Step::Send(response("200 OK", &[("cache-control", "max-age=600")], b"new")),
            ],
        );
        // Nobody waits, and the origin is asked once.
        for _ in 0..3 {
            let answer = get(&client, "/a", &[("cookie", "session=1")]).await.answer;
            assert_eq!(answer.body, b"old");
        }
        origin.requests("/a", 2).await;
        let asked = &origin.seen()[1];
        assert_eq!(asked.field("cookie"), None, "what is kept is for everybody");
        assert_eq!(asked.field("host"), Some("shop.example"));
        assert_eq!(asked.field("x-forwarded-proto"), Some(scheme));
        assert_eq!(asked.field("x-linkpush-scheme"), None);
        origin.open("new");
        within("the new answer", async {
            while client.get("/a").await.answer.body != b"new" {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(origin.count("/a"), 2, "{scheme}");
        assert_eq!(
            edge.log().iter().filter(|line| line.contains("cache=expired")).count(),
            0
        );
    }
}

#[tokio::test]
async fn a_first_byte_that_is_late_is_asked_for_elsewhere() {
    let (slow, quick) = (Origin::start().await, Origin::start().await);
    slow.on("/a", [Step::Gate("never")]);
    quick.on(
        "/a",
        [Step::Send(response(
            "200 OK",
            &[("cache-control", "max-age=600")],
            b"quick",
        ))],
    );
    let text = config(slow.address, &super::routes("all")).replace(
        &format!("servers: ['{}']", slow.address),
        &format!(
            "servers: ['{}', '{}'], first_byte_timeout: 100ms",
            slow.address, quick.address
        ),
    );
    let edge = Edge::with(&text).await;
    let client = Client::connect(edge.address).await;
    // Whichever of the two is asked first.
    for _ in 0..2 {
        assert_eq!(client.get("/a").await.answer.body, b"quick");
    }
}

/// A head that is never fresh, and so much content that no test waits for its end.
fn endless(field: (&str, &str), is_chunked: bool) -> Vec<Step> {
    let framing = if is_chunked {
        "transfer-encoding: chunked"
    } else {
        "content-length: 4000000000"
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\n{}: {}\r\netag: \"new\"\r\n{framing}\r\n\r\n",
        field.0, field.1
    );
    let part = [&b"ea60\r\n"[..], &[b'x'; 60_000], b"\r\n"].concat();
    let parts = (0..3000).map(|_| Step::Send(part.clone()));
    std::iter::once(Step::Send(head.into_bytes())).chain(parts).collect()
}

/// An update in the background that is not kept has nobody who reads it.
#[tokio::test]
async fn an_update_that_is_not_kept_ends() {
    for (field, is_chunked) in [
        (("cache-control", "max-age=600"), true),
        (("cache-control", "no-store"), true),
        (("set-cookie", "a=b"), true),
        (("cache-control", "max-age=600"), false),
    ] {
        let origin = Origin::start().await;
        origin.serve_ok("/a", &[UPDATING], b"old");
        let edge = keeping(&origin, "all").await;
        let client = Client::connect(edge.address).await;
        client.get("/a").await;
        origin.on("/a", endless(field, is_chunked));
        assert_eq!(client.get("/a").await.answer.body, b"old");
        origin.requests("/a", 2).await;
        within("the update to end", origin.connections_at_most(0)).await;
        // What the origin has said since counts.
        origin.serve_ok("/a", &[UPDATING], b"new");
        assert_eq!(client.get("/a").await.answer.body, b"new", "{field:?} {is_chunked}");
        assert_eq!(origin.count("/a"), 3);
    }
}

/// What turns out to be too large is not kept, and what was kept before it is no more than the origin's last word but one.
#[tokio::test]
async fn what_is_too_large_ends_what_is_kept_before_its_end() {
    for leaves in [true, false] {
        let origin = Origin::start().await;
        origin.serve_ok("/a", &[IF_ERROR, ("etag", "\"old\"")], b"old");
        let edge = keeping(&origin, "all").await;
        let client = Client::connect(edge.address).await;
        client.get("/a").await;
        origin.on("/a", endless(("cache-control", "max-age=600"), true));
        if leaves {
            let head = "GET /a HTTP/1.1\r\nhost: a\r\n\r\n";
            let mut leaving = Http1::sending(
                edge.address,
                head.replace("host: a", &format!("host: {}", edge.address)),
            )
            .await;
            leaving.head().await;
            leaving.exactly(300_000).await;
        } else {
            let answer = get(&client, "/a", &[("if-none-match", "\"new\"")]).await.answer;
            assert_eq!(answer.status, 304);
        }
        within("the origin's connection to end", origin.connections_at_most(0)).await;
        origin.on("/a", [Step::Send(response("503 Service Unavailable", &[], b"down"))]);
        assert_eq!(client.get("/a").await.answer.status, 503, "{leaves}");
    }
}
