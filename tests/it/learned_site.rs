//! What is learned of a synthetic site with cookies, deploys, variants and personal pages: a small run
//! of the simulation in `benches/learn`.

#[path = "../../benches/learn/site.rs"]
#[allow(dead_code, reason = "the benchmark reports more of it")]
mod site;

use linkpush::push::Source;
use site::{Kind, Setting};

const SMALL: Setting = Setting {
    seed: 0,
    documents: 300,
    visitors: 2000,
    requests: 20_000,
    deploys: 3,
    limit: 200,
    source: Source::Learned,
};

#[test]
fn a_site_is_learned_within_its_bounds() {
    for seed in 1..=3 {
        let outcome = site::run(Setting { seed, ..SMALL });
        let total = outcome.total();
        assert_eq!(
            outcome.leaked, 0,
            "seed {seed}: a personal URL was delivered to somebody else"
        );
        // Evidence against a link is worth as much as evidence for it, so a deploy may cost as many responses as visitors.
        assert!(
            outcome.most_stale <= 6 && outcome.stale_responses <= outcome.documents_deployed,
            "seed {seed}: a deploy cost {}, {} for {} documents",
            outcome.most_stale,
            outcome.stale_responses,
            outcome.documents_deployed
        );
        assert!(outcome.stale_responses > 0, "seed {seed}: deploys were seen");
        assert!(total.precision() > 0.9, "seed {seed}: precision {}", total.precision());
        assert!(total.recall() > 0.5, "seed {seed}: recall {}", total.recall());
        assert!(outcome.held <= 220, "seed {seed}: {} documents", outcome.held);
        let personal = outcome
            .by_kind
            .get(&Kind::Personal)
            .expect("personal pages were asked for");
        assert!(
            personal.right > 0,
            "seed {seed}: what all share is learned beside avatars"
        );
    }
}

#[test]
fn a_site_of_html_is_learned_though_not_every_page_is_read() {
    let outcome = site::run(Setting {
        seed: 1,
        requests: 8000,
        source: Source::Html,
        ..SMALL
    });
    let total = outcome.total();
    assert_eq!(outcome.leaked, 0, "a personal URL was delivered to somebody else");
    // After a change a page is read within eight responses.
    assert!(
        outcome.most_stale <= 12 && outcome.stale_responses <= outcome.documents_deployed,
        "a deploy cost {}, {} for {} documents",
        outcome.most_stale,
        outcome.stale_responses,
        outcome.documents_deployed
    );
    assert!(outcome.stale_responses > 0, "deploys were seen");
    assert!(total.precision() > 0.85, "precision {}", total.precision());
    assert!(total.recall() > 0.5, "recall {}", total.recall());
    assert!(outcome.pages_read < 8000 * 3 / 4, "{} were read", outcome.pages_read);
}
