//! Chromium and Firefox with the hints of frameworks: each hinted asset comes early and once, and no page is slower than
//! with `push: off`.
//!
//! `rows` has the `Link` fields of frameworks, `spellings` links in other words, `policies` Content-Security-Policies,
//! `reuse` assets that may be used again or not, `early` the 103s of origins. `site` serves them over TLS; `pages` is the browser.

mod early;
mod measure;
mod pages;
mod policies;
mod reuse;
mod rows;
mod site;
mod spellings;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use self::{
    measure::Measured,
    pages::{Kind, Pages},
    rows::{ROWS, Row},
    site::{Asset, Sites, Spec, THINK, Zone},
    spellings::SPELLINGS,
};

/// The page of a row, and elements that load what it hints.
fn spec(number: usize, row: &Row) -> Spec {
    let mut head = row.head.to_owned();
    let mut assets: Vec<Asset> = row.others.iter().map(|target| Asset::of_other(target)).collect();
    for hint in row.hints {
        let (element, asset) = loading(hint);
        head.push_str(&element);
        assets.extend(asset);
    }
    Spec {
        number,
        fields: row.link.iter().map(|line| ("link", (*line).to_owned())).collect(),
        early: Vec::new(),
        head,
        assets,
    }
}

/// The element that loads what a hint names, and the asset; a connection has neither.
fn loading(hint: &str) -> (String, Option<Asset>) {
    let (target, rest) = hint[1..].split_once('>').expect("a target");
    let parameter = |name: &str| {
        let mut parameters = rest.split("; ").filter_map(|parameter| parameter.split_once('='));
        parameters
            .find(|(own, _)| *own == name)
            .map(|(_, value)| value.trim_matches('"'))
    };
    let mut attributes = String::new();
    if rest.split("; ").any(|parameter| parameter == "crossorigin") {
        attributes.push_str(" crossorigin");
    }
    for name in ["crossorigin", "integrity", "fetchpriority"] {
        if let Some(value) = parameter(name) {
            attributes.push_str(&format!(" {name}=\"{value}\""));
        }
    }
    let url = target.replace('&', "&amp;");
    let (element, content_type) = match (parameter("rel"), parameter("as")) {
        (Some("preconnect"), _) => return (String::new(), None),
        (Some("modulepreload"), _) => (
            format!("<script type=module src=\"{url}\"{attributes}></script>"),
            "text/javascript",
        ),
        (_, Some("style")) => (format!("<link rel=stylesheet href=\"{url}\"{attributes}>"), "text/css"),
        (_, Some("script")) => (
            format!("<script src=\"{url}\"{attributes}></script>"),
            "text/javascript",
        ),
        (_, Some("font")) => (
            format!("<style>@font-face {{ font-family: a; src: url(\"{target}\") }} h1 {{ font-family: a }}</style>"),
            "font/woff2",
        ),
        (_, Some("image")) => (format!("<img src=\"{url}\"{attributes}>"), "image/svg+xml"),
        (_, Some("fetch")) => (
            format!("<script>globalThis.fetched = fetch(\"{target}\").then((it) => it.text())</script>"),
            "application/json",
        ),
        other => panic!("{hint}: {other:?}"),
    };
    (element, Some(Asset::new(target, content_type)))
}

impl Asset {
    fn new(target: &str, content_type: &'static str) -> Self {
        Self {
            target: target.to_owned(),
            content_type,
            fields: vec![("cache-control", "max-age=60")],
        }
    }

    /// An asset that is not hinted.
    fn of_other(target: &str) -> Self {
        let is_image = target.contains("image") || target.ends_with(".jpg");
        Self::new(target, if is_image { "image/svg+xml" } else { "text/css" })
    }
}

