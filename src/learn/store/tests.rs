//! Tests the store: bounds, and the documents that are told apart.

use http::{HeaderMap, HeaderValue, header};
use proptest::prelude::*;

use super::{super::manifest::Observed, *};
use crate::{link::Spelled, push::Source};

const NOW: u64 = 1_000_000;

fn spelled(links: &[&[u8]]) -> Vec<Spelled> {
    links.iter().filter_map(|link| Spelled::read(link)).collect()
}

fn see(store: &ManifestStore, now: u64, document: u128, links: &[&[u8]]) {
    let (key, policy) = (DocumentKey(document), LearnPolicy::default());
    let delivered = store.known(key, &policy, now).unwrap_or_default().links;
    let seen = Observation {
        now,
        evidence: &Evidence::Anonymous,
        network: 1,
        response: Observed::Document,
        source: Source::Learned,
        fields: usize::MAX,
        links: &spelled(links),
        delivered: &delivered,
        policies: &[],
        page_policies: None,
        query: None,
    };
    store.observe(&key.into(), &policy, &seen);
}

fn delivered(store: &ManifestStore, now: u64, document: u128) -> Option<Links> {
    let known = store.known(DocumentKey(document), &LearnPolicy::default(), now)?;
    Some(known.links)
}

/// Spreads a number over all bits, as a key's hash does.
fn spread(n: u128) -> u128 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
}

#[test]
fn documents_that_people_return_to_outlast_a_crawler() {
    let limits = ManifestLimits {
        documents: 500,
        bytes: 2 << 20,
    };
    let store = ManifestStore::new(limits, (1, 2));
    // The documents return in random order: with a fixed period no gap between two visits would be long.
    let returning = |n: u32| spread((spread(u128::from(n) + 1) >> 64 & 0xff_ffff) % 100);
    for n in 0..50_000_u32 {
        see(&store, NOW, spread(u128::from(n) + 1000), &[b"</a.css>; rel=preload"]);
        if n % 4 == 0 {
            see(&store, NOW, returning(n / 4), &[b"</b.css>; rel=preload"]);
        }
        if n % 100 == 0 {
            assert!(store.len() <= 550, "{} documents", store.len());
        }
    }
    let known = (0..100)
        .filter(|n| delivered(&store, NOW, spread(*n)).is_some())
        .count();
    assert!(known >= 95, "{known} of 100 are known");
}

#[test]
fn a_document_without_links_to_learn_takes_no_space() {
    let store = ManifestStore::new(ManifestLimits::default(), (1, 2));
    let seen = Observation {
        now: NOW,
        evidence: &Evidence::Authorized,
        network: 1,
        response: Observed::Document,
        source: Source::Learned,
        fields: usize::MAX,
        links: &spelled(&[b"</a>; rel=preload"]),
        delivered: &[],
        policies: &[],
        page_policies: None,
        query: None,
    };
    store.observe(&DocumentKey(1).into(), &LearnPolicy::default(), &seen);
    assert!(store.is_unknown(DocumentKey(1)));
    see(&store, NOW, 1, &[b"</a>; rel=preload"]);
    assert_eq!(delivered(&store, NOW, 1).expect("known").len(), 1);
    store.observe(
        &DocumentKey(1).into(),
        &LearnPolicy::default(),
        &Observation {
            evidence: &Evidence::Anonymous,
            links: &[],
            ..seen
        },
    );
    assert!(
        delivered(&store, NOW, 1).is_none_or(|links| links.is_empty()),
        "a link that is gone is not delivered"
    );
}

#[test]
fn many_threads_learn_the_same_documents() {
    let store = ManifestStore::new(ManifestLimits::default(), (1, 2));
    std::thread::scope(|scope| {
        for thread in 0..4_u128 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..2000_u128 {
                    let own: &[u8] = if thread == 0 {
                        b"</a>; rel=preload"
                    } else {
                        b"</b>; rel=preload"
                    };
                    see(store, NOW, spread(n % 50), &[own, b"</all>; rel=preload"]);
                    assert!(store.snapshot(NOW).len() <= 50);
                }
            });
        }
    });
    // In any order of the threads, a link of two later responses is delivered: even for a document that was paused
    // by the threads, for at most 128 times ten minutes, or is paused by the first of the two.
    const DAY: u64 = 23 * 60 * 60;
    for n in 0..50 {
        for days in 1..=2 {
            see(&store, NOW + days * DAY, spread(n), &[b"</all>; rel=preload"]);
        }
        let links = delivered(&store, NOW + 2 * DAY, spread(n)).expect("known");
        let links: Vec<&Spelled> = links.iter().map(|link| &link.link).collect();
        assert_eq!(
            links,
            spelled(&[b"</all>; rel=preload"]).iter().collect::<Vec<_>>(),
            "document {n}"
        );
    }
    assert_eq!(store.len(), 50);
}

