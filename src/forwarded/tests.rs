//! Tests the fields for origins by tables, and that fields of an untrusted client are never believed.

use proptest::prelude::*;

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    element,
    facts::{MAX_AUTHORITY, scheme_of},
    text::MAX_CHAIN,
    *,
};
use crate::peer::{Peer, Scheme, Trusted};

fn fields(lines: &[(&str, &str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            (name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"))
        })
        .collect()
}

/// Returns the fields for an origin about 203.0.113.7 at https://shop.example/.
fn told(trust: Trust, lines: &[(&str, &str)]) -> Told {
    told_of("203.0.113.7", trust, Scheme::Https, "shop.example", lines)
}

fn told_of(address: &str, trust: Trust, scheme: Scheme, authority: &str, lines: &[(&str, &str)]) -> Told {
    let facts = ForwardedFacts {
        address: address.parse().expect("an address"),
        trust,
        scheme,
        authority,
        fields: &fields(lines),
    };
    tell(&facts, ForwardedField::On)
}

fn text(value: &HeaderValue) -> &str {
    value.to_str().expect("ASCII")
}

/// Returns chain, scheme, host and port.
fn row(told: &Told) -> [&str; 4] {
    [
        text(&told.chain),
        text(&told.scheme),
        told.host.as_ref().map_or("-", text),
        text(&told.port),
    ]
}

fn forwarded(told: &Told) -> &str {
    text(told.forwarded.as_ref().expect("asked for"))
}

const SPOOFED: &[(&str, &str)] = &[
    ("x-forwarded-for", "10.0.0.1"),
    ("x-forwarded-for", "10.0.0.2"),
    ("x-forwarded-proto", "http"),
    ("x-forwarded-host", "evil.example"),
    ("x-forwarded-port", "1"),
    ("forwarded", "for=10.0.0.3;host=evil.example"),
];

#[test]
fn fields_of_an_untrusted_client_are_replaced() {
    let told = told(Trust::Untrusted, SPOOFED);
    assert_eq!(row(&told), ["203.0.113.7", "https", "shop.example", "443"]);
    assert_eq!(forwarded(&told), "for=203.0.113.7;host=shop.example;proto=https");
}

#[test]
fn a_trusted_peers_fields_stay_and_its_address_is_appended() {
    let told = told(Trust::Trusted, SPOOFED);
    assert_eq!(
        row(&told),
        ["10.0.0.1, 10.0.0.2, 203.0.113.7", "http", "evil.example", "1"]
    );
    assert_eq!(
        forwarded(&told),
        "for=10.0.0.3;host=evil.example, for=203.0.113.7;host=evil.example;proto=http"
    );
}

#[test]
fn forwarded_is_sent_only_if_the_route_asks() {
    let facts = ForwardedFacts {
        address: "203.0.113.7".parse().expect("an address"),
        trust: Trust::Trusted,
        scheme: Scheme::Http,
        authority: "a",
        fields: &fields(SPOOFED),
    };
    assert_eq!(tell(&facts, ForwardedField::Off).forwarded, None);
}

#[test]
fn addresses_have_the_form_of_each_field() {
    let of = |address| told_of(address, Trust::Untrusted, Scheme::Http, "a", &[]);
    for (address, chain, element) in [
        ("192.0.2.1", "192.0.2.1", "for=192.0.2.1;host=a;proto=http"),
        ("2001:db8::1", "2001:db8::1", "for=\"[2001:db8::1]\";host=a;proto=http"),
        ("::ffff:192.0.2.1", "192.0.2.1", "for=192.0.2.1;host=a;proto=http"),
        (
            "1111:2222:3333:4444:5555:6666:7777:8888",
            "1111:2222:3333:4444:5555:6666:7777:8888",
            "for=\"[1111:2222:3333:4444:5555:6666:7777:8888]\";host=a;proto=http",
        ),
    ] {
        let told = of(address);
        assert_eq!((text(&told.chain), forwarded(&told)), (chain, element));
    }
}

#[test]
fn a_received_chain_stays_from_its_end_up_to_the_first_malformed_element() {
    let long = "9".repeat(MAX_CHAIN);
    let long = format!("{long}, 192.0.2.1");
    for (lines, kept) in [
        (&[][..], ""),
        (&[""], ""),
        (&[" , ,"], ""),
        (&["192.0.2.1"], "192.0.2.1, "),
        (&["192.0.2.1,192.0.2.2"], "192.0.2.1, 192.0.2.2, "),
        (&["a, ,b", "\tc ,", "[2001:db8::1]:80"], "a, b, c, [2001:db8::1]:80, "),
        (&["unknown, 192.0.2.1:80"], "unknown, 192.0.2.1:80, "),
        (&["192.0.2.1, bad element, 192.0.2.2"], "192.0.2.2, "),
        (&["192.0.2.1, \u{e9}, 192.0.2.2"], "192.0.2.2, "),
        (&["192.0.2.1", "192.0.2.2, a\tb"], ""),
        (&[long.as_str(), "192.0.2.2"], "192.0.2.1, 192.0.2.2, "),
    ] {
        let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
        let told = told(Trust::Trusted, &lines);
        assert_eq!(text(&told.chain), format!("{kept}203.0.113.7"), "{lines:?}");
    }
}

#[test]
fn a_received_scheme_stays_if_it_is_http_or_https() {
    for (lines, scheme) in [
        (&[][..], "https"),
        (&["http"], "http"),
        (&["HTTP"], "http"),
        (&["https"], "https"),
        (&["wss"], "https"),
        (&["http, http"], "https"),
        (&["http", "http"], "https"),
        (&["http\u{e9}"], "https"),
    ] {
        let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-proto", *line)).collect();
        assert_eq!(text(&told(Trust::Trusted, &lines).scheme), scheme, "{lines:?}");
    }
}

#[test]
fn the_port_is_the_peers_or_that_of_the_sent_host() {
    let long = "a".repeat(MAX_AUTHORITY + 1);
    for (authority, scheme, said, host, port) in [
        ("a", Scheme::Http, &[][..], "a", "80"),
        ("a", Scheme::Https, &[], "a", "443"),
        ("a:8443", Scheme::Https, &[], "a:8443", "8443"),
        ("[2001:db8::1]", Scheme::Http, &[], "[2001:db8::1]", "80"),
        ("[2001:db8::1]:81", Scheme::Http, &[], "[2001:db8::1]:81", "81"),
        ("a:", Scheme::Http, &[], "a:", "80"),
        ("a:0", Scheme::Http, &[], "a:0", "80"),
        ("a:+81", Scheme::Http, &[], "a:+81", "80"),
        ("a:65536", Scheme::Http, &[], "a:65536", "80"),
        ("", Scheme::Http, &[], "-", "80"),
        ("a/b", Scheme::Http, &[], "-", "80"),
        ("a,b", Scheme::Http, &[], "-", "80"),
        ("u@a", Scheme::Http, &[], "-", "80"),
        (long.as_str(), Scheme::Http, &[], "-", "80"),
        ("a:81", Scheme::Http, &[("host", "b")], "b", "80"),
        ("a:81", Scheme::Http, &[("host", "b:82")], "b:82", "82"),
        ("a:81", Scheme::Http, &[("host", "b:82"), ("port", "83")], "b:82", "83"),
        ("a:81", Scheme::Http, &[("port", "83")], "a:81", "83"),
        ("a:81", Scheme::Http, &[("port", "0")], "a:81", "81"),
        ("a:81", Scheme::Http, &[("port", "443, 80")], "a:81", "81"),
        ("a:81", Scheme::Http, &[("port", "443"), ("port", "443")], "a:81", "81"),
        ("a:81", Scheme::Http, &[("proto", "https"), ("host", "b")], "b", "443"),
        ("a:81", Scheme::Http, &[("host", "b, c")], "a:81", "81"),
        ("a:81", Scheme::Http, &[("host", "b\"")], "a:81", "81"),
        ("a:81", Scheme::Http, &[("host", long.as_str())], "a:81", "81"),
        ("a:81", Scheme::Http, &[("host", "b"), ("host", "c")], "a:81", "81"),
    ] {
        let lines: Vec<_> = said
            .iter()
            .map(|(name, value)| (format!("x-forwarded-{name}"), *value))
            .collect();
        let lines: Vec<_> = lines.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let told = told_of("192.0.2.1", Trust::Trusted, scheme, authority, &lines);
        let [_, _, told_host, told_port] = row(&told);
        assert_eq!((told_host, told_port), (host, port), "{authority} {lines:?}");
    }
}

#[test]
fn a_host_that_is_no_token_is_quoted() {
    let of = |authority| told_of("192.0.2.1", Trust::Untrusted, Scheme::Http, authority, &[]);
    assert_eq!(
        forwarded(&of("[2001:db8::1]:81")),
        "for=192.0.2.1;host=\"[2001:db8::1]:81\";proto=http"
    );
    assert_eq!(forwarded(&of("")), "for=192.0.2.1;proto=http");
}

#[test]
fn a_forwarded_list_stays_whole_or_is_dropped() {
    let ours = "for=203.0.113.7;host=shop.example;proto=https";
    let long = format!("for=\"{}\"", "a".repeat(MAX_CHAIN));
    for (lines, kept) in [
        (&["for=a, for=b"][..], "for=a, for=b, "),
        (
            &["for=a", "", "for=b;secret=\"x, y\""],
            "for=a, for=b;secret=\"x, y\", ",
        ),
        (&["for=\"a", "for=b"], ""),
        (&["for=a", "nonsense"], ""),
        (&[long.as_str(), "for=b"], ""),
    ] {
        let lines: Vec<_> = lines.iter().map(|line| ("forwarded", *line)).collect();
        let told = told(Trust::Trusted, &lines);
        assert_eq!(forwarded(&told), format!("{kept}{ours}"));
    }
}

#[test]
fn fields_for_another_url_are_part_of_the_key_and_ask_for_another_response() {
    for (name, is_told, is_another) in [
        ("x-original-url", true, true),
        ("x-rewrite-url", true, true),
        ("x-scheme", true, false),
        ("x-forwarded-prefix", true, false),
        ("x-forwarded-for", false, false),
        ("accept", false, false),
    ] {
        let mut fields = HeaderMap::new();
        fields.insert(HeaderName::from_static(name), HeaderValue::from_static("/b"));
        let mut told = 0;
        assert!(told_of_url(&fields, &mut |_, _| told += 1));
        assert_eq!((told > 0, ask_for_another(&fields)), (is_told, is_another), "{name}");
    }
}

#[test]
fn only_fields_about_the_client_or_its_url_are_foreign() {
    for name in [
        "x-forwarded-for",
        "x-forwarded-prefix",
        "x-forwarded-server",
        "x-forwarded",
        "x_forwarded_for",
        "x-forwarded_for",
        "forwarded",
        "x-real-ip",
        "x_real_ip",
        "cf-connecting-ip",
        "true-client-ip",
        "proxy",
        "x-scheme",
        "x_scheme",
        "x-original-url",
        "x_original_url",
        "x-original_url",
        "x-rewrite-url",
        "x-rewrite-uri",
        "x-http-host-override",
        "x-host",
        "x-middleware-subrequest",
    ] {
        assert!(is_foreign(name, Trust::Untrusted), "{name}");
        assert_eq!(is_foreign(name, Trust::Trusted), name.contains('_'), "{name}");
    }
    for name in [
        "x-forward",
        "forwarded-x",
        "x-real-ips",
        "host",
        "proxy-authorization",
        "x-original-urls",
        "via",
        "x_custom",
        "cookie",
        "",
    ] {
        assert!(!is_foreign(name, Trust::Untrusted), "{name}");
        assert!(!is_foreign(name, Trust::Trusted), "{name}");
    }
}

#[test]
fn a_promise_gets_the_fields_about_its_documents_client() {
    let document = fields(&[
        ("cookie", "a=b"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-for", "192.0.2.2"),
        ("x-forwarded-host", "shop.example"),
        ("x-forwarded-port", "443"),
        ("x-forwarded-prefix", "/shop"),
        ("forwarded", "for=192.0.2.1"),
    ]);
    let received = Received::of(&document, "edge:80").expect("something was said");
    let names = |authority| {
        let mut names: Vec<_> = received.fields_for(authority).map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(
        names("Edge:80"),
        [
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-port",
            "x-forwarded-prefix"
        ]
    );
    assert_eq!(
        names("cdn.example"),
        ["forwarded", "x-forwarded-for", "x-forwarded-for", "x-forwarded-prefix"]
    );
    assert_eq!(Received::of(&fields(&[("cookie", "a=b")]), "edge:80"), None);
}

#[test]
fn the_client_is_the_nearest_address_that_is_not_trusted() {
    let networks = ["10.0.0.0/8", "2001:db8:1::/48"].map(|network| network.parse().expect("a network"));
    let trusted = Trusted::new(networks.to_vec());
    let of = |address: &str, chain: &[&str]| {
        let address: IpAddr = address.parse().expect("an address");
        let peer = Peer {
            address: (address, 4000).into(),
            scheme: None,
            is_trusted: trusted.contains(address),
            trusted: trusted.clone(),
        };
        let lines: Vec<_> = chain.iter().map(|line| ("x-forwarded-for", *line)).collect();
        client(&peer, &fields(&lines)).to_string()
    };
    for (peer, chain, expected) in [
        ("192.0.2.1", &["203.0.113.7"][..], "192.0.2.1"),
        ("::ffff:192.0.2.1", &[], "192.0.2.1"),
        ("10.0.0.1", &[], "10.0.0.1"),
        ("10.0.0.1", &["203.0.113.7"], "203.0.113.7"),
        ("::ffff:10.0.0.1", &["::ffff:203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", &["1.1.1.1, 203.0.113.7"], "203.0.113.7"),
        (
            "10.0.0.1",
            &["1.1.1.1, 203.0.113.7, 10.9.9.9", "10.8.8.8,"],
            "203.0.113.7",
        ),
        ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", &["203.0.113.7, unknown, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", &["unknown"], "10.0.0.1"),
        ("10.0.0.1", &["203.0.113.7:80"], "203.0.113.7"),
        ("2001:db8:1::1", &["[2001:db8:2::7]:443"], "2001:db8:2::7"),
        ("2001:db8:1::1", &["2001:db8:2::7, [2001:db8:1::2]"], "2001:db8:2::7"),
        ("2001:db8:1::1", &["2001:db8:2::7"], "2001:db8:2::7"),
    ] {
        assert_eq!(of(peer, chain), expected, "{peer} {chain:?}");
    }
}

/// Parts of fields about clients, and bytes that no such field should have.
const PIECES: [&[u8]; 11] = [
    b", ",
    b";",
    b"\"",
    b"\\",
    b"for=",
    b"192.0.2.1",
    b"[2001:db8::1]",
    b"host=a",
    b"\xff",
    b"\t",
    b"https",
];

fn line() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..12).prop_map(|pieces| pieces.concat())
}

const NAMES: [&str; 5] = [
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "forwarded",
];

proptest! {
    #[test]
    fn the_last_address_is_the_peers_whatever_is_received(
        lines in proptest::collection::vec((0..NAMES.len(), line()), 0..8),
        address in any::<IpAddr>(),
    ) {
        let mut fields = HeaderMap::new();
        for (name, value) in &lines {
            if let (Some(name), Ok(value)) = (NAMES.get(*name), HeaderValue::from_bytes(value)) {
                fields.append(*name, value);
            }
        }
        let facts = |trust, fields| ForwardedFacts { address, trust, scheme: Scheme::Http, authority: "a", fields };
        let told = tell(&facts(Trust::Trusted, &fields), ForwardedField::On);
        let shown = address.to_canonical().to_string();
        let last = text(&told.chain).rsplit(", ").next().expect("one");
        prop_assert_eq!(last, shown.as_str());
        prop_assert!(told.chain.len() <= MAX_CHAIN + shown.len());
        // The elements before the new one are a well-formed list: no quote is open.
        let ours = element::append(None, address.to_canonical(), told.host.as_ref(), scheme_of(&told.scheme).expect("one"));
        let before = forwarded(&told).strip_suffix(text(&ours));
        prop_assert!(before.is_some_and(|before| element::is_well_formed(before.as_bytes())), "{:?}", told.forwarded);
        let nothing = HeaderMap::new();
        let alone = tell(&facts(Trust::Untrusted, &nothing), ForwardedField::On);
        prop_assert_eq!(tell(&facts(Trust::Untrusted, &fields), ForwardedField::On), alone);
    }
}
