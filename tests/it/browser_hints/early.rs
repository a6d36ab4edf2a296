//! The 103s of origins, as Nuxt, Rails and SvelteKit send them: linkpush passes them on to browsers that use them, and no
//! page is slower for it.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    fail, loading,
    measure::Measured,
    pages::{Kind, Pages},
    site::{Sites, Spec, THINK, Zone},
};

/// The 103s of one page, the links that a browser gets of them, and the targets that it uses.
struct Case {
    early: &'static [&'static [(&'static str, &'static str)]],
    hints: &'static [&'static str],
    used: &'static [&'static str],
    /// A policy of the page, which allows scripts by their nonce alone.
    policy: &'static str,
}

const NONCE: &str = "script-src 'nonce-n1'";

const CASES: &[Case] = &[
    Case {
        early: &[&[(
            "link",
            r#"</_nuxt/entry.js>; rel="modulepreload"; as="script"; crossorigin, </_nuxt/entry.css>; rel="preload"; as="style"; crossorigin, </_nuxt/error-404.js>; rel="prefetch"; as="script"; crossorigin"#,
        )]],
        hints: &[
            "</_nuxt/entry.js>; rel=modulepreload; as=script; crossorigin",
            "</_nuxt/entry.css>; rel=preload; as=style; crossorigin",
        ],
        used: &["/_nuxt/entry.js", "/_nuxt/entry.css"],
        policy: "",
    },
    // One for each tag.
    Case {
        early: &[
            &[("link", "</assets/app.css>; rel=preload; as=style; nopush")],
            &[("link", "</assets/app.js>; rel=preload; as=script; nopush")],
            &[(
                "link",
                "</assets/inter.woff2>; rel=preload; as=font; type=font/woff2; crossorigin=anonymous; nopush",
            )],
        ],
        hints: &[
            "</assets/app.css>; rel=preload; as=style",
            "</assets/app.js>; rel=preload; as=script",
            "</assets/inter.woff2>; rel=preload; as=font; crossorigin; type=\"font/woff2\"",
        ],
        used: &["/assets/app.css", "/assets/app.js", "/assets/inter.woff2"],
        policy: "",
    },
    Case {
        early: &[&[
            (
                "link",
                r#"<../_app/0.css>; rel="preload"; as="style"; nopush; nonce="x""#,
            ),
            (
                "link",
                r#"<../_app/start.js>; rel="modulepreload"; nopush; title="start""#,
            ),
            ("x-other", "1"),
        ]],
        hints: &[
            "<../_app/0.css>; rel=preload; as=style",
            "<../_app/start.js>; rel=modulepreload",
        ],
        used: &["../_app/0.css", "../_app/start.js"],
        policy: "",
    },
    // The policy stands in the 103, too: so no browser fetches what it does not allow.
    Case {
        early: &[&[
            (
                "link",
                "</a.css>; rel=preload; as=style, </b.js>; rel=preload; as=script",
            ),
            ("content-security-policy", NONCE),
        ]],
        hints: &["</a.css>; rel=preload; as=style", "</b.js>; rel=preload; as=script"],
        used: &["/a.css"],
        policy: NONCE,
    },
];

fn page(number: usize, case: &Case) -> Spec {
    let loaded = case.hints.iter().map(|hint| loading(hint));
    let (elements, assets): (Vec<_>, Vec<_>) = loaded.unzip();
    let policy = Some(case.policy).filter(|policy| !policy.is_empty());
    let early = case
        .early
        .iter()
        .map(|fields| fields.iter().map(|(name, value)| (*name, (*value).to_owned())));
    Spec {
        number,
        fields: policy
            .into_iter()
            .map(|policy| ("content-security-policy", policy.to_owned()))
            .collect(),
        early: early.map(Iterator::collect).collect(),
        head: elements.concat().replace("<script ", "<script nonce=n1 "),
        assets: assets.into_iter().flatten().collect(),
    }
}

async fn browse(kind: Kind) {
    let sites = Arc::new(Sites::start().await);
    let pages = Arc::new(Pages::start(kind, &sites.certificate(), sites.address()));
    let cases = CASES.iter().enumerate().map(|(number, case)| {
        let (sites, pages) = (Arc::clone(&sites), Arc::clone(&pages));
        tokio::spawn(async move {
            let spec = page(number, case);
            sites.serve(&spec, THINK);
            let hints = sites.navigate(&spec, Zone::Early).await.hints();
            if hints != [case.hints] {
                return Err(format!("{:?}: hinted {hints:?}", case.early));
            }
            let used: BTreeSet<String> = case
                .used
                .iter()
                .map(|target| spec.locate(Zone::Early, target))
                .collect();
            let judged = Measured::of(&pages, &sites, &spec, Zone::Early, &used)
                .await
                .judge(&used);
            judged.map_err(|problem| format!("{kind:?}, {:?}: {problem}", case.early))
        })
    });
    let mut problems = Vec::new();
    for case in cases.collect::<Vec<_>>() {
        problems.extend(case.await.expect("no panic").err());
    }
    fail(&problems);
}

#[tokio::test]
async fn chromium_uses_the_103s_of_origins() {
    browse(Kind::Chromium).await;
}

#[tokio::test]
async fn firefox_uses_the_103s_of_origins() {
    browse(Kind::Firefox).await;
}
