//! Tests one document over many responses: which links are delivered, and which never reach other visitors.

use std::net::IpAddr;

use proptest::prelude::*;

use super::entry::PROVEN;
use super::{
    super::{common::CommonPairs, key::KeyHasher, policy::LearnKey, visitor::VisitorFacts},
    *,
};
use crate::push::{HintedUrl, Source};

const HASHER: KeyHasher = KeyHasher::new((5, 6));

/// Returns the evidence of visitor number `number`, on a network and with a session of its own.
fn visitor(number: u8) -> Evidence {
    let cookie = format!("session={number:032}");
    Evidence::of(
        &VisitorFacts {
            authority: "h.example",
            address: IpAddr::from([10, 0, number, 1]),
            cookies: &[cookie.as_bytes()],
            set_cookies: &[],
            is_for_address: false,
            authorization: false,
            identities: &[],
            query: None,
            division: None,
        },
        &LearnKey::Path,
        &HASHER,
        (&CommonPairs::default(), 0),
    )
}

/// Returns a link to a target.
fn spelled(target: &str) -> Spelled {
    Spelled::read(format!("<{target}>; rel=preload; as=script").as_bytes()).expect("a link")
}

fn see(manifest: &mut Manifest, evidence: &Evidence, targets: &[&str]) -> Verdict {
    see_on(manifest, 1, evidence, targets)
}

/// Observes a response to a client on this network.
fn see_on(manifest: &mut Manifest, network: u64, evidence: &Evidence, targets: &[&str]) -> Verdict {
    let delivered = manifest.links(0);
    let links: Vec<Spelled> = targets.iter().map(|target| spelled(target)).collect();
    see_links(manifest, network, evidence, (&links, &delivered))
}

fn see_links(
    manifest: &mut Manifest,
    network: u64,
    evidence: &Evidence,
    (links, delivered): (&[Spelled], &[LearnedLink]),
) -> Verdict {
    let seen = Observation {
        now: 0,
        evidence,
        network,
        response: Observed::Document,
        source: Source::Learned,
        fields: usize::MAX,
        links,
        delivered,
        policies: &[],
        page_policies: None,
        query: None,
    };
    manifest.observe(&LearnPolicy::default(), &seen)
}

/// Returns the targets of the delivered links.
fn delivered(manifest: &Manifest) -> Vec<String> {
    let target = |link: &LearnedLink| {
        let text = String::from_utf8_lossy(link.link.text()).into_owned();
        text.trim_start_matches('<')
            .split('>')
            .next()
            .expect("a target")
            .to_owned()
    };
    manifest.links(0).iter().map(target).collect()
}

#[test]
fn a_link_in_an_anonymous_response_counts_at_once() {
    let mut manifest = Manifest::default();
    see(&mut manifest, &Evidence::Anonymous, &["a", "b"]);
    assert_eq!(delivered(&manifest), ["a", "b"]);
}

#[test]
fn a_link_in_responses_to_visitors_counts_after_three_different_ones() {
    let mut manifest = Manifest::default();
    for number in [1, 1, 2, 1, 2] {
        see(&mut manifest, &visitor(number), &["a"]);
        assert!(delivered(&manifest).is_empty(), "two visitors, however often");
    }
    see(&mut manifest, &visitor(3), &["a"]);
    assert_eq!(delivered(&manifest), ["a"]);
}

#[test]
fn one_response_without_the_link_removes_its_visitors() {
    let mut manifest = Manifest::default();
    see(&mut manifest, &visitor(1), &["a", "mine"]);
    see(&mut manifest, &visitor(2), &["a", "mine"]);
    see(&mut manifest, &visitor(4), &["a"]);
    see(&mut manifest, &visitor(3), &["a", "mine"]);
    assert_eq!(delivered(&manifest), ["a"]);
}

#[test]
fn one_visitor_s_response_does_not_remove_a_delivered_link() {
    let mut manifest = Manifest::default();
    for number in 1..=3 {
        see(&mut manifest, &visitor(number), &["a"]);
    }
    for (number, gone) in [(4, false), (4, false), (5, false), (4, false), (6, true)] {
        see(&mut manifest, &visitor(number), &[]);
        assert_eq!(delivered(&manifest).is_empty(), gone, "visitor {number}");
    }
    // Two visitors' responses remove a public link; a response with the link between them resets the count.
    see(&mut manifest, &Evidence::Anonymous, &["b"]);
    see(&mut manifest, &visitor(4), &[]);
    see(&mut manifest, &visitor(5), &["b"]);
    see(&mut manifest, &visitor(6), &[]);
    assert_eq!(delivered(&manifest), ["b"]);
    see(&mut manifest, &visitor(7), &[]);
    assert!(delivered(&manifest).is_empty());
}

