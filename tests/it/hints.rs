//! A hint is written from what is understood of a link, whatever framework wrote it, and given only where it does some good.

use std::time::Duration;

use crate::support::{
    client::{Client, Page},
    edge::{Edge, config},
    origin::{Origin, Step, early_hints, response},
};

const LEARNING: &str = "routes: [{ name: pages, upstream: app, push: auto, learn: on }]";
const STYLE: &str = "</a.css>; rel=preload; as=style";

async fn edge(origin: &Origin) -> Edge {
    Edge::with(&config(origin.address, LEARNING)).await
}

/// Navigates on a connection of its own, as a browser does.
async fn navigate(edge: &Edge, path: &str, fields: &[(&str, &str)]) -> Page {
    let client = Client::without_push(edge.address).await;
    let request = [
        &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
        fields,
    ]
    .concat();
    client.fetch(client.get_request(path, &request)).await
}

#[tokio::test]
async fn two_spellings_and_two_nonces_are_one_link() {
    let origin = Origin::start().await;
    let edge = edge(&origin).await;
    for nonce in 0..5 {
        let link = if nonce % 2 == 0 {
            format!("</a.js>; rel=preload; as=script; nonce=\"n{nonce}\"")
        } else {
            format!("</a.js>;as=SCRIPT;nonce={nonce};rel=\"preload\";nopush")
        };
        origin.serve_ok("/", &[("link", &link)], b"page");
        let page = navigate(&edge, "/", &[]).await;
        if nonce > 0 {
            assert_eq!(page.hints(), [["</a.js>; rel=preload; as=script"]]);
            edge.log_line(&["/ 200", "learned=1 missed=0"]).await;
        }
    }
}

