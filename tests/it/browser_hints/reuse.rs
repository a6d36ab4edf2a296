//! Chromium fetches each asset once a visit, however it may be stored: at the first visit, when nothing is known, and at
//! later ones, with what was learned of the page and of the asset.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    fail,
    pages::{Kind, Pages},
    site::{Asset, Sites, Spec, THINK, Zone, location},
};

/// Fields of a page's assets by which they may be stored, and the assets that are hinted then.
type Case = (&'static [(&'static str, &'static str)], &'static [&'static str]);

const ALL: &[&str] = &[
    "/a.css",
    "/b.js",
    "/c.mjs",
    "/d.svg",
    "/e.woff2",
    "https://cdn.example/f.js",
];
const NONE: &[&str] = &[];
/// Without assets that the page asks its own host for in CORS mode: modules and fonts.
const NO_CORS: &[&str] = &["/a.css", "/b.js", "/d.svg", "https://cdn.example/f.js"];

const ETAG: (&str, &str) = ("etag", "\"1\"");
const MODIFIED: (&str, &str) = ("last-modified", "Wed, 25 Nov 2026 07:00:00 GMT");
const YEAR: (&str, &str) = ("cache-control", "max-age=31536000");

const CASES: &[Case] = &[
    (&[("cache-control", "no-store")], NONE),
    (&[("cache-control", "no-store, max-age=60"), ETAG], NONE),
    (&[("cache-control", "no-cache"), ETAG], NONE),
    (&[("cache-control", "public, no-cache, max-age=60"), MODIFIED], NONE),
    (&[("cache-control", "max-age=0"), ETAG], NONE),
    (&[("cache-control", "max-age=0, must-revalidate"), MODIFIED], NONE),
    (&[("expires", "0"), ETAG], NONE),
    (&[("pragma", "no-cache"), ETAG], NONE),
    (&[("age", "100"), ("cache-control", "max-age=60"), ETAG], NONE),
    (&[], NONE),
    (&[("cache-control", "must-revalidate"), ETAG], NONE),
    (&[("cache-control", "must-revalidate"), MODIFIED], NONE),
    (&[ETAG], NONE),
    (&[MODIFIED], ALL),
    (&[YEAR], ALL),
    (&[("cache-control", "private, max-age=60"), ETAG], ALL),
    (&[("cache-control", "public, max-age=60, immutable")], ALL),
    (&[("cache-control", "max-age=60, must-revalidate"), ETAG], ALL),
    (&[("cache-control", "max-age=60, stale-while-revalidate=60"), ETAG], ALL),
    (&[("expires", "Sat, 26 Nov 2039 07:00:00 GMT")], ALL),
    (&[YEAR, ("vary", "accept-encoding")], ALL),
    (&[YEAR, ("vary", "accept-encoding, cookie")], ALL),
    (&[YEAR, ("vary", "accept")], ALL),
    (&[YEAR, ("vary", "origin")], NO_CORS),
    (&[YEAR, ("vary", "referer")], ALL),
    (&[YEAR, ("vary", "sec-fetch-dest, sec-fetch-mode, sec-fetch-site")], ALL),
    (&[YEAR, ("vary", "*")], NONE),
    (&[MODIFIED, ("vary", "accept-encoding")], ALL),
];

fn page(number: usize, fields: &[(&'static str, &'static str)]) -> Spec {
    let links = "</a.css>; rel=preload; as=style, </b.js>; rel=preload; as=script, </c.mjs>; rel=modulepreload, \
        </d.svg>; rel=preload; as=image, </e.woff2>; rel=preload; as=font; crossorigin, \
        <https://cdn.example/f.js>; rel=preload; as=script; crossorigin";
    let head = "<link rel=stylesheet href=/a.css><script src=/b.js></script><script type=module src=/c.mjs></script>\
        <img src=/d.svg><script src='https://cdn.example/f.js' crossorigin></script><style>@font-face { font-family: a; src: url(/e.woff2) } h1 { font-family: a }</style>";
    let assets = [
        ("/a.css", "text/css"),
        ("/b.js", "text/javascript"),
        ("/c.mjs", "text/javascript"),
        ("/d.svg", "image/svg+xml"),
        ("/e.woff2", "font/woff2"),
        ("https://cdn.example/f.js", "text/javascript"),
    ];
    let assets = assets.map(|(target, content_type)| Asset {
        target: target.to_owned(),
        content_type,
        fields: fields.to_vec(),
    });
    Spec {
        number,
        fields: vec![("link", links.to_owned())],
        early: Vec::new(),
        head: head.to_owned(),
        assets: assets.to_vec(),
    }
}

/// Visits with empty profiles: the first teaches, the second is hinted, and the third knows what became of that.
const VISITS: usize = 3;

async fn judge(spec: &Spec, hinted_then: &[&str], pages: &Pages, sites: &Sites) -> Result<(), String> {
    sites.serve(spec, THINK);
    let document = format!("{}{}", spec.host(Zone::On), spec.path());
    for visit in 1..=VISITS {
        let before = sites.seen(spec, Zone::On).len();
        pages.load(&spec.url(Zone::On)).await;
        let mut fetched: BTreeMap<String, usize> = BTreeMap::new();
        for seen in sites.seen(spec, Zone::On).split_off(before) {
            *fetched.entry(location(&seen)).or_default() += 1;
        }
        fetched.remove(&document);
        let all: BTreeSet<String> = spec
            .assets
            .iter()
            .map(|asset| spec.locate(Zone::On, &asset.target))
            .collect();
        if fetched.keys().cloned().collect::<BTreeSet<_>>() != all || fetched.values().any(|count| *count != 1) {
            return Err(format!("visit {visit}: {fetched:?}"));
        }
    }
    let hinted = sites.navigate(spec, Zone::On).await.targets();
    let expected: Vec<String> = hinted_then.iter().map(|target| spec.put(Zone::On, target)).collect();
    if hinted != expected {
        return Err(format!("hinted {hinted:?}"));
    }
    Ok(())
}

#[tokio::test]
async fn chromium_never_fetches_an_asset_twice_however_it_may_be_stored() {
    let sites = Arc::new(Sites::start().await);
    let pages = Arc::new(Pages::start(Kind::Chromium, &sites.certificate(), sites.address()));
    let cases = CASES.iter().enumerate().map(|(number, (fields, hinted))| {
        let (sites, pages) = (Arc::clone(&sites), Arc::clone(&pages));
        tokio::spawn(async move {
            let spec = page(number, fields);
            let judged = judge(&spec, hinted, &pages, &sites).await;
            judged.map_err(|problem| format!("{fields:?}: {problem}"))
        })
    });
    let mut problems = Vec::new();
    for case in cases.collect::<Vec<_>>() {
        problems.extend(case.await.expect("no panic").err());
    }
    fail(&problems);
}
