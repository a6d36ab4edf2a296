//! Tests that every [`SkipReason`] occurs, and, for any links, policy and facts, that plans stay within their limits
//! and promise only URLs of the document's origin or of listed authorities.

use std::{collections::HashSet, sync::Arc};

use http::{HeaderName, HeaderValue, Method, StatusCode};
use proptest::{collection::vec, prelude::*, sample::select};
use url::Url;

use super::*;
use crate::push::{Authority, Credentials, Csp, Delivery, Destinations, Diary, HintRequests, PushState, mentions};

/// The arguments of a plan; tests change single fields.
#[derive(Debug, Clone)]
struct Scene {
    document: (&'static str, &'static str, &'static str),
    policy: Policy,
    method: Method,
    status: Option<StatusCode>,
    request: Vec<(&'static str, &'static str)>,
    pushed_parent: bool,
    promised: usize,
    hinted: usize,
    told: Vec<HeaderValue>,
    returning: bool,
    /// `None` for HTTP/1.x.
    http2: Option<Http2>,
    is_bad: bool,
    is_not_reusable: bool,
    csp: Option<&'static str>,
    withheld: Option<SkipReason>,
    fields: Vec<(Source, Vec<u8>)>,
}

#[derive(Debug, Clone)]
struct Http2 {
    accepts_push: bool,
    max_concurrent_streams: usize,
    open_promises: usize,
    refusals: u32,
    known: Vec<(&'static str, Known)>,
}

impl Scene {
    /// A page to which every link is pushed.
    fn pushing(source: Source, field: &[u8]) -> Self {
        Self {
            document: ("https", "shop.example", "/dir/page?q"),
            policy: Policy::default(),
            method: Method::GET,
            status: Some(StatusCode::OK),
            request: Vec::new(),
            pushed_parent: false,
            promised: 0,
            hinted: 0,
            told: Vec::new(),
            returning: false,
            http2: Some(Http2 {
                accepts_push: true,
                max_concurrent_streams: 100,
                open_promises: 0,
                refusals: 0,
                known: Vec::new(),
            }),
            is_bad: false,
            is_not_reusable: false,
            csp: None,
            withheld: None,
            fields: vec![(source, field.to_vec())],
        }
    }

    /// A navigation of a client that takes no pushes, to which every link is hinted.
    fn hinting(field: &[u8]) -> Self {
        let mut scene = Self::pushing(Source::Early, field);
        scene.request.push(("sec-fetch-mode", "navigate"));
        scene.http2().accepts_push = false;
        scene
    }

    fn http2(&mut self) -> &mut Http2 {
        self.http2.as_mut().expect("an HTTP/2 client")
    }

    fn document(&self) -> Document {
        let (scheme, authority, path) = self.document;
        Document::new(scheme, authority, path).expect("a document")
    }

    /// Plans for a client with a diary of its own.
    fn plan(&self) -> (Plan, Vec<SkipReason>) {
        let mut diary = Diary::new(64);
        let Some(http2) = &self.http2 else {
            return self.plan_with(None);
        };
        let (scheme, authority, _) = self.document;
        for (path, how) in &http2.known {
            diary.record(diary.key(scheme, authority, path), *how);
        }
        self.plan_with(Some(Http2Facts {
            accepts_push: http2.accepts_push,
            max_concurrent_streams: http2.max_concurrent_streams,
            open_promises: http2.open_promises,
            refusals: http2.refusals,
            diary: &diary,
        }))
    }

