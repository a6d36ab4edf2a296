//! Pages with a Content-Security-Policy: none is slower for its hints, and a hint is withheld where the policy allows
//! its asset by a nonce alone, or not at all.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{
    fail,
    measure::Measured,
    pages::{Kind, Pages},
    site::{Asset, Sites, Spec, THINK, Zone},
};

/// A page with a style and a script, and its policy.
struct Case {
    name: &'static str,
    /// Policies that the page's header carries.
    policies: &'static [&'static str],
    /// One that is only reported.
    reported: &'static str,
    /// A policy of a `meta` element that is first in the page's head.
    meta: &'static str,
    /// Attributes of the page's script.
    script: &'static str,
    link: &'static str,
    /// The targets that are hinted. A policy in the page's HTML is known only where its HTML is read; neither browser
    /// minds a hint that such a policy allows by nonce alone.
    hinted: &'static [&'static str],
}

const NONE: Case = Case {
    name: "",
    policies: &[],
    reported: "",
    meta: "",
    script: "nonce=n1",
    link: "</a.css>; rel=preload; as=style, </b.js>; rel=preload; as=script",
    hinted: &["/a.css", "/b.js"],
};

const INTEGRITY: &str = "integrity='sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='";
const WITH_INTEGRITY: &str = "</a.css>; rel=preload; as=style, </b.js>; rel=preload; as=script; \
    integrity=\"sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"";
const STYLE_ALONE: &[&str] = &["/a.css"];
const SCRIPT_ALONE: &[&str] = &["/b.js"];

const CASES: &[Case] = &[
    Case {
        name: "nonce only",
        policies: &["script-src 'nonce-n1'"],
        hinted: STYLE_ALONE,
        ..NONE
    },
    Case {
        name: "nonce only, in the link too",
        policies: &["script-src 'nonce-n1'; object-src 'none'; base-uri 'none'"],
        link: "</a.css>; rel=preload; as=style; nonce=n1, </b.js>; rel=preload; as=script; nonce=n1",
        hinted: STYLE_ALONE,
        ..NONE
    },
    Case {
        name: "nonce only, in capitals",
        policies: &["SCRIPT-SRC 'NONCE-n1'"],
        hinted: STYLE_ALONE,
        ..NONE
    },
    Case {
        name: "nonce only, a module",
        policies: &["script-src 'nonce-n1'"],
        script: "type=module nonce=n1",
        link: "</a.css>; rel=preload; as=style, </b.js>; rel=modulepreload; nonce=n1",
        hinted: STYLE_ALONE,
        ..NONE
    },
    Case {
        name: "default-src by nonce only",
        policies: &["default-src 'nonce-n1'; img-src data:"],
        hinted: &[],
        ..NONE
    },
    Case {
        name: "styles by nonce only",
        policies: &["style-src 'nonce-n1'"],
        hinted: SCRIPT_ALONE,
        ..NONE
    },
    Case {
        name: "'self' and nonce",
        policies: &["script-src 'self' 'nonce-n1'"],
        ..NONE
    },
    Case {
        name: "'self' and nonce, styles too",
        policies: &["default-src 'self'; script-src 'nonce-n1' 'self'; style-src 'nonce-n1' 'self'; img-src data:"],
        ..NONE
    },
    Case {
        name: "the host and nonce",
        policies: &["script-src 'nonce-n1' https://*.example"],
        ..NONE
    },
    Case {
        name: "strict-dynamic",
        policies: &["script-src 'nonce-n1' 'strict-dynamic'"],
        ..NONE
    },
    Case {
        name: "strict-dynamic with sources for old browsers",
        policies: &["script-src 'strict-dynamic' 'nonce-n1' 'unsafe-inline' https: http:; object-src 'none'"],
        ..NONE
    },
    Case {
        name: "hash",
        policies: &["script-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"],
        script: INTEGRITY,
        link: WITH_INTEGRITY,
        ..NONE
    },
    Case {
        name: "hash and nonce, no hash in the link",
        policies: &["script-src 'nonce-n1' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"],
        hinted: STYLE_ALONE,
        ..NONE
    },
    Case {
        name: "'self', hash and nonce",
        policies: &["script-src 'self' 'nonce-n1' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"],
        ..NONE
    },
    Case {
        name: "unsafe-inline with 'self'",
        policies: &["script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"],
        script: "",
        ..NONE
    },
    Case {
        name: "unsafe-inline alone",
        policies: &["script-src 'unsafe-inline'"],
        script: "",
        hinted: STYLE_ALONE,
        ..NONE
    },
    Case {
        name: "unsafe-inline and nonce",
        policies: &["script-src 'unsafe-inline' 'nonce-n1'"],
        hinted: STYLE_ALONE,
        ..NONE
    },
    Case {
        name: "nonce only, reported",
        reported: "script-src 'nonce-n1'; style-src 'nonce-n1'",
        ..NONE
    },
    Case {
        name: "'self' enforced, nonce only reported",
        policies: &["script-src 'self'"],
        reported: "script-src 'nonce-n1'",
        ..NONE
    },
    Case {
        name: "nonce only enforced, 'self' reported",
        policies: &["script-src 'nonce-n1'"],
        reported: "script-src 'self'",
        hinted: STYLE_ALONE,
        ..NONE
    },
    Case {
        name: "two policies, one by nonce only",
        policies: &["script-src 'self'", "script-src 'nonce-n1'"],
        hinted: STYLE_ALONE,
        ..NONE
    },
    Case {
        name: "two policies in one field, one by nonce only",
        policies: &["script-src 'self', script-src 'nonce-n1' 'unsafe-inline'"],
        hinted: STYLE_ALONE,
        ..NONE
    },
    Case {
        name: "two policies that allow",
        policies: &["script-src 'self' 'nonce-n1'", "default-src https: data:"],
        ..NONE
    },
    Case {
        name: "nothing allowed",
        policies: &["default-src 'none'; style-src 'self'"],
        hinted: STYLE_ALONE,
        ..NONE
    },
    Case {
        name: "frames only",
        policies: &["frame-ancestors 'self'; upgrade-insecure-requests"],
        ..NONE
    },
    Case {
        name: "meta, nonce only",
        meta: "script-src 'nonce-n1'",
        ..NONE
    },
    Case {
        name: "meta, nonce only, links from HTML",
        meta: "default-src 'nonce-n1'; img-src data:",
        link: "",
        hinted: &[],
        ..NONE
    },
    Case {
        name: "meta, 'self' and nonce",
        meta: "script-src 'self' 'nonce-n1'",
        ..NONE
    },
    Case {
        name: "meta by nonce only and a header with 'self'",
        policies: &["script-src 'self'"],
        meta: "script-src 'nonce-n1'",
        ..NONE
    },
];

