//! What origins are told of clients: X-Forwarded-*, Forwarded.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{
    forwarded::{self, ForwardedFacts, ForwardedField, Told, Trust, is_foreign},
    input::Input,
    peer::{Peer, Scheme, Trusted},
};

const NAMES: [&str; 8] = [
    "x-forwarded-for",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "forwarded",
    "forwarded",
    "x-real-ip",
];

/// The longest list that is handed on.
const MAX_LIST: usize = 2048;

/// Tells of a request with any fields, and reads what is told with readers of their own.
pub fn forwarded(bytes: &[u8]) {
    let mut input = Input(bytes);
    let what = input.number();
    let address = match what % 4 {
        0 => IpAddr::from([192, 0, 2, 7]),
        1 => IpAddr::from([10, 0, 0, 1]),
        2 => "2001:db8::7".parse().expect("an address"),
        _ => "::ffff:192.0.2.9".parse().expect("an address"),
    };
    let (trust, scheme) = match what / 4 % 4 {
        0 => (Trust::Untrusted, Scheme::Http),
        1 => (Trust::Trusted, Scheme::Http),
        2 => (Trust::Trusted, Scheme::Https),
        _ => (Trust::Untrusted, Scheme::Https),
    };
    let authority = input.text().unwrap_or("a.example");
    let mut fields = HeaderMap::new();
    while let Some(name) = input.byte() {
        let name = NAMES[usize::from(name) % NAMES.len()];
        if let Ok(value) = HeaderValue::from_bytes(input.line()) {
            fields.append(name, value);
        }
    }
    let facts = ForwardedFacts {
        address,
        trust,
        scheme,
        authority,
        fields: &fields,
    };
    let told = forwarded::tell(&facts, ForwardedField::On);
    assert_eq!(
        forwarded::tell(&facts, ForwardedField::Off),
        Told {
            forwarded: None,
            ..told.clone()
        }
    );
    for value in [&told.chain, &told.port, &told.scheme]
        .into_iter()
        .chain(&told.host)
        .chain(&told.forwarded)
    {
        assert!(
            value
                .as_bytes()
                .iter()
                .all(|b| (b' '..=b'~').contains(b) || *b == b'\t'),
            "{value:?}"
        );
    }
    if trust == Trust::Untrusted {
        let none = HeaderMap::new();
        let alone = ForwardedFacts { fields: &none, ..facts };
        assert_eq!(
            told,
            forwarded::tell(&alone, ForwardedField::On),
            "a client is not believed"
        );
    }
    chain(&facts, &told);
    element(&facts, &told);
    url(&facts, &told);
    names(bytes);
}

fn received<'f>(facts: &ForwardedFacts<'f>, name: &str) -> Vec<&'f [u8]> {
    match facts.trust {
        Trust::Trusted => facts.fields.get_all(name).iter().map(HeaderValue::as_bytes).collect(),
        Trust::Untrusted => Vec::new(),
    }
}

/// The chain ends in the peer, and is the end of what the peer said; the next hop finds the peer in it.
fn chain(facts: &ForwardedFacts<'_>, told: &Told) {
    let peer = facts.address.to_canonical();
    let text = told.chain.to_str().expect("ASCII");
    let mut elements: Vec<&str> = text.split(", ").collect();
    assert_eq!(elements.pop(), Some(&*peer.to_string()));
    let all = received(facts, "x-forwarded-for").join(&b","[..]);
    let all: Vec<&[u8]> = all
        .split(|&b| b == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|one| !one.is_empty())
        .collect();
    let cut = all.len().checked_sub(elements.len()).expect("nothing is made up");
    assert!(elements.iter().map(|one| one.as_bytes()).eq(all[cut..].iter().copied()));
    assert!(
        elements
            .iter()
            .all(|one| one.bytes().all(|b| b.is_ascii_graphic() && b != b','))
    );
    assert!(text.len() <= MAX_LIST + 45);
    if let Some(dropped) = cut.checked_sub(1).map(|last| all[last]) {
        let is_bad = !dropped.iter().all(u8::is_ascii_graphic);
        assert!(
            is_bad || text.len() + dropped.len() + 2 > MAX_LIST,
            "nothing is dropped without need"
        );
    }

    let mut next = HeaderMap::new();
    next.insert("x-forwarded-for", told.chain.clone());
    let hop = IpAddr::from([198, 51, 100, 1]);
    let trusted = Trusted::new(vec![hop.into()]);
    let edge = Peer {
        address: SocketAddr::new(hop, 1),
        scheme: None,
        is_trusted: true,
        trusted,
    };
    assert_eq!(forwarded::client(&edge, &next), peer, "the next hop finds it");
    let stranger = Peer {
        is_trusted: false,
        ..edge
    };
    assert_eq!(forwarded::client(&stranger, &next), hop);
    // Behind us and the peer, it finds the last that the peer spoke for.
    let beyond = Peer {
        is_trusted: true,
        trusted: Trusted::new(vec![hop.into(), peer.into()]),
        ..stranger
    };
    let last = elements.last().map(|one| one.parse::<IpAddr>());
    match last {
        Some(Ok(last)) if ![hop, peer].contains(&last.to_canonical()) => {
            assert_eq!(forwarded::client(&beyond, &next), last.to_canonical());
        }
        Some(_) => {}
        None => assert_eq!(forwarded::client(&beyond, &next), peer),
    }
}

