//! Measures learning: memory with a million documents in a store bounded to ten thousand, the time of a request's
//! look-up, and how much is learned of a synthetic site.
//!
//! `cargo bench --bench learn`

#![allow(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark prints figures"
)]

mod site;
#[path = "../support/mod.rs"]
mod support;

use std::{hint::black_box, time::Instant};

use http::{HeaderMap, HeaderValue, header};
use linkpush::{
    learn::{DocumentKey, Evidence, LearnPolicy, ManifestLimits, ManifestStore, Observation, Observed},
    link::Spelled,
    push::Source,
};
use site::{Kind, Setting, Tally};
use support::{figures::median, process};

/// The allocator of the linkpush binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let store = ManifestStore::new(ManifestLimits::default(), (1, 2));
    memory(&store);
    look_up(&store);
    simulation(Source::Learned);
    simulation(Source::Html);
}

const OFFERED: u32 = 1_000_000;
const RETURNING: u32 = 2_000;

/// Measures memory while a crawler requests a million documents once each, and people return to two thousand others.
fn memory(store: &ManifestStore) {
    println!("A crawler offers {OFFERED} documents once; every fifth request is for one of {RETURNING} others.\n");
    println!("| offered | documents in the store | resident, MB |\n|--:|--:|--:|");
    println!("| 0 | {} | {:.1} |", store.len(), resident());
    let mut random = site::Random(7);
    let mut peak: f64 = 0.0;
    for n in 1..=OFFERED {
        respond(store, &format!("/crawled/{n}"));
        if n % 4 == 0 {
            let returning = random.below(RETURNING);
            respond(store, &format!("/returning/{returning}"));
        }
        if n % 10_000 == 0 {
            peak = peak.max(resident());
        }
        if n % 250_000 == 0 || n == 25_000 || n == 100_000 {
            println!("| {n} | {} | {:.1} |", store.len(), resident());
        }
    }
    let known = (0..RETURNING)
        .filter(|n| !store.is_unknown(key(store, &format!("/returning/{n}"))))
        .count();
    println!("\nPeak {peak:.1} MB. Of the {RETURNING} documents that people return to, {known} are in the store.\n");
}

fn key(store: &ManifestStore, path: &str) -> DocumentKey {
    let document = ("https", "site.example", path, None);
    store
        .hasher()
        .document(&LearnPolicy::default(), document, &HeaderMap::new())
}

/// Handles a request and its response as the proxy does.
fn respond(store: &ManifestStore, path: &str) {
    let policy = LearnPolicy::default();
    let key = key(store, path);
    let delivered = store.known(key, &policy, NOW).unwrap_or_default().links;
    let own = format!("<{path}.css>; rel=preload; as=style");
    let links: Vec<Spelled> = [
        &b"</main.css>; rel=preload; as=style"[..],
        b"</app.js>; rel=preload; as=script",
        b"</text.woff2>; rel=preload; as=font; crossorigin",
        own.as_bytes(),
    ]
    .into_iter()
    .filter_map(Spelled::read)
    .collect();
    let seen = Observation {
        now: NOW,
        evidence: &Evidence::Anonymous,
        network: 1,
        response: Observed::Document,
        source: Source::Learned,
        fields: usize::MAX,
        links: &links,
        delivered: &delivered,
        policies: &[],
        page_policies: None,
        query: None,
    };
    store.observe(&key.into(), &policy, &seen);
}

const NOW: u64 = 1_000_000;

/// Returns the resident memory of this process in MB.
fn resident() -> f64 {
    process::own_resident() as f64 / 1_048_576.0
}

/// Measures the part of learning before a request goes to its origin: the key, and the learned links.
fn look_up(store: &ManifestStore) {
    let paths: Vec<String> = (0..RETURNING).map(|n| format!("/returning/{n}")).collect();
    let unknown: Vec<String> = (0..RETURNING).map(|n| format!("/nothing/{n}")).collect();
    let plain = LearnPolicy::default();
    let varied = LearnPolicy {
        vary: vec![header::ACCEPT_LANGUAGE],
        ..LearnPolicy::default()
    };
    let fields = HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, HeaderValue::from_static("de-DE,de;q=0.9"))]);
    println!("| look-up on the way of a request | ns |\n|---|--:|");
    for (what, policy, paths) in [
        ("a known document: key and links", &plain, &paths),
        ("an unknown one", &plain, &unknown),
        ("an unknown one, varied by a field", &varied, &unknown),
    ] {
        let rounds = (0..9).map(|_| nanoseconds(store, policy, paths, &fields));
        println!("| {what} | {:.0} |", median(rounds));
    }
    println!("\nMedians of 9 rounds of 200000.\n");
}

fn nanoseconds(store: &ManifestStore, policy: &LearnPolicy, paths: &[String], fields: &HeaderMap) -> f64 {
    const LOOK_UPS: usize = 200_000;
    let start = Instant::now();
    for path in paths.iter().cycle().take(LOOK_UPS) {
        let document = ("https", "site.example", black_box(path.as_str()), None);
        let key = store.hasher().document(policy, document, fields);
        black_box(store.known(key, policy, NOW));
    }
    start.elapsed().as_nanos() as f64 / LOOK_UPS as f64
}

/// Simulates a site whose documents name their assets in Link fields or in HTML.
fn simulation(source: Source) {
    let setting = Setting {
        seed: 42,
        documents: 20_000,
        visitors: 50_000,
        requests: 1_000_000,
        deploys: 10,
        limit: 10_000,
        source,
    };
    let before = resident();
    let outcome = site::run(setting);
    println!(
        "A site whose {} name assets, of {} documents (the store holds {}), {} visitors of whom two thirds have cookies, {} requests, {} \
         deploys that rename every asset; seed {}.\n",
        if source == Source::Html {
            "HTML pages"
        } else {
            "Link fields"
        },
        setting.documents,
        setting.limit,
        setting.visitors,
        setting.requests,
        setting.deploys,
        setting.seed
    );
    println!(
        "| documents | requests | precision | recall | wasted MB | of MB delivered | pauses |\n\
         |---|--:|--:|--:|--:|--:|--:|"
    );
    for kind in Kind::ALL {
        if let Some(tally) = outcome.by_kind.get(&kind) {
            row(&format!("{kind:?}").to_lowercase(), tally);
        }
    }
    row("all", &outcome.total());
    println!(
        "\nAfter a deploy: at most {} responses of one document with old links, {:.2} on average of those asked for.\n\
         Personal URLs delivered to others: {}. Documents held: {}; memory {:+.1} MB. Responses read: {:.1} %.\n",
        outcome.most_stale,
        outcome.stale_responses as f64 / outcome.documents_deployed.max(1) as f64,
        outcome.leaked,
        outcome.held,
        resident() - before,
        outcome.pages_read as f64 / f64::from(setting.requests) * 100.0,
    );
    assert_eq!(outcome.leaked, 0, "a personal URL was delivered to somebody else");
    assert!(
        outcome.most_stale <= if source == Source::Html { 12 } else { 8 },
        "a deploy costs more responses than it takes visitors"
    );
}

fn row(name: &str, tally: &Tally) {
    println!(
        "| {name} | {} | {:.3} | {:.3} | {:.0} | {:.0} | {} |",
        tally.requests,
        tally.precision(),
        tally.recall(),
        tally.wasted_bytes as f64 / 1e6,
        (tally.wasted_bytes + tally.used_bytes) as f64 / 1e6,
        tally.pauses
    );
}