    fn plan_with(&self, http2: Option<Http2Facts<'_>>) -> (Plan, Vec<SkipReason>) {
        let request: HeaderMap = self
            .request
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let csp = Csp::parse(self.csp.iter().map(|policy| policy.as_bytes()));
        let facts = Facts {
            method: &self.method,
            status: self.status,
            request: &request,
            pushed_parent: self.pushed_parent,
            promised: self.promised,
            hinted: self.hinted,
            told: &self.told,
            returning: self.returning,
            http2,
            is_bad: &|_| self.is_bad,
            is_not_reusable: &|_| self.is_not_reusable,
            csp: csp.as_ref(),
        };
        let mut reasons = Vec::new();
        let mut mentions = mentions(self.fields.iter().map(|(source, field)| (*source, field.as_slice())));
        mentions.iter_mut().for_each(|mention| mention.withheld = self.withheld);
        let plan = plan(&self.policy, &facts, &self.document(), &mentions, &mut |_, reason| {
            reasons.push(reason)
        });
        (plan, reasons)
    }
}

const LINK: &[u8] = b"</a.css>; rel=preload; as=style";

#[test]
fn the_scenes_start_without_a_skip() {
    let (plan, reasons) = Scene::pushing(Source::Response, LINK).plan();
    assert_eq!((plan.promises.len(), plan.hints.len(), reasons), (1, 0, vec![]));
    let (plan, reasons) = Scene::hinting(LINK).plan();
    assert_eq!((plan.promises.len(), plan.hints.len(), reasons), (0, 1, vec![]));
}

#[test]
fn every_reason_comes_up() {
    let mut seen = HashSet::new();
    for (reason, scene) in [scenes_of_facts(), scenes_of_links()].concat() {
        let (plan, reasons) = scene.plan();
        assert_eq!(reasons, [reason], "{plan:?}");
        seen.insert(reason);
    }
    // What is not learned is not among the mentions of a plan.
    seen.extend([
        SkipReason::WaitingForVisitors,
        SkipReason::TooLong,
        SkipReason::TooManyLearned,
    ]);
    let forgotten: Vec<_> = SkipReason::ALL.iter().filter(|reason| !seen.contains(reason)).collect();
    assert!(forgotten.is_empty(), "without a scene: {forgotten:?}");
}

/// Scenes with a good link that is skipped because of policy or facts, with the reason.
fn scenes_of_facts() -> Vec<(SkipReason, Scene)> {
    use SkipReason as Reason;
    let change = |mut scene: Scene, change: fn(&mut Scene)| {
        change(&mut scene);
        scene
    };
    let pushing = |f: fn(&mut Scene)| change(Scene::pushing(Source::Response, LINK), f);
    let hinting = |f: fn(&mut Scene)| change(Scene::hinting(LINK), f);
    vec![
        (Reason::Off, pushing(|s| s.policy.delivery = Delivery::Off)),
        (Reason::Http1, pushing(|s| s.http2 = None)),
        (Reason::PushedParent, pushing(|s| s.pushed_parent = true)),
        (Reason::Method, pushing(|s| s.method = Method::POST)),
        (Reason::Method, pushing(|s| s.method = Method::HEAD)),
        (Reason::Status, pushing(|s| s.status = Some(StatusCode::NOT_FOUND))),
        (Reason::Status, pushing(|s| s.status = Some(StatusCode::NOT_MODIFIED))),
        (Reason::Status, hinting(|s| s.status = Some(StatusCode::BAD_GATEWAY))),
        (Reason::PushDisabled, hinting(|s| s.policy.delivery = Delivery::Push)),
        (
            Reason::SaveData,
            pushing(|s| s.request = vec![("save-data", "On; x=1")]),
        ),
        (
            Reason::AcceptPushPolicy,
            pushing(|s| s.request = vec![("accept-push-policy", "none")]),
        ),
        (
            Reason::ClientRefuses,
            pushing(|s| s.http2().refusals = s.policy.max_refusals),
        ),
        (Reason::NotNavigation, hinting(|s| s.request.clear())),
        (
            Reason::NotNavigation,
            hinting(|s| s.request = vec![("sec-fetch-mode", "no-cors")]),
        ),
        (
            Reason::NotNavigation,
            hinting(|s| s.request.push(("sec-fetch-dest", "iframe"))),
        ),
        (
            Reason::NotNavigation,
            hinting(|s| {
                s.request
                    .extend([("sec-fetch-dest", "document"), ("sec-purpose", "prefetch;prerender")])
            }),
        ),
        (
            Reason::NotNavigation,
            hinting(|s| s.request.push(("service-worker-navigation-preload", "true"))),
        ),
        (Reason::Csp, hinting(|s| s.csp = Some("style-src 'nonce-x'"))),
        (Reason::NotReusable, hinting(|s| s.is_not_reusable = true)),
        (Reason::Unused, hinting(|s| s.withheld = Some(Reason::Unused))),
        (
            Reason::TooLateToHint,
            hinting(|s| s.fields = vec![(Source::Response, LINK.to_vec())]),
        ),
        (
            Reason::Destination,
            pushing(|s| s.policy.destinations = Destinations::Only(vec![Destination::Script])),
        ),
        (
            Reason::AlreadyPushed,
            pushing(|s| s.http2().known = vec![("/a.css", Known::Pushed)]),
        ),
        (
            Reason::AlreadyFetched,
            pushing(|s| s.http2().known = vec![("/a.css", Known::Fetched)]),
        ),
        (Reason::NotPushable, pushing(|s| s.is_bad = true)),
        (Reason::MaxPromises, pushing(|s| s.promised = s.policy.max_promises)),
        (
            Reason::ClientStreamLimit,
            pushing(|s| s.http2().open_promises = s.http2().max_concurrent_streams),
        ),
        (Reason::MaxHints, hinting(|s| s.hinted = s.policy.max_hints)),
        (
            Reason::Duplicate,
            hinting(|s| s.told = LINK.try_into().into_iter().collect()),
        ),
        (
            Reason::Returning,
            pushing(|s| {
                s.returning = true;
                s.fields = vec![(Source::Learned, LINK.to_vec())];
            }),
        ),
    ]
}

/// Scenes in which one link is skipped because of the link itself, with the reason.
fn scenes_of_links() -> Vec<(SkipReason, Scene)> {
    use SkipReason as Reason;
    let page = |field: &[u8]| Scene::pushing(Source::Response, field);
    let many: String = (0..=MAX_LINKS).map(|n| format!("</{n}>; rel=preload, ")).collect();
    let mut page_of_many = page(many.as_bytes());
    page_of_many.policy.max_promises = MAX_LINKS;
    page_of_many.http2().max_concurrent_streams = MAX_LINKS;
    vec![
        (Reason::TooManyLinks, page_of_many),
        (Reason::Malformed, page(b"/a.css; rel=preload")),
        (Reason::Relation, page(b"</a.css>; rel=stylesheet")),
        (Reason::Relation, Scene::hinting(b"</a.css>; rel=prefetch; as=style")),
        (Reason::Nopush, page(b"</a.css>; rel=preload; nopush")),
        (Reason::Anchor, page(b"</a.css>; rel=preload; anchor=\"/elsewhere\"")),
        (
            Reason::Anchor,
            Scene::hinting(b"</a.css>; rel=preload; as=style; anchor=\"/elsewhere\""),
        ),
        (Reason::HintWithoutAs, Scene::hinting(b"</a.css>; rel=preload")),
        (
            Reason::HintWithoutAs,
            Scene::hinting(b"</a.css>; rel=preload; as=nothing"),
        ),
        (Reason::BadTarget, page(b"</a%zz.css>; rel=preload")),
        (
            Reason::BadTarget,
            Scene::hinting(b"<https://u@h/a.css>; rel=preconnect"),
        ),
        (Reason::OtherOrigin, page(b"<//cdn.example/a.css>; rel=preload")),
        (Reason::OtherOrigin, page(b"<http://shop.example/a.css>; rel=preload")),
        (Reason::Itself, page(b"<page?q>; rel=preload")),
        (Reason::Itself, Scene::hinting(b"<>; rel=preload; as=fetch")),
        (
            Reason::Duplicate,
            page(b"</a.css>; rel=preload, <https://SHOP.example:443/x/../a.css#f>; rel=preload"),
        ),
        (
            Reason::Duplicate,
            Scene::hinting(b"</a.css>; rel=preload; as=style, </a.css>; rel=preload; as=style"),
        ),
        (
            Reason::Duplicate,
            Scene::hinting(b"</a.css>; rel=preload; as=style, </a.css>; as=style; nonce=x; rel=\"preload x\"; nopush"),
        ),
        (
            Reason::MaxHints,
            Scene::hinting(&[LINK, b"; integrity=", &[b'x'; MAX_HINT_BYTES]].concat()),
        ),
        (
            Reason::HintDestination,
            Scene::hinting(b"</a.vtt>; rel=preload; as=track"),
        ),
        (
            Reason::Media,
            Scene::hinting(b"</a.css>; rel=preload; as=style; media=print"),
        ),
        (
            Reason::ImageSrcset,
            Scene::hinting(b"</a.png>; rel=preload; as=image; imagesrcset=\"/a.png 1x\""),
        ),
        (
            Reason::MediaType,
            Scene::hinting(b"</a.css>; rel=preload; as=style; type=text/less"),
        ),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_promised_url_is_of_the_document_or_of_a_listed_authority(scene in scene()) {
        let (plan, _) = scene.plan();
        let home = Origin::of_document(&scene);
        let mut allowed = vec![home.clone()];
        allowed.extend(scene.policy.authorities.iter().map(|authority| Origin {
            host: authority.host.to_string(),
            port: authority.port.unwrap_or(default_port(&home.scheme)),
            scheme: home.scheme.clone(),
        }));
        let mut urls = HashSet::new();
        for promise in &plan.promises {
            let uri = promise.request.uri();
            let origin = Origin::of(uri);
            prop_assert!(allowed.contains(&origin), "{uri} is of {origin:?}");
            // The `url` crate's parser reads the same host and port.
            let url = Url::parse(&uri.to_string()).expect("a URL");
            prop_assert_eq!(url.host_str(), Some(origin.host.as_str()), "{}", uri);
            prop_assert_eq!(url.port_or_known_default(), Some(origin.port), "{}", uri);
            prop_assert_eq!((url.username(), url.password(), url.fragment()), ("", None, None), "{}", uri);
            prop_assert!(!uri.authority().is_some_and(|authority| authority.as_str().contains('@')));

            let path = uri.path_and_query().expect("a path").as_str();
            prop_assert!(path.starts_with('/'), "{}", uri);
            prop_assert!(
                path.bytes().all(|b| b.is_ascii_graphic() && b != b'#' && b != b'\\'),
                "{}", uri
            );
            prop_assert!(!uri.path().split('/').any(|segment| matches!(segment, "." | "..")), "{}", uri);
            prop_assert_eq!(promise.request.method(), Method::GET);
            prop_assert!(urls.insert((origin, path.to_owned())), "{} twice", uri);
        }
        let (_, _, path) = scene.document;
        prop_assert!(!urls.contains(&(home, path.to_owned())), "the document itself");
    }

    #[test]
    fn a_plan_stays_within_its_limits(scene in scene()) {
        let (plan, _) = scene.plan();
        let (promises, hints) = (plan.promises.len(), plan.hints.len());
        prop_assert!(promises <= scene.policy.max_promises.saturating_sub(scene.promised));
        prop_assert!(hints <= scene.policy.max_hints.saturating_sub(scene.hinted));
        prop_assert!(plan.hints.iter().map(HeaderValue::len).sum::<usize>() <= MAX_HINT_BYTES);
        prop_assert!(promises == 0 || hints == 0, "never both");
        let Some(http2) = &scene.http2 else {
            prop_assert!(plan.is_empty(), "HTTP/1.x");
            return Ok(());
        };
        prop_assert!(promises <= http2.max_concurrent_streams.saturating_sub(http2.open_promises));
        let refuses = !http2.accepts_push || http2.refusals >= scene.policy.max_refusals;
        let delivery = scene.policy.delivery;
        prop_assert!(promises == 0 || !refuses && !matches!(delivery, Delivery::Hint | Delivery::Off));
        prop_assert!(hints == 0 || !matches!(delivery, Delivery::Push | Delivery::Off));
        let ordinary = scene.method == Method::GET && !scene.pushed_parent;
        prop_assert!(plan.is_empty() || ordinary);
    }

    #[test]
    fn a_promised_url_is_not_promised_again(scene in scene()) {
        let client = Arc::new(PushState::new(1024));
        let (first, reasons) = scene.plan_for(&client);
        for promise in &first.promises {
            promise.slot.as_ref().expect("a reserved place").mark_sent();
        }
        prop_assert_eq!(client.open_promises(), first.promises.len());
        let (second, _) = scene.plan_for(&client);
        for url in urls(&second) {
            prop_assert!(!urls(&first).contains(&url), "{} again", url);
        }
        let was_cut = [SkipReason::MaxPromises, SkipReason::ClientStreamLimit]
            .iter()
            .any(|limit| reasons.contains(limit));
        prop_assert!(was_cut || second.promises.is_empty());
        prop_assert_eq!(&first.hints, &second.hints, "hints reserve nothing");

        let reserved = urls(&second).len();
        drop(first.promises);
        prop_assert_eq!(client.open_promises(), reserved, "a finished promise gives back its place");
        let (third, _) = scene.plan_for(&client);
        prop_assert!(!urls(&third).iter().any(|url| urls(&second).contains(url)));
    }

    #[test]
    fn a_plan_that_is_not_sent_gives_everything_back(scene in scene()) {
        let client = Arc::new(PushState::new(1024));
        let (first, reasons) = scene.plan_for(&client);
        let (promised, hints) = (urls(&first), first.hints.clone());
        drop(first);
        prop_assert_eq!(client.open_promises(), 0);
        let (second, reasons_again) = scene.plan_for(&client);
        prop_assert_eq!((urls(&second), second.hints), (promised, hints));
        prop_assert_eq!(reasons_again, reasons);
    }
}

impl Scene {
    /// Plans for a client with a diary, in which promises are reserved.
    fn plan_for(&self, client: &Arc<PushState>) -> (Plan, Vec<SkipReason>) {
        if let Some(http2) = &self.http2 {
            client.set_enable_push(http2.accepts_push);
            let limit = u32::try_from(http2.max_concurrent_streams).expect("a small limit");
            client.set_max_concurrent_streams(limit);
        }
        let mut reasons = Vec::new();
        let plan = client.plan(|http2| {
            let (plan, skipped) = self.plan_with(self.http2.as_ref().map(|_| *http2));
            reasons = skipped;
            plan
        });
        (plan, reasons)
    }
}

fn urls(plan: &Plan) -> Vec<String> {
    plan.promises
        .iter()
        .map(|promise| promise.request.uri().to_string())
        .collect()
}

/// Scheme, host in lower case, effective port (RFC 6454).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    fn of(uri: &Uri) -> Self {
        let scheme = uri.scheme_str().expect("a scheme").to_owned();
        Self {
            host: uri.host().expect("a host").to_ascii_lowercase(),
            port: uri.port_u16().unwrap_or(default_port(&scheme)),
            scheme,
        }
    }