#[test]
fn a_link_confirmed_forty_times_survives_one_anonymous_response_without_it() {
    for (times, stays) in [(PROVEN, false), (PROVEN + 1, true)] {
        let mut manifest = Manifest::default();
        for _ in 0..times {
            see(&mut manifest, &Evidence::Anonymous, &["a"]);
        }
        see(&mut manifest, &Evidence::Anonymous, &["b"]);
        let expected: &[&str] = if stays { &["b", "a"] } else { &["b"] };
        assert_eq!(delivered(&manifest), expected);
        see(&mut manifest, &Evidence::Anonymous, &["b"]);
        assert_eq!(delivered(&manifest), ["b"]);
    }
}

#[test]
fn a_response_to_an_authorized_client_is_no_evidence_against_a_link() {
    let mut manifest = Manifest::default();
    see(&mut manifest, &Evidence::Anonymous, &["a"]);
    for _ in 0..100 {
        let verdict = see(&mut manifest, &Evidence::Authorized, &["b"]);
        assert_eq!(verdict, Verdict::default());
    }
    assert_eq!(delivered(&manifest), ["a"]);
}

#[test]
fn the_parameters_of_a_link_are_those_of_the_last_response() {
    let mut manifest = Manifest::default();
    let see = |manifest: &mut Manifest, link: &str| {
        let seen = Observation {
            now: 0,
            evidence: &Evidence::Anonymous,
            network: 1,
            response: Observed::Document,
            source: Source::Learned,
            fields: usize::MAX,
            links: &[Spelled::read(link.as_bytes()).expect("a link")],
            delivered: &manifest.links(0),
            policies: &[],
            page_policies: None,
            query: None,
        };
        let verdict = manifest.observe(&LearnPolicy::default(), &seen);
        let text = |link: &LearnedLink| String::from_utf8_lossy(link.link.text()).into_owned();
        (verdict.wrong, manifest.links(0).iter().map(text).collect::<Vec<_>>())
    };
    for link in [
        "</a>; rel=preload; as=script; integrity=sha256-1",
        "</a>; rel=preload; as=script; integrity=sha256-2; nopush",
    ] {
        assert_eq!(see(&mut manifest, link), (0, vec![link.to_owned()]));
    }
}

#[test]
fn only_a_response_that_may_be_the_document_is_evidence_against_a_link() {
    let mut manifest = Manifest::default();
    let see = |manifest: &mut Manifest, response, targets: &[&str]| {
        let links: Vec<Spelled> = targets.iter().map(|target| spelled(target)).collect();
        let seen = Observation {
            now: 0,
            evidence: &Evidence::Anonymous,
            network: 1,
            response,
            source: Source::Learned,
            fields: usize::MAX,
            links: &links,
            delivered: &manifest.links(0),
            policies: &[],
            page_policies: None,
            query: None,
        };
        let verdict = manifest.observe(&LearnPolicy::default(), &seen);
        (verdict.wrong, delivered(manifest))
    };
    let list = |targets: &[&str]| targets.iter().map(|target| (*target).to_owned()).collect::<Vec<_>>();
    for (response, targets, expected) in [
        (Observed::Other, &["json"][..], &["json"][..]),
        (Observed::Redirect, &["a"], &["a", "json"]),
        (Observed::Document, &["a"], &["a"]),
        (Observed::Other, &["json"], &["a"]),
        (Observed::Other, &[], &["a"]),
        (Observed::Redirect, &[], &["a"]),
        (Observed::Redirect, &["b"], &["b", "a"]),
        (Observed::Document, &["b"], &["b"]),
    ] {
        let (_, now) = see(&mut manifest, response, targets);
        assert_eq!(now, list(expected), "{response:?} {targets:?}");
    }
}