/// A store that sees responses as the proxy does.
struct Site {
    store: ManifestStore,
    policy: LearnPolicy,
}

/// One request for the site's only page, and the response to it.
struct Visit<'v> {
    network: u64,
    query: Option<&'v str>,
    language: &'v str,
    vary: &'v [&'v str],
    links: &'v [&'v [u8]],
}

impl Site {
    fn new() -> Self {
        Self {
            store: ManifestStore::new(ManifestLimits::default(), (1, 2)),
            policy: LearnPolicy::default(),
        }
    }

    /// Returns what is delivered before the response, and learns from it.
    fn visit(&self, visit: &Visit<'_>) -> (Vec<Spelled>, Verdict) {
        let language = HeaderValue::from_str(visit.language).expect("a value");
        let fields = HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, language)]);
        let request = DividedBy {
            query: visit.query,
            fields: &fields,
        };
        let document = ("https", "a.example", "/", visit.query);
        let key = self.store.hasher().document(&self.policy, document, &fields);
        let (place, known) = self.store.find(key, request, &self.policy, NOW).expect("a document");
        let vary = visit.vary.iter().map(|name| name.as_bytes());
        let place = place.varied(vary, request, self.store.hasher()).expect("a document");
        let seen = Observation {
            now: NOW,
            evidence: &Evidence::Anonymous,
            network: visit.network,
            response: Observed::Document,
            source: Source::Learned,
            fields: usize::MAX,
            links: &spelled(visit.links),
            delivered: &known.links,
            policies: &[b"script-src 'self'"],
            page_policies: Some(&[b"img-src *"]),
            query: visit.query,
        };
        let verdict = self.store.observe(&place, &self.policy, &seen);
        let delivered = known.links.iter().map(|link| link.link.clone()).collect();
        (delivered, verdict)
    }
}

const DE: Visit<'_> = Visit {
    network: 1,
    query: None,
    language: "de",
    vary: &["Accept-Language"],
    links: &[b"</de.css>; rel=preload; as=style"],
};
const FR: Visit<'_> = Visit {
    language: "fr",
    links: &[b"</fr.css>; rel=preload; as=style"],
    ..DE
};

#[test]
fn requests_whose_fields_in_vary_differ_have_links_of_their_own() {
    let site = Site::new();
    assert!(site.visit(&DE).0.is_empty());
    assert!(site.visit(&FR).0.is_empty());
    for _ in 0..3 {
        assert_eq!(site.visit(&DE).0, spelled(DE.links));
        assert_eq!(site.visit(&FR).0, spelled(FR.links));
    }
    // A response that does not say so is of the same language nevertheless.
    assert_eq!(site.visit(&Visit { vary: &[], ..FR }).0, spelled(FR.links));
}

#[test]
fn a_document_that_begins_to_vary_is_learned_anew() {
    let site = Site::new();
    site.visit(&Visit { vary: &[], ..DE });
    assert_eq!(site.visit(&FR).0, spelled(DE.links));
    assert_eq!(site.visit(&FR).0, spelled(FR.links));
    assert!(site.visit(&DE).0.is_empty());
    assert_eq!(site.visit(&DE).0, spelled(DE.links));
}

#[test]
fn a_page_that_the_query_names_is_told_from_the_others() {
    let site = Site::new();
    let page = |network, number: usize| {
        let links: [&[u8]; 3] = [
            b"</1.css>; rel=preload",
            b"</2.css>; rel=preload",
            b"</3.css>; rel=preload",
        ];
        let query = ["p=1", "p=2&utm=x", "p=3"];
        site.visit(&Visit {
            network,
            query: query.get(number).copied(),
            vary: &[],
            links: links.get(number..=number).unwrap_or_default(),
            ..DE
        })
    };
    let mut names = Vec::new();
    for round in 0..6 {
        for number in 0..3 {
            names.extend(page(10 * round + number as u64, number).1.divided_by);
        }
    }
    assert_eq!(names, [Box::from("p")]);
    for number in 0..3 {
        page(1, number);
        let (delivered, verdict) = page(2, number);
        assert_eq!(
            (delivered.len(), verdict.right, verdict.wrong),
            (1, 1, 0),
            "page {number}"
        );
    }
}

#[test]
fn divisions_links_and_policies_survive_a_restart() {
    let site = Site::new();
    site.visit(&DE);
    site.visit(&FR);
    let again = Site::new();
    let saved = site.store.snapshot(NOW);
    assert_eq!(saved.len(), 3);
    saved.iter().for_each(|saved| again.store.restore(saved));
    assert_eq!(again.visit(&DE).0, spelled(DE.links));
    assert_eq!(again.visit(&FR).0, spelled(FR.links));
    let sorted = |site: &Site| {
        let mut saved = site.store.snapshot(NOW);
        saved.sort_by_key(|saved| saved.key);
        saved
    };
    assert_eq!(sorted(&again), sorted(&site));
    let policies: Vec<_> = saved
        .iter()
        .filter_map(|saved| saved.csp.as_deref().zip(saved.page_csp.as_deref()))
        .collect();
    assert_eq!(policies, [("script-src 'self'", "img-src *"); 2]);
}