/// What linkpush's own two clients get: nothing at the first visit, the row's hints at the second, its pushes then.
async fn warm(sites: &Sites, spec: &Spec, row: &Row) -> Result<(), String> {
    let first = sites.navigate(spec, Zone::On).await;
    let second = sites.navigate(spec, Zone::On).await;
    let on = |texts: &[&str]| -> Vec<String> { texts.iter().map(|text| spec.put(Zone::On, text)).collect() };
    let expected: Vec<Vec<String>> = match row.hints {
        [] => vec![],
        hints => vec![on(hints)],
    };
    let what = format!("{}: {:?}", row.application, row.link);
    if !first.hints().is_empty() {
        return Err(format!("{what}: hinted before anything is known: {:?}", first.hints()));
    }
    if second.hints() != expected {
        return Err(format!("{what}: hinted {:?}", second.hints()));
    }
    let answered: Vec<_> = second.answer.headers.get_all("link").iter().collect();
    if !answered.iter().copied().eq(on(row.link).iter()) {
        return Err(format!("{what}: the field itself has changed: {answered:?}"));
    }
    let pushed = sites.fetch(spec).await;
    if pushed.promised() != row.pushes {
        return Err(format!("{what}: pushed {:?}", pushed.promised()));
    }
    let line = sites
        .edge
        .log_line(&[&format!("{} 200", spec.path()), "learned="])
        .await;
    let skips = line.split("skips=").nth(1).and_then(|rest| rest.split(' ').next());
    let reasons = skips.into_iter().flat_map(|skips| skips.split(','));
    let reasons = reasons.filter_map(|reason| Some(reason.split_once(':')?.0));
    let early: Vec<&str> = reasons
        .filter(|reason| !matches!(*reason, "too_late_to_hint" | "duplicate"))
        .collect();
    if early != row.skips {
        return Err(format!("{what}: skipped as {early:?}"));
    }
    Ok(())
}

/// All rows that are to be tried, with their pages.
fn all() -> Vec<(Spec, &'static Row)> {
    let rows = ROWS.iter().chain(SPELLINGS).enumerate();
    rows.map(|(number, row)| (spec(number, row), row)).collect()
}

#[tokio::test]
async fn each_framework_gets_the_hints_and_pushes_of_its_row() {
    let sites = Sites::start().await;
    let mut problems = Vec::new();
    for (spec, row) in all() {
        sites.serve(&spec, Duration::ZERO);
        problems.extend(warm(&sites, &spec, row).await.err());
    }
    fail(&problems);
}

/// Every row in one browser.
async fn browse(kind: Kind) {
    let sites = Arc::new(Sites::start().await);
    let pages = Arc::new(Pages::start(kind, &sites.certificate(), sites.address()));
    // No browser sees the links of the others.
    let rows = all()
        .into_iter()
        .filter(|(_, row)| row.application != spellings::SKIPPED);
    let rows = rows.map(|(spec, row)| {
        let (sites, pages) = (Arc::clone(&sites), Arc::clone(&pages));
        tokio::spawn(async move {
            sites.serve(&spec, Duration::ZERO);
            warm(&sites, &spec, row).await?;
            sites.serve(&spec, THINK);
            let hinted: BTreeSet<String> = row
                .hints
                .iter()
                .filter_map(|hint| loading(hint).1)
                .map(|asset| spec.locate(Zone::On, &asset.target))
                .collect();
            let measured = Measured::of(&pages, &sites, &spec, Zone::On, &hinted).await;
            let judged = measured.judge(&hinted);
            judged.map_err(|problem| format!("{kind:?}, {}: {:?}: {problem}", row.application, row.link))
        })
    });
    let mut problems = Vec::new();
    for row in rows.collect::<Vec<_>>() {
        problems.extend(row.await.expect("no panic").err());
    }
    fail(&problems);
}

/// Fails with all problems at once.
fn fail(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[tokio::test]
async fn chromium_uses_each_hint_once_and_no_page_is_slower() {
    browse(Kind::Chromium).await;
}

#[tokio::test]
async fn firefox_uses_each_hint_once_and_no_page_is_slower() {
    browse(Kind::Firefox).await;
}
