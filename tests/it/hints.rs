//! A hint is written from what is understood of a link, whatever framework wrote it, and given only where it does some good.

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

/// The Link fields that frameworks send; the hints of a browser's second visit; what a client that takes pushes is pushed.
const FRAMEWORKS: &[(&str, &str, &[&str], &[&str])] = &[
    (
        "Symfony WebLink",
        r#"</build/main.css>; rel="preload"; as="style""#,
        &["</build/main.css>; rel=preload; as=style"],
        &["/build/main.css"],
    ),
    (
        "Symfony WebLink, nopush",
        r#"</build/app.js>; rel="preload"; as="script"; nopush; fetchpriority="high""#,
        &["</build/app.js>; rel=preload; as=script; fetchpriority=high"],
        &[],
    ),
    (
        "Symfony Mercure",
        r#"<https://shop.example/.well-known/mercure>; rel="mercure""#,
        &[],
        &[],
    ),
    (
        "Rails",
        "</assets/application-a1b2.css>; rel=preload; as=style; nopush,</assets/application-c3d4.js>; rel=preload; as=script; nopush",
        &[
            "</assets/application-a1b2.css>; rel=preload; as=style",
            "</assets/application-c3d4.js>; rel=preload; as=script",
        ],
        &[],
    ),
    (
        "Rails with integrity",
        "<https://cdn.shop.example/assets/application-c3d4.js>; rel=preload; as=script; crossorigin=anonymous; \
         integrity=sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; nopush",
        &[
            "<https://cdn.shop.example/assets/application-c3d4.js>; rel=preload; as=script; crossorigin; \
             integrity=\"sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"",
        ],
        &[],
    ),
    (
        "Rails, a font",
        "</assets/inter.woff2>; rel=preload; as=font; type=font/woff2; crossorigin=anonymous",
        &["</assets/inter.woff2>; rel=preload; as=font; crossorigin; type=\"font/woff2\""],
        &["/assets/inter.woff2"],
    ),
    (
        "Laravel with a nonce",
        r#"</build/app.css>; rel="preload"; as="style"; nonce="dGVzdA", </build/app.js>; rel="modulepreload"; as="script"; nonce="dGVzdA", </build/vendor.js>; rel="modulepreload"; nonce="dGVzdA""#,
        &[
            "</build/app.css>; rel=preload; as=style",
            "</build/app.js>; rel=modulepreload; as=script",
            "</build/vendor.js>; rel=modulepreload",
        ],
        &["/build/app.css", "/build/app.js", "/build/vendor.js"],
    ),
    (
        "Next.js",
        r#"</_next/static/media/4cf2.p.woff2>; rel=preload; as="font"; crossorigin=""; type="font/woff2", </_next/static/css/54ed8.css>; rel=preload; as="style""#,
        &[
            "</_next/static/media/4cf2.p.woff2>; rel=preload; as=font; crossorigin; type=\"font/woff2\"",
            "</_next/static/css/54ed8.css>; rel=preload; as=style",
        ],
        &["/_next/static/media/4cf2.p.woff2", "/_next/static/css/54ed8.css"],
    ),
    (
        "Next.js, a responsive image",
        r#"</_next/image?url=%2Fhero.jpg&w=1200>; rel=preload; as="image"; imagesrcset="/_next/image?w=640 640w"; imagesizes="100vw""#,
        &[],
        &["/_next/image?url=%2Fhero.jpg&w=1200"],
    ),
    (
        "SvelteKit",
        r#"<./_app/immutable/assets/0.ff6c1858.css>; rel="preload"; as="style"; nopush, <./_app/immutable/entry/start.js>; rel="modulepreload"; nopush"#,
        &[
            "<./_app/immutable/assets/0.ff6c1858.css>; rel=preload; as=style",
            "<./_app/immutable/entry/start.js>; rel=modulepreload",
        ],
        &[],
    ),
    (
        "Nuxt",
        r#"</_nuxt/entry.js>; rel="modulepreload"; as="script"; crossorigin, </_nuxt/entry.css>; rel="preload"; as="style"; crossorigin, </_nuxt/error.js>; rel="prefetch"; as="script"; crossorigin"#,
        &[
            "</_nuxt/entry.js>; rel=modulepreload; as=script; crossorigin",
            "</_nuxt/entry.css>; rel=preload; as=style; crossorigin",
        ],
        &["/_nuxt/entry.js", "/_nuxt/entry.css"],
    ),
    (
        "React Router",
        "</build/root.css>;rel=preload;as=style,</build/entry.client.js>;rel=modulepreload",
        &[
            "</build/root.css>; rel=preload; as=style",
            "</build/entry.client.js>; rel=modulepreload",
        ],
        &["/build/root.css", "/build/entry.client.js"],
    ),
    (
        "Shopify",
        r#"<https://cdn.shopify.com>; rel="preconnect", <https://cdn.shopify.com>; rel="preconnect"; crossorigin, </cdn/base.css?v=1>; as="style"; rel="preload""#,
        &[
            "<https://cdn.shopify.com>; rel=preconnect",
            "<https://cdn.shopify.com>; rel=preconnect; crossorigin",
            "</cdn/base.css?v=1>; rel=preload; as=style",
        ],
        &["/cdn/base.css?v=1"],
    ),
    (
        "for some screens",
        "</print.css>; rel=preload; as=style; media=print, </all.css>; rel=preload; as=style; media=all",
        &["</all.css>; rel=preload; as=style"],
        &["/print.css", "/all.css"],
    ),
    (
        "two relations, an unknown type",
        "</a.css>; rel=\"preload stylesheet\"; as=style, </b.css>; rel=preload; as=style; type=text/less, </c.vtt>; rel=preload; as=track",
        &["</a.css>; rel=preload; as=style"],
        &["/a.css", "/b.css", "/c.vtt"],
    ),
    (
        "a compression dictionary",
        "</dict.dat>; rel=\"compression-dictionary\", </next>; rel=prefetch; as=document",
        &[],
        &[],
    ),
];

#[tokio::test]
async fn each_framework_has_the_hints_that_browsers_use() {
    let origin = Origin::start().await;
    origin.default_ok(b"asset");
    let edge = edge(&origin).await;
    for (at, (framework, link, hints, pushes)) in FRAMEWORKS.iter().enumerate() {
        let path = format!("/{at}");
        origin.serve_ok(&path, &[("link", link), ("content-type", "text/html")], b"page");
        let first = navigate(&edge, &path, &[]).await;
        assert!(first.hints().is_empty(), "{framework}: nothing is known yet");
        assert_eq!(
            first.answer.headers["link"], *link,
            "{framework}: the field goes through as it is"
        );
        let second = navigate(&edge, &path, &[]).await;
        let expected: Vec<Vec<&str>> = if hints.is_empty() { vec![] } else { vec![hints.to_vec()] };
        assert_eq!(second.hints(), expected, "{framework}");
        let pushed = Client::connect(edge.address).await.get(&path).await;
        assert_eq!(pushed.promised(), *pushes, "{framework}");
    }
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
        (&[("etag", "\"1\"")], true),
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