#[test]
fn a_link_that_no_client_uses_is_withheld_for_an_hour() {
    let mut manifest = Manifest::default();
    let see = |manifest: &mut Manifest, now| {
        let seen = Observation {
            now,
            evidence: &Evidence::Anonymous,
            network: 1,
            response: Observed::Document,
            source: Source::Learned,
            fields: usize::MAX,
            links: &[spelled("a"), spelled("b")],
            delivered: &manifest.links(now),
            policies: &[],
            page_policies: None,
            query: None,
        };
        manifest.observe(&LearnPolicy::default(), &seen);
        manifest.links(now).iter().map(|link| link.withheld).collect::<Vec<_>>()
    };
    assert_eq!(see(&mut manifest, 0), [None, None]);
    let now = std::time::Instant::now();
    for network in 1..=50 {
        let client = crate::push::PushState::new(16);
        let keys = ["/a", "/b"].map(|path| client.key("https", "h", path));
        let uses = manifest
            .links(0)
            .iter()
            .map(|link| Arc::clone(&link.uses))
            .collect::<Vec<_>>();
        let urls = keys.into_iter().zip(uses).map(|(key, uses)| HintedUrl {
            key,
            uses,
            source: Source::Learned,
        });
        client.note_hinted(urls, network, &Arc::default(), now);
        assert!(client.count_hinted(("https", "h", "/a"), || now));
    }
    let (unused, hour) = (Some(SkipReason::Unused), 60 * 60);
    assert_eq!(see(&mut manifest, 1), [None, unused]);
    assert_eq!(see(&mut manifest, hour), [None, unused]);
    assert_eq!(see(&mut manifest, hour + 1), [None, None]);
}

#[test]
fn the_content_security_policy_is_that_of_the_last_response() {
    let mut manifest = Manifest::default();
    for (policies, expected) in [
        (&[][..], None),
        (&[&b"script-src 'nonce-1'"[..]], Some(1)),
        (&[b"script-src 'nonce-2'"], Some(1)),
        (&[b"script-src 'self'"], Some(2)),
        (&[], None),
    ] {
        let before = manifest.csp().cloned();
        let seen = Observation {
            now: 0,
            evidence: &Evidence::Anonymous,
            network: 1,
            response: Observed::Document,
            source: Source::Learned,
            fields: usize::MAX,
            links: &[spelled("a")],
            delivered: &[],
            policies,
            page_policies: None,
            query: None,
        };
        manifest.observe(&LearnPolicy::default(), &seen);
        assert_eq!(manifest.csp().is_some(), expected.is_some());
        if policies.first().is_some_and(|policy| policy.ends_with(b"2'")) {
            let same = before.zip(manifest.csp().cloned());
            assert!(
                same.is_some_and(|(one, other)| Arc::ptr_eq(&one, &other)),
                "not parsed anew"
            );
        }
    }
}

#[test]
fn a_link_in_responses_to_authorized_clients_never_counts() {
    let mut manifest = Manifest::default();
    for _ in 0..10 {
        see(&mut manifest, &Evidence::Authorized, &["a"]);
    }
    assert!(delivered(&manifest).is_empty());
}

#[test]
fn a_deploy_costs_one_response() {
    let mut manifest = Manifest::default();
    for _ in 0..30 {
        see(&mut manifest, &Evidence::Anonymous, &["a.1", "b.1"]);
    }
    let verdict = see(&mut manifest, &Evidence::Anonymous, &["a.2", "b.2"]);
    assert_eq!((verdict.right, verdict.wrong, verdict.paused), (0, 2, false));
    assert_eq!(delivered(&manifest), ["a.2", "b.2"]);
    let verdict = see(&mut manifest, &Evidence::Anonymous, &["a.2", "b.2"]);
    assert_eq!((verdict.right, verdict.wrong), (2, 0));
}

#[test]
fn a_link_that_comes_and_goes_waits_and_the_others_stay() {
    let mut manifest = Manifest::default();
    let mut wrong = 0;
    for turn in 0..400 {
        let variant = if turn % 2 == 0 { "variant-a" } else { "variant-b" };
        let verdict = see(&mut manifest, &Evidence::Anonymous, &["always", variant]);
        wrong += verdict.wrong;
        assert!(!verdict.paused);
    }
    assert_eq!(delivered(&manifest), ["always"]);
    assert!(wrong <= 4, "{wrong} wrong deliveries");
}

#[test]
fn a_document_whose_links_keep_being_wrong_is_paused() {
    let mut manifest = Manifest::default();
    for turn in 0..100 {
        let verdict = see_on(&mut manifest, 1, &Evidence::Anonymous, &[&format!("{turn}")]);
        assert!(!verdict.paused, "one visitor");
    }
    let mut paused = false;
    for turn in 0..100 {
        paused |= see_on(&mut manifest, turn, &Evidence::Anonymous, &[&format!("{turn}")]).paused;
    }
    assert!(paused);
    assert!(manifest.links(0).is_empty());
    assert!(
        manifest.links(24 * 3600).is_empty(),
        "links known before the pause are forgotten"
    );
    let seen = Observation {
        now: 24 * 3600,
        evidence: &Evidence::Anonymous,
        network: 1,
        response: Observed::Document,
        source: Source::Learned,
        fields: usize::MAX,
        links: &[spelled("a")],
        delivered: &[],
        policies: &[],
        page_policies: None,
        query: None,
    };
    manifest.observe(&LearnPolicy::default(), &seen);
    assert_eq!(manifest.links(24 * 3600).len(), 1, "learned again after the pause");
}