type Pairs = Vec<(String, String)>;

/// `Forwarded` reads as it is meant: what the peer said, if it can be read, and one element of ours.
fn element(facts: &ForwardedFacts<'_>, told: &Told) {
    let value = told.forwarded.as_ref().expect("it is asked for").as_bytes();
    let mut all = elements(value).expect("what is told can be read");
    let mut expected: Pairs = Vec::new();
    let peer = facts.address.to_canonical();
    expected.push(match peer {
        IpAddr::V4(_) => ("for".to_owned(), peer.to_string()),
        IpAddr::V6(_) => ("for".to_owned(), format!("[{peer}]")),
    });
    if let Some(host) = &told.host {
        expected.push(("host".to_owned(), host.to_str().expect("ASCII").to_owned()));
    }
    expected.push(("proto".to_owned(), told.scheme.to_str().expect("ASCII").to_owned()));
    assert_eq!(all.pop(), Some(expected));
    let said = received(facts, "forwarded");
    let said: Option<Vec<Vec<Pairs>>> = said.into_iter().map(elements).collect();
    let said: Vec<Pairs> = said.unwrap_or_default().into_iter().flatten().collect();
    assert!(all.is_empty() || all == said, "all of it, or nothing");
    assert!(value.len() <= MAX_LIST + 400);
}

/// Reads RFC 7239 section 4; empty elements and pairs are passed over.
fn elements(value: &[u8]) -> Option<Vec<Pairs>> {
    let text = std::str::from_utf8(value).ok()?;
    let (mut elements, mut pairs) = (Vec::new(), Vec::new());
    let mut characters = text.chars().peekable();
    let is_token = |c: &char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(*c);
    loop {
        while characters.next_if(|c| c.is_ascii_whitespace()).is_some() {}
        let name: String = std::iter::from_fn(|| characters.next_if(is_token)).collect();
        if !name.is_empty() {
            characters.next_if_eq(&'=')?;
            let mut value = String::new();
            if characters.next_if_eq(&'"').is_some() {
                loop {
                    match characters.next()? {
                        '"' => break,
                        '\\' => value.push(characters.next()?),
                        c => value.push(c),
                    }
                }
            } else {
                value = std::iter::from_fn(|| characters.next_if(is_token)).collect();
                if value.is_empty() {
                    return None;
                }
            }
            pairs.push((name, value));
            while characters.next_if(|c| c.is_ascii_whitespace()).is_some() {}
        }
        match characters.next() {
            Some(';') => {}
            end @ (Some(',') | None) => {
                if !pairs.is_empty() {
                    elements.push(std::mem::take(&mut pairs));
                }
                if end.is_none() {
                    return Some(elements);
                }
            }
            Some(_) => return None,
        }
    }
}

/// Scheme, host and port make a URL.
fn url(facts: &ForwardedFacts<'_>, told: &Told) {
    let scheme = told.scheme.to_str().expect("ASCII");
    assert!(["http", "https"].contains(&scheme));
    let port: u16 = told.port.to_str().expect("ASCII").parse().expect("a port");
    assert!(port > 0);
    if let Some(host) = &told.host {
        let host = host.to_str().expect("ASCII");
        assert!(!host.is_empty() && !host.contains(['/', '?', '#', '@', '\\', '"', ' ', ',', ';']));
        let said = received(facts, "x-forwarded-host");
        assert!(
            host == facts.authority || said == [host.as_bytes()],
            "nobody else names a host"
        );
    }
}

/// Hyphens and underscores, which CGI cannot tell apart, are the same for us.
fn names(bytes: &[u8]) {
    let Ok(name) = HeaderName::from_bytes(bytes) else {
        return;
    };
    let (name, plain) = (name.as_str(), name.as_str().replace('_', "-"));
    assert_eq!(is_foreign(name, Trust::Untrusted), is_foreign(&plain, Trust::Untrusted));
    assert!(!is_foreign(&plain, Trust::Trusted) || plain.contains('_'));
    assert_eq!(
        is_foreign(name, Trust::Trusted),
        name.contains('_') && is_foreign(name, Trust::Untrusted)
    );
}
