//! What a request that changes something ends (RFC 9111 section 4.4).

use http::Method;

use super::{Visitor, keeping, routes};
use crate::support::{
    edge::{Edge, config},
    origin::{Origin, Step, response},
    within,
};

const FRESH: (&str, &str) = ("cache-control", "max-age=600");

/// An edge that trusts its clients to speak for others.
async fn trusting(origin: &Origin) -> Edge {
    let listener = "listeners:\n  - { address: '127.0.0.1:0', trusted: [127.0.0.1] }";
    let text = config(origin.address, &routes("{ caching: all, wait: 1m }"));
    Edge::with(&text.replace("listeners:\n  - address: 127.0.0.1:0", listener)).await
}

/// What a trusted peer says of the URL, or what a client may not say.
const TOLD: [&[(&str, &str)]; 3] = [
    &[],
    &[("x-forwarded-proto", "https")],
    &[("x-forwarded-proto", "https"), ("x-forwarded-host", "shop.example")],
];

#[tokio::test]
async fn an_answer_that_was_asked_for_before_a_change_is_not_kept() {
    let origin = Origin::start().await;
    for edge in [
        trusting(&origin).await,
        keeping(&origin, "{ caching: all, wait: 1m }").await,
    ] {
        for (version, client) in Visitor::both(&edge).await {
            for (at, told) in TOLD.into_iter().enumerate() {
                let case = format!("{version} {told:?}");
                let path = format!("/{at}?{}{version}", edge.address);
                let before = response("200 OK", &[FRESH], b"before");
                origin.on(&path, [Step::Gate("before"), Step::Send(before)]);
                let get = || {
                    let (client, path) = (client.clone(), path.clone());
                    tokio::spawn(async move { client.get(&path, told).await.body })
                };
                let first = get();
                origin.request(&path).await;
                origin.serve_ok(&path, &[FRESH], b"after");
                assert_eq!(client.send(Method::POST, &path, told).await.status, 200, "{case}");
                // One that comes now waits for the first, and is not given what that gets.
                let second = get();
                origin.open("before");
                assert_eq!(within("an answer", first).await.expect("no panic"), b"before", "{case}");
                assert_eq!(within("an answer", second).await.expect("no panic"), b"after", "{case}");
                assert_eq!(client.get(&path, told).await.body, b"after", "{case}");
                let count = origin.count(&path);
                assert_eq!(client.get(&path, told).await.body, b"after", "{case}");
                assert_eq!(origin.count(&path), count, "{case}: what came after is kept");
            }
        }
    }
}

#[tokio::test]
async fn a_change_that_fails_and_a_safe_method_end_nothing() {
    let origin = Origin::start().await;
    let edge = keeping(&origin, "all").await;
    for (version, client) in Visitor::both(&edge).await {
        for (at, (method, status, is_ended)) in [
            (Method::POST, "200 OK", true),
            (Method::PUT, "204 No Content", true),
            (Method::DELETE, "303 See Other", true),
            (Method::POST, "400 Bad Request", false),
            (Method::POST, "500 Internal Server Error", false),
            (Method::OPTIONS, "200 OK", false),
        ]
        .into_iter()
        .enumerate()
        {
            let path = format!("/{at}?{version}");
            origin.serve_ok(&path, &[FRESH], b"old");
            client.get(&path, &[]).await;
            origin.on(&path, [Step::Send(response(status, &[], b""))]);
            client.send(method.clone(), &path, &[]).await;
            origin.serve_ok(&path, &[FRESH], b"new");
            let expected: &[u8] = if is_ended { b"new" } else { b"old" };
            assert_eq!(
                client.get(&path, &[]).await.body,
                expected,
                "{version} {method} {status}"
            );
        }
    }
}

#[tokio::test]
async fn what_the_answer_to_a_change_names_is_asked_for_again_if_it_is_of_the_same_origin() {
    let origin = Origin::start().await;
    let edge = trusting(&origin).await;
    let own = |scheme: &str| format!("{scheme}://{}", edge.address);
    let told: &[(&str, &str)] = &[("x-forwarded-proto", "https")];
    let cases = [
        (&[][..], String::new(), true),
        (&[], own("http"), true),
        (&[], own("https"), false),
        (&[], "http://evil.example".to_owned(), false),
        (&[], "//evil.example".to_owned(), false),
        (told, String::new(), true),
        (told, own("https"), true),
        (told, own("http"), false),
    ];
    for (version, client) in Visitor::both(&edge).await {
        for (at, (told, prefix, is_ended)) in cases.iter().enumerate() {
            for field in ["location", "content-location"] {
                let path = format!("/{at}?{version}{field}");
                let changed = format!("/changed{path}");
                origin.serve_ok(&path, &[FRESH], b"old");
                client.get(&path, told).await;
                let named = format!("{prefix}{path}");
                origin.on(&changed, [Step::Send(response("201 Created", &[(field, &named)], b""))]);
                client.send(Method::POST, &changed, told).await;
                origin.serve_ok(&path, &[FRESH], b"new");
                let expected: &[u8] = if *is_ended { b"new" } else { b"old" };
                let got = client.get(&path, told).await.body;
                assert_eq!(got, expected, "{version} {told:?} {field}: {named}");
            }
        }
    }
}