#[test]
fn deploys_do_not_pause_a_document() {
    let mut manifest = Manifest::default();
    for deploy in 0..20 {
        let links: Vec<String> = (0..6).map(|n| format!("{n}.{deploy}")).collect();
        let links: Vec<&str> = links.iter().map(String::as_str).collect();
        for _ in 0..12 {
            assert!(!see(&mut manifest, &Evidence::Anonymous, &links).paused);
        }
        assert_eq!(delivered(&manifest), links);
    }
}

#[test]
fn a_manifest_stays_below_80_kb_for_any_responses() {
    let mut manifest = Manifest::default();
    for turn in 0..1000_u32 {
        let links: Vec<String> = (0..100)
            .map(|n| format!("{turn}-{n}-{}", "x".repeat(2000 * (n % 2))))
            .collect();
        let links: Vec<&str> = links.iter().map(String::as_str).collect();
        see(&mut manifest, &visitor(turn.to_le_bytes()[0]), &links);
    }
    assert!(manifest.size() < 80_000, "{} bytes", manifest.size());
}

proptest! {
    /// Rule 17. Visitors have cookies, some of which change with each request, move between networks,
    /// and each gets a URL of its own beside the common one, in any order and any number.
    #[test]
    fn no_visitor_is_delivered_a_link_that_only_another_got(
        visits in proptest::collection::vec((0..4_u8, 0..3_u8, any::<u32>(), any::<bool>()), 1..200),
    ) {
        let mut manifest = Manifest::default();
        let common = CommonPairs::default();
        for (who, network, changing, sets_cookie) in visits {
            let session = format!("uid={who}; changing={changing:032}; lang=en");
            let set = format!("also_changing={changing:032}");
            let set_fields = [set.as_bytes()];
            let evidence = Evidence::of(
                &VisitorFacts {
                    authority: "h.example",
                    address: IpAddr::from([10, who, network, 1]),
                    cookies: &[session.as_bytes()],
                    set_cookies: if sets_cookie { &set_fields } else { &[] },
                    is_for_address: false,
                    authorization: false,
                    identities: &[],
                    division: None,
                    query: None,
                },
                &LearnKey::Path,
                &HASHER,
                (&common, 0),
            );
            for link in delivered(&manifest) {
                prop_assert_eq!(&*link, "common", "delivered to visitor {}", who);
            }
            see(&mut manifest, &evidence, &["common", &format!("avatar-{who}")]);
        }
    }
}

#[test]
fn a_document_is_settled_once_its_links_were_there_often_enough_and_read_again_when_they_change() {
    let mut manifest = Manifest::default();
    let until = (1..100).find(|_| see(&mut manifest, &Evidence::Anonymous, &["/a", "/b"]).is_settled);
    // The first response is answered before anything is known, so that one delivery less is right.
    assert_eq!(until, Some(41));
    manifest.settle(7);
    assert_eq!(
        (
            manifest.passes(7, &[], 99),
            manifest.last_seen(),
            manifest.passes(8, &[], 100)
        ),
        (Some(0), 99, None)
    );
    assert!(
        !see(&mut manifest, &Evidence::Anonymous, &["/a"]).is_settled,
        "a link is in doubt"
    );
    assert_eq!(
        manifest.passes(7, &[], 101),
        None,
        "the fields of a response that was read count no more"
    );
    see(&mut manifest, &Evidence::Anonymous, &["/a"]);
    assert_eq!(delivered(&manifest), ["/a"]);
    assert!(see(&mut manifest, &Evidence::Anonymous, &["/a"]).is_settled);
}

/// Returns a response with these links, looked for in this source.
fn response<'a>(links: &'a [Spelled], source: Source, delivered: &'a [LearnedLink]) -> Observation<'a> {
    Observation {
        now: 0,
        evidence: &Evidence::Anonymous,
        network: 1,
        response: Observed::Document,
        source,
        fields: if source == Source::Html { 0 } else { links.len() },
        links,
        delivered,
        policies: &[],
        page_policies: None,
        query: None,
    }
}

