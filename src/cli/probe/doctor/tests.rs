//! Examines pages, each with its assets.

#![allow(clippy::too_many_lines, reason = "a table with a page a row")]

use std::time::Duration;

use http::{HeaderName, StatusCode};

use super::*;
use crate::cli::visit::{EarlyHints, Initiator, VisitOutcome, VisitedExchange};

type Fields = &'static [(&'static str, &'static str)];

fn head(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let fields = fields
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    fields.collect()
}

fn exchange(path: &str, status: u16, fields: Fields, body: &str) -> VisitedExchange {
    VisitedExchange {
        stream: 1,
        initiator: Initiator::Client,
        target: path.to_owned(),
        url: Url::parse(&format!("https://shop.example{path}")).ok(),
        start: Duration::ZERO,
        outcome: VisitOutcome::Complete(VisitedResponse {
            head_at: Duration::ZERO,
            end: Duration::ZERO,
            status: StatusCode::from_u16(status).expect("a status"),
            headers: head(fields),
            size: 0,
            body: body.as_bytes().to_vec(),
        }),
    }
}

fn found(page: Fields, html: &str, asset: (u16, Fields), early: &[&'static str]) -> Vec<&'static str> {
    let fields: Fields = Box::leak([page, &[("content-type", "text/html")]].concat().into_boxed_slice());
    let url = Url::parse("https://shop.example/").expect("a URL");
    let visited = Visited {
        exchanges: vec![
            exchange("/", 200, fields, html),
            exchange("/a.css", asset.0, asset.1, ""),
        ],
        hints: early
            .iter()
            .map(|link| EarlyHints {
                at: Duration::ZERO,
                headers: head(&[("link", link)]),
                targets: Vec::new(),
            })
            .collect(),
        ..Visited::default()
    };
    let found = examine(&url, &visited);
    found.iter().map(|diagnosis| diagnosis.symptom.label()).collect()
}

const STYLE: &str = "</a.css>; rel=preload; as=style";
const HTML: &str = "<link rel=stylesheet href=/a.css>";
const FRESH: Fields = &[("cache-control", "max-age=60")];

/// A page's fields, its HTML, its asset, the links of its 103s, and the symptoms.
type Case = (
    Fields,
    &'static str,
    (u16, Fields),
    &'static [&'static str],
    &'static [&'static str],
);

#[test]
fn each_symptom_is_found_and_no_other() {
    let good = (200, FRESH);
    let link = |value: &'static str| -> Fields { Box::leak(vec![("link", value)].into_boxed_slice()) };
    let table: Vec<Case> = vec![
        (link(STYLE), HTML, good, &[], &[]),
        (link(STYLE), HTML, good, &[STYLE], &[]),
        (link(STYLE), HTML, (404, &[]), &[], &["dead_link"]),
        (link(STYLE), HTML, (301, &[("location", "/b.css")]), &[], &["dead_link"]),
        (
            link(STYLE),
            HTML,
            (200, &[("cache-control", "no-store")]),
            &[],
            &["not_reusable"],
        ),
        (link(STYLE), HTML, (200, &[]), &[], &["not_reusable"]),
        (
            link(STYLE),
            HTML,
            (200, &[("cache-control", "max-age=9, private")]),
            &[],
            &["not_pushable"],
        ),
        (
            link(STYLE),
            HTML,
            (200, &[("cache-control", "max-age=9"), ("set-cookie", "a=b")]),
            &[],
            &["not_pushable"],
        ),
        (
            &[("link", STYLE), ("content-security-policy", "style-src 'nonce-x'")],
            HTML,
            good,
            &[],
            &["csp_nonce"],
        ),
        (
            &[
                ("link", STYLE),
                ("content-security-policy", "style-src 'self' 'nonce-x'"),
            ],
            HTML,
            good,
            &[],
            &[],
        ),
        (
            link(STYLE),
            "<link rel=stylesheet href=/a.css integrity=sha256-AAAA>",
            good,
            &[],
            &["integrity_missing"],
        ),
        (
            link("</a.css>; rel=preload; as=style; integrity=\"sha256-AAAA\""),
            "<link rel=stylesheet href=/a.css integrity=sha256-AAAA>",
            good,
            &[],
            &[],
        ),
        (
            link("</f.woff2>; rel=preload; as=font"),
            HTML,
            good,
            &[],
            &["font_without_crossorigin"],
        ),
        (
            link("</f.woff2>; rel=preload; as=font; crossorigin"),
            HTML,
            good,
            &[],
            &[],
        ),
        (
            link(STYLE),
            "<link rel=stylesheet href=/a.css crossorigin>",
            good,
            &[],
            &["crossorigin_differs"],
        ),
        (
            link("</a.css>; rel=preload; as=style; nopush"),
            HTML,
            good,
            &[],
            &["nopush"],
        ),
        (link(STYLE), "<p>none", good, &[], &["unused"]),
        (link("</i.png>; rel=preload; as=image"), "<p>none", good, &[], &[]),
        (
            link(STYLE),
            HTML,
            good,
            &["</b.css>; rel=preload; as=style"],
            &["early_says_less"],
        ),
        (
            &[("link", "<https://cdn.example>; rel=preconnect")],
            HTML,
            good,
            &[STYLE],
            &[],
        ),
    ];
    for (page, html, asset, early, expected) in table {
        assert_eq!(
            found(page, html, asset, early),
            expected,
            "{page:?} {html} {asset:?} {early:?}"
        );
    }
}

#[test]
fn many_links_are_too_many() {
    let links: Vec<_> = (0..17).map(|n| format!("</{n}.png>; rel=preload; as=image")).collect();
    let links: &'static str = Box::leak(links.join(", ").into_boxed_str());
    let page: Fields = Box::leak(vec![("link", links)].into_boxed_slice());
    assert_eq!(found(page, HTML, (200, FRESH), &[]), ["too_many"]);
}

#[test]
fn the_labels_differ() {
    let mut labels: Vec<_> = Symptom::ALL.iter().map(|symptom| symptom.label()).collect();
    labels.sort_unstable();
    labels.dedup();
    assert_eq!(labels.len(), Symptom::ALL.len());
}
