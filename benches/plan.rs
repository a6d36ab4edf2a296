//! Measures the time of a plan, by the number of links, and for a client without push.

use std::{hint::black_box, sync::Arc};

use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, Method, StatusCode};
use linkpush::{
    link::Document,
    push::{Facts, Plan, Policy, PushState, Source, mentions, plan},
};

const THREE: &str = "</css/main.css>; rel=preload; as=style, </js/app.js>; rel=preload; as=script, \
                     </fonts/text.woff2>; rel=preload; as=font; crossorigin";

fn planned(client: &Arc<PushState>, policy: &Policy, request: &HeaderMap, field: &str) -> Plan {
    let document = Document::new("https", "shop.example", "/p/index.html").expect("a document");
    client.plan(|http2| {
        let facts = Facts {
            method: &Method::GET,
            status: Some(StatusCode::OK),
            request,
            pushed_parent: false,
            promised: 0,
            hinted: 0,
            told: &[],
            returning: false,
            http2: Some(*http2),
            is_bad: &|_| false,
            is_not_reusable: &|_| false,
            csp: None,
        };
        plan(
            policy,
            &facts,
            &document,
            &mentions([(Source::Response, field.as_bytes())]),
            &mut |_, _| {},
        )
    })
}

fn plans(c: &mut Criterion) {
    let (policy, request) = (Policy::default(), HeaderMap::new());
    // A plan that is dropped unsent leaves no trace in the diary, so that each round begins alike.
    let client = Arc::new(PushState::new(1024));
    c.bench_function("plan/push 3 links", |b| {
        b.iter(|| planned(&client, &policy, &request, black_box(THREE)))
    });
    let many: String = (0..1000)
        .map(|n| format!("</a/{n}.css>; rel=preload; as=style, "))
        .collect();
    c.bench_function("plan/1000 links", |b| {
        b.iter(|| planned(&client, &policy, &request, black_box(&many)))
    });
    let browser = Arc::new(PushState::new(1024));
    browser.set_enable_push(false);
    c.bench_function("plan/3 links, push disabled", |b| {
        b.iter(|| planned(&browser, &policy, &request, black_box(THREE)));
    });
    c.bench_function("diary/client fetches a URL", |b| {
        let client = PushState::new(1024);
        let mut n = 0_u32;
        b.iter(|| {
            n = n.wrapping_add(1);
            client.record_fetched(
                "https",
                "shop.example",
                if n.is_multiple_of(2) { "/a.css" } else { "/b.js" },
            );
        });
    });
}

criterion_group!(benches, plans);
criterion_main!(benches);
