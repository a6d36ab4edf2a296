//! Judges chains, each by a line a hop.

#![allow(clippy::too_many_lines, reason = "a table with a scene a row")]

use super::*;
use crate::cli::probe::chain::sight::PageSight;
use crate::meter::Label as _;

const LINK: &str = "</main.css>; rel=preload; as=style";

/// A hop: name, how it speaks HTTP/2, status, `Link` lines, 103s to a browser, pushed targets.
fn hop(name: &str, http2: Http2Way, status: u16, links: &[&str], early: usize, pushed: &[&str]) -> HopSight {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let page = PageSight {
        status: Some(status),
        links: texts(links),
        pushed: texts(pushed),
        ..PageSight::default()
    };
    HopSight {
        name: name.to_owned(),
        http2,
        upgrade: Some(false),
        proxy_header: None,
        browser: PageSight {
            pushed: Vec::new(),
            early: vec![texts(&[LINK]); early],
            ..page.clone()
        },
        page,
    }
}

const ALPN: Http2Way = Http2Way::Alpn;
const PRIOR: Http2Way = Http2Way::PriorKnowledge;
const NO: Http2Way = Http2Way::None;

/// A scene: its name, its hops, the findings with their hops, the exit code.
type Scene = (&'static str, Vec<HopSight>, &'static [(&'static str, &'static str)], u8);

#[test]
fn where_push_dies_and_what_is_lost_is_found() {
    let main = &["/main.css"][..];
    let link = &[LINK][..];
    let table: Vec<Scene> = vec![
        (
            "linkpush outermost",
            vec![
                hop("linkpush", ALPN, 200, link, 1, main),
                hop("varnish", PRIOR, 200, link, 0, &[]),
                hop("nginx", NO, 200, link, 0, &[]),
            ],
            &[("early_arrives", "linkpush"), ("push_arrives", "linkpush")],
            0,
        ),
        (
            "nobody pushes, Link survives",
            vec![
                hop("varnish", PRIOR, 200, link, 0, &[]),
                hop("nginx", NO, 200, link, 0, &[]),
            ],
            &[("push_dies", "varnish")],
            3,
        ),
        (
            "an old nginx pushes behind Varnish",
            vec![
                hop("public", ALPN, 200, link, 0, &[]),
                hop("varnish", PRIOR, 200, link, 0, &[]),
                hop("nginx", PRIOR, 200, link, 0, main),
            ],
            &[("push_dies", "varnish")],
            3,
        ),
        (
            "the public hop ends HTTP/2 in front of linkpush",
            vec![
                hop("alb", ALPN, 200, link, 0, &[]),
                hop("linkpush", PRIOR, 200, link, 1, main),
            ],
            &[("push_dies", "alb"), ("early_lost", "alb")],
            3,
        ),
        (
            "no HTTP/2 for clients",
            vec![hop("public", NO, 200, link, 0, &[]), hop("app", NO, 200, link, 0, &[])],
            &[("no_http2", "public"), ("push_dies", "public")],
            3,
        ),
        (
            "Link is stripped",
            vec![
                hop("public", ALPN, 200, &[], 0, &[]),
                hop("varnish", PRIOR, 200, &[], 0, &[]),
                hop("app", NO, 200, link, 0, &[]),
            ],
            &[("link_lost", "varnish"), ("push_dies", "public")],
            4,
        ),
        (
            "Link is cut",
            vec![
                hop("public", ALPN, 200, &["</main.css>; rel=prel"], 0, &[]),
                hop("app", NO, 200, link, 0, &[]),
            ],
            &[("link_cut", "public"), ("push_dies", "public")],
            4,
        ),
        (
            "Link lines are merged on the way to linkpush's clients",
            vec![
                hop(
                    "linkpush",
                    ALPN,
                    200,
                    &["</a>; rel=preload, </b>; rel=preload"],
                    0,
                    &["/a", "/b"],
                ),
                hop("app", NO, 200, &["</a>; rel=preload", "</b>; rel=preload"], 0, &[]),
            ],
            &[("link_merged", "linkpush"), ("push_arrives", "linkpush")],
            0,
        ),
        (
            "a 103 breaks the page",
            vec![
                hop("varnish", PRIOR, 503, &[], 0, &[]),
                hop("app", NO, 200, link, 1, &[]),
            ],
            &[("early_breaks_page", "varnish")],
            4,
        ),
        (
            "a hop is down",
            vec![hop("public", ALPN, 502, &[], 0, &[]), hop("app", NO, 502, &[], 0, &[])],
            &[("no_page", "public"), ("no_page", "app")],
            4,
        ),
        (
            "a redirect at the public hop",
            vec![
                hop("public", ALPN, 301, link, 0, &[]),
                hop("app", NO, 200, link, 0, &[]),
            ],
            &[("status_differs", "public"), ("push_dies", "public")],
            4,
        ),
        (
            "nothing asks for a push",
            vec![hop("public", ALPN, 200, &[], 0, &[]), hop("app", NO, 200, &[], 0, &[])],
            &[("no_link", "app")],
            3,
        ),
        (
            "h2 is offered in front of a server without it",
            vec![
                hop("hitch", Http2Way::AlpnOnly, 200, link, 0, &[]),
                hop("app", NO, 200, link, 0, &[]),
            ],
            &[("alpn_without_http2", "hitch"), ("push_dies", "hitch")],
            4,
        ),
        (
            "a browser gets the 103 of a CDN that pushes nothing",
            vec![hop("cdn", ALPN, 200, link, 1, &[]), hop("app", NO, 200, link, 1, &[])],
            &[("push_dies", "cdn"), ("early_arrives", "cdn")],
            0,
        ),
        (
            "one hop",
            vec![hop("linkpush", PRIOR, 200, link, 0, main)],
            &[("push_arrives", "linkpush")],
            0,
        ),
    ];
    for (scene, hops, expected, code) in table {
        let verdict = ChainVerdict::of(&hops);
        let found: Vec<_> = verdict
            .findings
            .iter()
            .map(|found| (found.finding.label(), found.hop.as_str()))
            .collect();
        assert_eq!(found, expected, "{scene}: {:#?}", verdict.findings);
        assert_eq!(verdict.exit_code(), code, "{scene}");
        for found in &verdict.findings {
            let is_unmended = found.remedy.is_none() && found.finding != ChainFinding::NoPage;
            let is_trouble = matches!(found.weight, FindingWeight::Broken | FindingWeight::Loss);
            assert!(!(is_trouble && is_unmended), "{scene}: {found:?}");
        }
    }
}

#[test]
fn the_verdict_is_a_sentence() {
    let hops = [
        hop("varnish", PRIOR, 200, &[LINK], 0, &[]),
        hop("nginx", PRIOR, 200, &[LINK], 0, &["/main.css"]),
    ];
    let verdict = ChainVerdict::of(&hops);
    let first = verdict.findings.first().expect("a finding");
    assert_eq!(
        first.text,
        "push dies at *varnish*: it speaks HTTP/2 to you but sends no promises, and *nginx* behind it pushes; Link survives"
    );
    let remedy = first.remedy.as_deref().unwrap_or_default();
    assert!(remedy.contains("put linkpush in front of it"), "{remedy}");
}