#[tokio::test]
async fn only_navigations_to_a_document_are_hinted() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[("link", STYLE), ("content-type", "text/html")], b"page");
    let edge = edge(&origin).await;
    navigate(&edge, "/", &[]).await;
    for (fields, is_hinted) in [
        (&[("sec-fetch-mode", "navigate")][..], true),
        (&[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")], true),
        (&[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")], false),
        (&[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "frame")], false),
        (&[("sec-fetch-mode", "navigate"), ("sec-purpose", "prefetch")], false),
        (
            &[
                ("sec-fetch-mode", "navigate"),
                ("service-worker-navigation-preload", "true"),
            ],
            false,
        ),
        (&[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")], false),
        (&[], false),
    ] {
        let client = Client::without_push(edge.address).await;
        let page = client.fetch(client.get_request("/", fields)).await;
        assert_eq!(!page.hints().is_empty(), is_hinted, "{fields:?}");
    }
}

#[tokio::test]
async fn what_a_policy_allows_by_nonce_alone_is_not_hinted() {
    let origin = Origin::start().await;
    let edge = edge(&origin).await;
    let links = "</a.css>; rel=preload; as=style, </b.js>; rel=preload; as=script; nonce=x";
    let (style, both) = (&[STYLE][..], &[STYLE, "</b.js>; rel=preload; as=script"][..]);
    for (at, (policies, expected)) in [
        (&["script-src 'nonce-{}'"][..], style),
        (&["script-src 'nonce-{}' 'self'"], both),
        (&["script-src 'nonce-{}' 'strict-dynamic'"], both),
        (&["default-src 'self'", "script-src 'nonce-{}'"], style),
        (&["default-src 'self'"], both),
        (&[], both),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/{at}");
        for visit in 0..3 {
            let policies: Vec<String> = policies
                .iter()
                .map(|policy| policy.replace("{}", &visit.to_string()))
                .collect();
            let fields = policies
                .iter()
                .map(|policy| ("content-security-policy", policy.as_str()));
            let fields: Vec<_> = fields.chain([("link", links)]).collect();
            origin.serve_ok(&path, &fields, b"page");
            let page = navigate(&edge, &path, &[]).await;
            if visit > 0 {
                assert_eq!(page.hints(), [expected], "{policies:?}");
            }
        }
        if expected.len() == 1 {
            edge.log_line(&[&format!("{path} 200"), "csp:1"]).await;
        }
    }
}

#[tokio::test]
async fn an_asset_that_cannot_be_used_again_is_hinted_once_at_most() {
    let origin = Origin::start().await;
    let edge = edge(&origin).await;
    for (at, (fields, is_hinted)) in [
        (&[("cache-control", "no-store")][..], false),
        (&[("cache-control", "no-cache"), ("etag", "\"1\"")], false),
        (&[("cache-control", "max-age=0"), ("etag", "\"1\"")], false),
        (&[], false),
        (&[("etag", "\"1\"")], false),
        (&[("pragma", "no-cache"), ("cache-control", "max-age=60")], false),
        (&[("cache-control", "max-age=60"), ("vary", "*")], false),
        (&[("last-modified", "Wed, 25 Nov 2026 07:00:00 GMT")], true),
        (&[("cache-control", "max-age=60")], true),
        (&[("cache-control", "max-age=60"), ("vary", "cookie")], true),
    ]
    .into_iter()
    .enumerate()
    {
        let (page, asset) = (format!("/{at}"), format!("/{at}.css"));
        let link = format!("<{asset}>; rel=preload; as=style");
        origin.serve_ok(&page, &[("link", &link)], b"page");
        origin.serve_ok(&asset, fields, b"style");
        navigate(&edge, &page, &[]).await;
        // The hint brings its asset, on the connection of the document.
        let client = Client::without_push(edge.address).await;
        assert_eq!(client.navigate(&page).await.hints(), [[&*link]], "{fields:?}");
        client.get(&asset).await;
        let third = navigate(&edge, &page, &[]).await;
        assert_eq!(!third.hints().is_empty(), is_hinted, "{fields:?}");
        if is_hinted {
            continue;
        }
        edge.log_line(&[&format!("{page} 200"), "not_reusable:1"]).await;
        // The application is mended: the next client that asks for the asset tells.
        origin.asset(&asset, b"style");
        let client = Client::without_push(edge.address).await;
        client.get(&asset).await;
    }
}

#[tokio::test]
async fn links_that_come_one_right_after_the_other_leave_in_one_103() {
    let origin = Origin::start().await;
    let many: Vec<u8> = [
        early_hints(&[STYLE]),
        early_hints(&["</b.js>; rel=preload; as=script; nopush"]),
        early_hints(&["</c.woff2>; rel=preload; as=font; crossorigin"]),
    ]
    .concat();
    origin.on(
        "/",
        [
            Step::Send(many),
            Step::Gate("page"),
            Step::Send(response("200 OK", &[], b"page")),
        ],
    );
    let edge = edge(&origin).await;
    let client = Client::without_push(edge.address).await;
    let visit = tokio::spawn({
        let client = client.clone();
        async move { client.navigate("/").await }
    });
    origin.request("/").await;
    origin.open("page");
    let page = visit.await.expect("no panic");
    let expected = [
        STYLE,
        "</b.js>; rel=preload; as=script",
        "</c.woff2>; rel=preload; as=font; crossorigin",
    ];
    assert_eq!(page.hints(), [expected]);
}

/// Returns the hints of a page whose origin sends these 103s in one write, and the page later.
async fn hints_of(heads: &[Vec<u8>]) -> Vec<Vec<String>> {
    let origin = Origin::start().await;
    origin.on(
        "/",
        [
            Step::Send(heads.concat()),
            Step::Think(Duration::from_millis(300)),
            Step::Send(response("200 OK", &[], b"page")),
        ],
    );
    let edge = edge(&origin).await;
    let page = navigate(&edge, "/", &[]).await;
    for (at, _) in &page.informational {
        assert!(page.answer.head_at - *at > Duration::from_millis(250), "none waits");
    }
    page.hints()
}

#[tokio::test]
async fn all_links_that_have_come_leave_in_the_first_103() {
    for count in [1, 2, 4, 5, 8, 12, 20] {
        let links: Vec<String> = (0..count)
            .map(|n| format!("</{n}.js>; rel=preload; as=script"))
            .collect();
        let heads: Vec<Vec<u8>> = links.iter().map(|link| early_hints(&[link])).collect();
        assert_eq!(hints_of(&heads).await, [links], "{count}");
    }
}

#[tokio::test]
async fn a_103_that_says_nothing_new_keeps_no_two_others_apart() {
    let heads = [
        early_hints(&[STYLE]),
        early_hints(&["<http://edge.test/a.css>; rel=next"]),
        early_hints(&["<./a.css>; as=style; rel=preload"]),
        early_hints(&[]),
        early_hints(&["</b.js>; rel=preload; as=script"]),
        early_hints(&["<x/../b.js>; rel=preload; as=script; nopush"]),
    ];
    assert_eq!(hints_of(&heads).await, [[STYLE, "</b.js>; rel=preload; as=script"]]);
}

#[tokio::test]
async fn links_without_a_policy_are_not_joined_with_links_that_have_one() {
    const SCRIPT: &str = "</a.js>; rel=preload; as=script";
    let with_policy =
        format!("HTTP/1.1 103 Early Hints\r\nLink: {STYLE}\r\nContent-Security-Policy: script-src 'none'\r\n\r\n");
    let with_policy = with_policy.into_bytes();
    let without = early_hints(&[SCRIPT]);
    assert_eq!(
        hints_of(&[without.clone(), with_policy.clone()]).await,
        [[SCRIPT], [STYLE]]
    );
    assert_eq!(hints_of(&[with_policy, without]).await, [[STYLE], [SCRIPT]]);
}

#[tokio::test]
async fn the_policies_of_an_origins_103_go_with_its_links() {
    let origin = Origin::start().await;
    let early = format!(
        "HTTP/1.1 103 Early Hints\r\nLink: {STYLE}\r\nContent-Security-Policy: style-src 'self'\r\n\
         Referrer-Policy: no-referrer\r\nSet-Cookie: a=b\r\nX-Other: 1\r\n\r\n"
    );
    let page = response("200 OK", &[], b"page");
    origin.on("/", [Step::Send([early.as_bytes(), &page].concat())]);
    let edge = edge(&origin).await;
    let page = navigate(&edge, "/", &[]).await;
    let (_, early) = page.informational.first().expect("a 103");
    let mut names: Vec<&str> = early.headers().keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-security-policy", "link", "referrer-policy"]);
}

#[tokio::test]
async fn one_visitors_response_takes_no_hint_from_the_others() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[("link", STYLE)], b"page");
    origin.serve_ok("/a.css", &[("cache-control", "no-store")], b"style");
    let edge = edge(&origin).await;
    navigate(&edge, "/", &[]).await;
    let visitor = Client::without_push(edge.address).await;
    for fields in [("cookie", "session=1"), ("authorization", "Basic x")] {
        for _ in 0..5 {
            let request = visitor.get_request("/a.css", &[("sec-fetch-dest", "style"), fields]);
            visitor.fetch(request).await;
        }
        assert_eq!(navigate(&edge, "/", &[]).await.hints(), [[STYLE]], "{fields:?}");
    }
    visitor
        .fetch(visitor.get_request("/a.css", &[("sec-fetch-dest", "style")]))
        .await;
    assert!(
        navigate(&edge, "/", &[]).await.hints().is_empty(),
        "nobody in particular"
    );
}

#[tokio::test]
async fn a_103_with_too_long_a_policy_is_none() {
    let origin = Origin::start().await;
    let page = response("200 OK", &[], b"page");
    let edge = edge(&origin).await;
    for (length, is_hinted) in [(100, true), (60_000, false)] {
        let early = format!(
            "HTTP/1.1 103 Early Hints\r\nLink: {STYLE}\r\nContent-Security-Policy: style-src 'self'{}\r\n\r\n",
            " https://a.example".repeat(length / 18)
        );
        let path = format!("/{length}");
        origin.on(&path, [Step::Send([early.as_bytes(), &page].concat())]);
        assert_eq!(
            !navigate(&edge, &path, &[]).await.hints().is_empty(),
            is_hinted,
            "{length}"
        );
    }
}