    fn of_document(scene: &Scene) -> Self {
        let (scheme, authority, path) = scene.document;
        Self::of(&[scheme, "://", authority, path].concat().parse().expect("a URI"))
    }
}

fn default_port(scheme: &str) -> u16 {
    if scheme == "https" { 443 } else { 80 }
}

const DOCUMENTS: &[(&str, &str, &str)] = &[
    ("https", "shop.example", "/"),
    ("https", "Shop.Example:443", "/dir/page?q=1"),
    ("http", "shop.example:8080", "/dir/../page"),
    ("http", "127.0.0.1", "/a//b/"),
    ("https", "[::1]:8443", "/a.css"),
];

/// Pieces of generated targets, in any order: their combinations reach most known confusions of URL parsers.
const WORDS: &[&[u8]] = &[
    b"/",
    b"//",
    b"\\",
    b"/a.css",
    b"b",
    b"..",
    b"%2e%2e",
    b".",
    b"%",
    b"%2f",
    b"%00",
    b"%zz",
    b"?",
    b"#",
    b"@",
    b":",
    b":443",
    b":80",
    b":8443",
    b":8080",
    b"shop.example",
    b"SHOP.example",
    b"cdn.example",
    b"evil.example",
    b"127.0.0.1",
    b"0x7f.1",
    b"[::1]",
    b"https:",
    b"http:",
    b"HTTPS://",
    b"http://",
    b"javascript:",
    b"data:,",
    b"\t",
    b" ",
    b"\n",
    b"\0",
    b"\x7f",
    b"\xc3\xa9",
    b"\xff",
    b"xn--e1afmkfd",
    b"\xef\xbc\x8f",
    b"|",
    b"^",
    b"{",
    b"\"",
    b"<",
    b">",
    b"'",
];

/// Parameters of generated links, most of which let the link be delivered.
const PARAMETERS: &[&[u8]] = &[
    b"; rel=preload",
    b"; rel=\"next PRELOAD\"",
    b"; rel=modulepreload",
    b"; rel=preconnect",
    b"; rel=stylesheet",
    b"; as=style",
    b"; as=\"script\"",
    b"; as=nothing",
    b"; nopush",
    b"; fetchpriority=low",
    b"; anchor=\"/elsewhere\"",
    b"; anchor=\"\"",
    b"; title=\"a, </b>; rel=preload\"",
    b"; title=\"\xff",
    b";;",
    b"; =",
];

const SCHEMES: &[&[u8]] = &[b"", b"https:", b"http:", b"HTTPS:"];
const HOSTS: &[&[u8]] = &[
    b"shop.example",
    b"SHOP.Example",
    b"cdn.example",
    b"CDN.example",
    b"evil.example",
    b"127.0.0.1",
    b"127.1",
    b"[::1]",
    b"[0:0::1]",
    b"shop.example.",
    b"u@shop.example",
    b"shop.example@evil.example",
    b"shop.example\\@evil.example",
    b"evil.example#@shop.example",
];
const PORTS: &[&[u8]] = &[b"", b":", b":443", b":80", b":8080", b":8443", b":0443", b":65536"];

fn target() -> impl Strategy<Value = Vec<u8>> {
    let absolute = (select(SCHEMES), select(HOSTS), select(PORTS), vec(select(WORDS), 0..3));
    prop_oneof![
        3 => (0_u8..40).prop_map(|n| format!("/{n}.css").into_bytes()),
        2 => vec(select(WORDS), 0..6).prop_map(|words| words.concat()),
        4 => absolute.prop_map(|(scheme, host, port, path)| [scheme, b"//", host, port, b"/", &path.concat()].concat()),
        1 => vec(any::<u8>(), 0..12),
    ]
}

fn field() -> impl Strategy<Value = Vec<u8>> {
    let usual = select(vec![b"; rel=preload; as=style".as_slice(), b"; rel=preload"]);
    let parameters = prop_oneof![3 => Just(vec![]), 1 => vec(select(PARAMETERS), 1..4)];
    let any_words = vec(prop_oneof![select(WORDS), select(PARAMETERS)], 0..60);
    let link = prop_oneof![
        9 => (target(), usual, parameters).prop_map(|(target, usual, parameters)| {
            [b"<", target.as_slice(), b">", usual, &parameters.concat()].concat()
        }),
        1 => (target(), vec(select(PARAMETERS), 0..4)).prop_map(|(target, parameters)| {
            [b"<", target.as_slice(), b">", &parameters.concat()].concat()
        }),
    ];
    prop_oneof![
        8 => vec(link, 0..30).prop_map(|links| links.join(b", ".as_slice())),
        1 => vec(any::<u8>(), 0..200),
        1 => any_words.prop_map(|words| words.concat()),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    let delivery = prop_oneof![
        4 => Just(Delivery::Auto),
        1 => select(&[Delivery::Push, Delivery::Hint, Delivery::Off][..]),
    ];
    let authority = |host: &str, port| Authority {
        host: host.into(),
        port,
    };
    let authorities = vec![
        authority("cdn.example", None),
        authority("cdn.example", Some(8443)),
        authority("127.0.0.1", Some(8080)),
        authority("[::1]", None),
    ];
    let destinations = prop_oneof![
        3 => Just(Destinations::Any),
        1 => Just(Destinations::Only(vec![Destination::Style, Destination::Script])),
    ];
    let limits = (prop_oneof![1_usize..8, 1_usize..=100], 1_usize..=100, 2_u32..5);
    let choices = (any::<bool>(), any::<bool>(), any::<bool>());
    let authorities = proptest::sample::subsequence(authorities, 1..=4);
    (delivery, destinations, authorities, limits, choices).prop_map(
        |(delivery, destinations, authorities, (max_promises, max_hints, max_refusals), choices)| Policy {
            delivery,
            destinations,
            authorities,
            max_promises,
            max_hints,
            max_refusals,
            nopush: if choices.0 { Nopush::Honour } else { Nopush::Ignore },
            credentials: if choices.1 {
                Credentials::Omit
            } else {
                Credentials::Include
            },
            hint_requests: if choices.2 {
                HintRequests::Navigate
            } else {
                HintRequests::All
            },
            ..Policy::default()
        },
    )
}

fn http2() -> impl Strategy<Value = Http2> {
    let known = vec(
        (
            select(&["/1.css", "/2.css", "/3.css"][..]),
            select(&[Known::Pushed, Known::Fetched][..]),
        ),
        0..3,
    );
    let limit = prop_oneof![3 => 10_usize..200, 1 => 0_usize..10];
    (
        prop_oneof![3 => Just(true), 1 => Just(false)],
        limit,
        0_usize..10,
        0_u32..3,
        known,
    )
        .prop_map(
            |(accepts_push, max_concurrent_streams, open_promises, refusals, known)| Http2 {
                accepts_push,
                max_concurrent_streams,
                open_promises,
                refusals,
                known,
            },
        )
}

fn scene() -> impl Strategy<Value = Scene> {
    let sources = [Source::Configured, Source::Learned, Source::Early, Source::Response];
    let fields = vec((select(sources.to_vec()), field()), 1..4);
    let method = prop_oneof![19 => Just(Method::GET), 1 => select(vec![Method::HEAD, Method::POST])];
    let status = prop_oneof![
        5 => Just(None),
        5 => Just(Some(StatusCode::OK)),
        1 => (100_u16..600).prop_map(|code| StatusCode::from_u16(code).ok()),
    ];
    let request = prop_oneof![
        9 => Just(vec![("sec-fetch-mode", "navigate")]),
        1 => select(vec![vec![], vec![("save-data", "on")], vec![("accept-push-policy", "none")]]),
    ];
    let client = prop_oneof![19 => http2().prop_map(Some), 1 => Just(None)];
    let rarely = || prop_oneof![19 => Just(false), 1 => Just(true)];
    let counts = (0_usize..4, 0_usize..4, rarely(), rarely());
    let is_bad = prop_oneof![19 => Just(false), 1 => Just(true)];
    let around = (select(DOCUMENTS), method, status, request, is_bad);
    (around, policy(), counts, client, fields).prop_map(
        |(
            (document, method, status, request, is_bad),
            policy,
            (promised, hinted, pushed_parent, returning),
            http2,
            fields,
        )| {
            Scene {
                document,
                policy,
                method,
                status,
                request,
                pushed_parent,
                promised,
                hinted,
                told: Vec::new(),
                returning,
                http2,
                is_bad,
                is_not_reusable: promised % 5 == 1,
                csp: (hinted % 7 == 1).then_some("script-src 'nonce-x'"),
                withheld: None,
                fields,
            }
        },
    )
}

#[test]
fn a_url_fetched_while_a_plan_waits_stays_in_the_diary() {
    let scene = Scene::pushing(Source::Response, LINK);
    let client = Arc::new(PushState::new(16));
    let (unsent, _) = scene.plan_for(&client);
    client.record_fetched("https", "shop.example", "/a.css");
    drop(unsent);
    let (plan, reasons) = scene.plan_for(&client);
    assert_eq!((urls(&plan), reasons), (vec![], vec![SkipReason::AlreadyFetched]));
}

#[test]
fn an_early_refusal_is_the_reason_that_the_plan_would_give() {
    let fields = [
        vec![],
        vec![("sec-fetch-mode", "navigate")],
        vec![("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
        vec![("save-data", "on")],
        vec![("accept-push-policy", "none"), ("sec-fetch-mode", "navigate")],
    ];
    let mut refused = 0;
    for delivery in [Delivery::Auto, Delivery::Push, Delivery::Hint, Delivery::Off] {
        for (accepts_push, refusals) in [(true, 0), (true, 99), (false, 0)] {
            for request in &fields {
                let mut scene = Scene::pushing(Source::Learned, b"</a.css>; rel=preload; as=style");
                scene.status = None;
                scene.policy.delivery = delivery;
                scene.request.clone_from(request);
                scene.http2().accepts_push = accepts_push;
                scene.http2().refusals = refusals;
                let (plan, reasons) = scene.plan();
                let request = request
                    .iter()
                    .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
                let refusal = early_refusal(&scene.policy, &request.collect(), (accepts_push, refusals));
                assert_eq!(refusal, reasons.first().copied(), "{scene:?}");
                assert_eq!(refusal.is_some(), plan.is_empty(), "{scene:?}");
                refused += u32::from(refusal.is_some());
            }
        }
    }
    assert!(refused > 20, "{refused}");
}

#[test]
fn a_crowd_of_modules_does_not_take_the_place_of_a_stylesheet() {
    let module = |n: usize| format!("</chunk/{n}.js>; rel=modulepreload");
    let links = |modules: usize| -> String {
        let mut links: Vec<String> = (0..modules).map(module).collect();
        links.push("</late.js>; rel=preload; as=script".into());
        links.push("</late.css>; rel=preload; as=style".into());
        links.join(", ")
    };
    let hints = |links: &str| Scene::hinting(links.as_bytes()).plan().0.hints;
    let crowd = hints(&links(40));
    assert_eq!(crowd.len(), 20);
    assert!(crowd.starts_with(&[
        HeaderValue::from_static("</late.css>; rel=preload; as=style"),
        HeaderValue::from_static("</late.js>; rel=preload; as=script"),
        HeaderValue::from_static("</chunk/0.js>; rel=modulepreload"),
    ]));
    let (plan, _) = Scene::pushing(Source::Response, links(40).as_bytes()).plan();
    let promised = plan.promises.iter().map(|promise| promise.request.uri().path());
    let promised: Vec<&str> = promised.collect();
    assert_eq!(promised.len(), 16);
    assert!(promised.starts_with(&["/late.css", "/late.js", "/chunk/0.js"]));

    // With room for all; and with room for all but for their length.
    assert_eq!(hints(&links(3)).first().map(|hint| hint == &module(0)), Some(true));
    let long = format!(
        "</{}.js>; rel=modulepreload, {}",
        "x".repeat(MAX_HINT_BYTES - 100),
        links(1)
    );
    let first = HeaderValue::from_static("</late.css>; rel=preload; as=style");
    assert_eq!(hints(&long).first(), Some(&first));
}

#[test]
fn a_hint_has_no_parameter_that_browsers_ignore_links_for() {
    for (field, expected) in [
        (
            "</a.css>; rel=preload; as=style; anchor=\"\"",
            Some("</a.css>; rel=preload; as=style"),
        ),
        (
            "</a.css>; rel=preload; as=style; anchor=\"/dir/page?q\"; title=x",
            Some("</a.css>; rel=preload; as=style"),
        ),
        (
            "</a.css>; rel=preload; as=style; anchor=\"https://SHOP.example/dir/page?q\"; media=\" \"",
            Some("</a.css>; rel=preload; as=style"),
        ),
        ("</a.css>; rel=preload; as=style; anchor=\"/other\"", None),
        (
            "<//cdn.example>; rel=preconnect; as=foo; imagesrcset=\"/a 1x\"; crossorigin=x; anchor=\"\"",
            Some("<//cdn.example>; rel=preconnect; crossorigin"),
        ),
        ("<//cdn.example>; rel=preconnect; media=print", None),
        ("<//cdn.example>; rel=preconnect; anchor=\"/other\"", None),
    ] {
        let hints = Scene::hinting(field.as_bytes()).plan().0.hints;
        let expected: Vec<HeaderValue> = expected.into_iter().map(HeaderValue::from_static).collect();
        assert_eq!(hints, expected, "{field}");
    }
}

#[test]
fn a_later_103_repeats_no_link_in_another_spelling() {
    for (field, is_repeated) in [
        ("</a.css>; rel=preload; as=style", true),
        ("<https://shop.example/a.css>; rel=preload; as=style", true),
        ("<//SHOP.example:443/x/../a.css#f>; as=STYLE; rel=preload; nopush", true),
        ("<../a.css>; rel=preload; as=style; anchor=\"\"", true),
        ("<a.css>; rel=preload; as=style", false),
        ("</a.css>; rel=preload; as=style; crossorigin", false),
        ("<https://cdn.example/a.css>; rel=preload; as=style", false),
    ] {
        let mut scene = Scene::hinting(field.as_bytes());
        scene.told = LINK.try_into().into_iter().collect();
        let (plan, reasons) = scene.plan();
        assert_eq!(reasons == [SkipReason::Duplicate], is_repeated, "{field}: {plan:?}");
        assert_eq!(plan.hints.is_empty(), is_repeated, "{field}");
    }
}