impl Case {
    fn page(&self, number: usize) -> Spec {
        let links = Some(self.link).filter(|link| !link.is_empty());
        let mut fields: Vec<(&str, String)> = links.into_iter().map(|link| ("link", link.to_owned())).collect();
        let policies = self
            .policies
            .iter()
            .map(|policy| ("content-security-policy", (*policy).to_owned()));
        fields.extend(policies);
        if !self.reported.is_empty() {
            fields.push(("content-security-policy-report-only", self.reported.to_owned()));
        }
        let meta = match self.meta {
            "" => String::new(),
            policy => format!("<meta http-equiv=content-security-policy content=\"{policy}\">"),
        };
        let head = format!(
            "{meta}<link rel=stylesheet href=/a.css nonce=n1><script src=/b.js {}></script>",
            self.script
        );
        Spec {
            number,
            fields,
            early: Vec::new(),
            head,
            assets: vec![Asset::new("/a.css", "text/css"), Asset::new("/b.js", "text/javascript")],
        }
    }
}

async fn browse(kind: Kind, cases: impl Iterator<Item = &'static Case>) {
    let sites = Arc::new(Sites::start().await);
    let pages = Arc::new(Pages::start(kind, &sites.certificate(), sites.address()));
    let cases = cases.enumerate().map(|(number, case)| {
        let (sites, pages) = (Arc::clone(&sites), Arc::clone(&pages));
        tokio::spawn(async move {
            let spec = case.page(number);
            judge(case, &spec, &pages, &sites)
                .await
                .map_err(|problem| format!("{kind:?}, {}: {problem}", case.name))
        })
    });
    let mut problems = Vec::new();
    for case in cases.collect::<Vec<_>>() {
        problems.extend(case.await.expect("no panic").err());
    }
    fail(&problems);
}

async fn judge(case: &Case, spec: &Spec, pages: &Pages, sites: &Sites) -> Result<(), String> {
    sites.serve(spec, Duration::ZERO);
    sites.navigate(spec, Zone::On).await;
    let targets = sites.navigate(spec, Zone::On).await.targets();
    let mut problems = Vec::new();
    if targets != case.hinted {
        problems.push(format!("hinted {targets:?}"));
    }
    sites.serve(spec, THINK);
    let hinted: BTreeSet<String> = targets.iter().map(|target| spec.locate(Zone::On, target)).collect();
    problems.extend(
        Measured::of(pages, sites, spec, Zone::On, &hinted)
            .await
            .judge(&hinted)
            .err(),
    );
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.join("; "))
    }
}

#[tokio::test]
async fn chromium_is_never_slowed_down_by_a_policy() {
    browse(Kind::Chromium, CASES.iter()).await;
}

#[tokio::test]
async fn firefox_is_never_slowed_down_by_a_policy() {
    browse(Kind::Firefox, CASES.iter()).await;
}