#[test]
fn responses_that_pass_count_as_judged_so_that_rare_mistakes_pause_nothing() {
    let policy = LearnPolicy::default();
    let mut manifest = Manifest::default();
    let common = [spelled("/a")];
    let mut right = 0;
    for network in 0..2000_u64 {
        let delivered = manifest.links(0);
        // Every thirtieth visitor gets another page.
        let other = [spelled("/b")];
        let is_other = network > 60 && network % 30 == 0;
        let links = if is_other { &other[..] } else { &common[..] };
        let fields = u64::from(is_other);
        if let Some(confirmed) = manifest.passes(fields, &delivered, 0) {
            right += confirmed;
            continue;
        }
        let verdict = manifest.observe(
            &policy,
            &Observation {
                network,
                ..response(links, Source::Learned, &delivered)
            },
        );
        assert!(!verdict.paused, "response {network}");
        if verdict.is_settled {
            manifest.settle(fields);
        }
    }
    assert!(right > 1000, "{right}");
}

#[test]
fn a_document_is_not_settled_while_its_policy_is_in_doubt() {
    let policy = LearnPolicy::default();
    let mut manifest = Manifest::default();
    let links = [spelled("/a")];
    let see = |manifest: &mut Manifest, network: u8, policies: &[&[u8]]| {
        let delivered = manifest.links(0);
        let seen = Observation {
            evidence: &visitor(network),
            network: network.into(),
            policies,
            ..response(&links, Source::Learned, &delivered)
        };
        manifest.observe(&policy, &seen).is_settled
    };
    let settled = (1..=100).find(|network| see(&mut manifest, *network, &[b"script-src 'self'"]));
    assert!(settled.is_some());
    assert!(!see(&mut manifest, 101, &[b"script-src 'nonce-a'"]));
    assert!(see(&mut manifest, 102, &[b"script-src 'nonce-a'"]));
}

#[test]
fn links_of_html_are_not_judged_by_responses_whose_html_nobody_read() {
    let policy = LearnPolicy::default();
    let mut manifest = Manifest::default();
    let (page, field) = ([spelled("/a"), spelled("/b")], [spelled("/a")]);
    manifest.observe(&policy, &response(&page, Source::Html, &[]));
    for _ in 0..200 {
        let links = manifest.links(0);
        let verdict = manifest.observe(&policy, &response(&field, Source::Learned, &links));
        assert_eq!(verdict.wrong, 0);
    }
    assert_eq!(delivered(&manifest), ["/a", "/b"]);
    // The HTML is never read again: in the end they go.
    for _ in 0..200 {
        let links = manifest.links(0);
        manifest.observe(&policy, &response(&field, Source::Learned, &links));
    }
    assert_eq!(delivered(&manifest), ["/a"]);
}

/// Returns a link to a stylesheet.
fn sheet(target: &str) -> Spelled {
    Spelled::read(format!("<{target}>; rel=preload; as=style").as_bytes()).expect("a link")
}

#[test]
fn a_stylesheet_is_learned_behind_any_number_of_other_links() {
    for others in [31, 32, 40, 90] {
        let scripts: Vec<Spelled> = (0..others).map(|n| spelled(&n.to_string())).collect();
        let with_sheet = [&scripts[..], &[sheet("late")]].concat();
        // At once, and where the page had its other links before.
        for before in [&with_sheet, &scripts] {
            let mut manifest = Manifest::default();
            for links in [before, &with_sheet, &with_sheet] {
                let known = manifest.links(0);
                see_links(&mut manifest, 1, &Evidence::Anonymous, (links, &known));
            }
            let delivered = delivered(&manifest);
            assert_eq!(delivered.len(), MAX_LINKS, "{others}");
            assert!(delivered.contains(&"late".to_owned()), "{others}");
            // The others stay in their order.
            let firsts = (0..MAX_LINKS - 1).map(|n| n.to_string());
            assert!(delivered.iter().take(MAX_LINKS - 1).cloned().eq(firsts), "{others}");
        }
    }
}

#[test]
fn a_link_that_is_too_long_takes_no_place() {
    let mut manifest = Manifest::default();
    let mut links = vec![spelled(&"x".repeat(MAX_LINK_BYTES))];
    links.extend((0..MAX_LINKS).map(|n| spelled(&n.to_string())));
    see_links(&mut manifest, 1, &Evidence::Anonymous, (&links, &[]));
    assert_eq!(delivered(&manifest).len(), MAX_LINKS);
}