#[test]
fn a_key_is_forgotten_with_all_its_documents() {
    let site = Site::new();
    site.visit(&DE);
    site.visit(&FR);
    let key = site
        .store
        .hasher()
        .document(&site.policy, ("https", "a.example", "/", None), &HeaderMap::new());
    site.store.forget(key);
    assert_eq!(site.store.len(), 0);
}

#[test]
fn one_client_that_invents_values_neither_grows_the_store_nor_stops_learning() {
    let site = Site::new();
    for network in [1, 2] {
        site.visit(&Visit { network, ..DE });
    }
    for n in 0..2000 {
        site.visit(&Visit {
            network: 9,
            language: &format!("x{n}"),
            ..FR
        });
    }
    assert!(site.store.len() <= 130, "{}", site.store.len());
    assert_eq!(site.visit(&DE).0, spelled(DE.links));
}

proptest! {
    /// Whatever responses say, in any order, a request never gets a link that no response to its own language had once
    /// all responses name the field.
    #[test]
    fn no_language_gets_the_links_of_another(visits in proptest::collection::vec((0..4_usize, 0..3_u64, any::<bool>()), 1..80)) {
        let site = Site::new();
        let languages = ["de", "fr", "nl", "da"];
        for (language, network, has_links) in visits {
            let own = format!("</{language}.css>; rel=preload; as=style");
            let links: &[&[u8]] = if has_links { &[own.as_bytes()] } else { &[] };
            let visit = Visit { network, language: languages.get(language).expect("one"), links, ..DE };
            for link in site.visit(&visit).0 {
                prop_assert_eq!(link.text(), own.as_bytes());
            }
        }
    }

    /// Invented parameters of one client, on a page that does not depend on them, divide nothing and hide no link.
    #[test]
    fn invented_parameters_change_nothing(queries in proptest::collection::vec("[a-c]{1,2}=[a-z]{0,2}(&[a-c]=[0-9])?", 1..60)) {
        let site = Site::new();
        let page = Visit { vary: &[], ..DE };
        site.visit(&page);
        for (query, n) in queries.iter().zip(0..) {
            let (_, verdict) = site.visit(&Visit { network: n % 4, query: Some(query), ..page });
            prop_assert_eq!(verdict.divided_by, None);
            prop_assert_eq!(site.visit(&page).0, spelled(page.links));
        }
        prop_assert_eq!(site.store.len(), 1);
    }
}

#[test]
fn a_response_with_the_fields_of_a_settled_document_passes_unless_its_query_may_divide_it() {
    let store = ManifestStore::new(ManifestLimits::default(), (1, 2));
    let policy = LearnPolicy {
        key: crate::learn::LearnKey::Path,
        ..LearnPolicy::default()
    };
    let place = DocumentPlace::from(DocumentKey(1));
    let passes = |place: &DocumentPlace, query, fields| {
        let verdict = store.passes(place, (&policy, query), (fields, &[]), NOW);
        verdict.is_some()
    };
    assert!(!passes(&place, None, 7), "unknown");
    store.settle(&place, 7);
    assert!(!passes(&place, None, 7), "still unknown");
    see(&store, NOW, 1, &[b"</a.css>; rel=preload; as=style"]);
    store.settle(&place, 7);
    assert!(passes(&place, None, 7));
    assert!(!passes(&place, Some("p=1"), 7));
    assert!(!passes(&place, None, 8));
    assert!(!passes(&DocumentKey(2).into(), None, 7));
}

#[test]
fn a_forgotten_document_is_read_at_its_next_response() {
    let store = ManifestStore::new(ManifestLimits::default(), (1, 2));
    for round in 0..5 {
        assert!(
            store.is_html_due(DocumentKey(1), 7, || Evidence::Anonymous, 1, &[]),
            "round {round}"
        );
        see(&store, NOW, 1, &[b"</a.css>; rel=preload; as=style"]);
        store.forget(DocumentKey(1));
    }
}

#[test]
fn a_document_whose_responses_teach_nothing_any_more_is_forgotten() {
    let store = ManifestStore::new(ManifestLimits::default(), (1, 2));
    let place = DocumentPlace::from(DocumentKey(1));
    see(&store, NOW, 1, &[b"</a.css>; rel=preload; as=style"]);
    for _ in 0..100 {
        store.note_silence(&place, 1);
    }
    assert!(delivered(&store, NOW, 1).is_some(), "one network forgets nothing");
    let until = (1..100_u64).find(|network| {
        store.note_silence(&place, network % 2);
        delivered(&store, NOW, 1).is_none()
    });
    assert!(until.is_some_and(|until| until <= 34), "{until:?}");
    store.note_silence(&place, 1);
}
